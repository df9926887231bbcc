"""Connections that can be cut from outside, and answers that are read in few pieces."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from informers.rest.client import Client
from informers.rest.connections import Live, _ReadingAhead, answers_within
from tests.support.apiserver import ApiServer, Exchange
from tests.support.listerwatcher import CONFIG_MAPS, config_map, event


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        yield ours, theirs


def test_a_cut_ends_what_stands(pair: tuple[socket.socket, socket.socket]) -> None:
    live = Live()
    handle = live.add(pair[0])
    live.cut()
    assert pair[0].recv(1) == b""
    live.remove(handle)
    assert handle.fileno() == -1


def test_a_cut_ends_what_comes_later(pair: tuple[socket.socket, socket.socket]) -> None:
    live = Live()
    live.cut()
    live.remove(live.add(pair[0]))
    assert pair[0].recv(1) == b""


def test_a_drop_ends_only_what_stands(pair: tuple[socket.socket, socket.socket]) -> None:
    live = Live()
    live.drop()
    handle = live.add(pair[0])
    pair[1].send(b"x")
    assert pair[0].recv(1) == b"x"
    live.drop()
    assert pair[0].recv(1) == b""
    live.remove(handle)


def test_a_connection_that_has_ended_may_be_cut(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    live = Live()
    handle = live.add(pair[0])
    pair[1].close()
    pair[0].shutdown(socket.SHUT_RDWR)
    live.cut()
    live.cut()
    live.remove(handle)


def test_closing_a_connection_does_not_cut_others(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    live = Live()
    live.remove(live.add(pair[0]))
    live.cut()
    pair[1].send(b"x")
    assert pair[0].recv(1) == b"x"


class CountingSocket(socket.socket):
    """Counts what is read from the kernel."""

    reads = 0

    def recv_into(self, *args: Any, **options: Any) -> int:
        self.reads += 1
        return super().recv_into(*args, **options)


class TestReadingAhead:
    """More at once than http.client's 8 kB, and nothing lost where one buffer ends."""

    def test_takes_what_has_come_in_few_reads(
        self, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        body = bytes(range(256)) * 400
        chunks = b"".join(b"100\r\n%s\r\n" % body[:256] for _ in range(400))
        with CountingSocket(fileno=pair[0].detach()) as ours:
            pair[1].sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            pair[1].sendall(chunks + b"0\r\n\r\n")
            with answers_within(lambda: 5.0):
                response = _ReadingAhead(ours)
            response.begin()
            assert response.read() == body
            response.close()
            assert ours.reads <= 3

    def test_is_how_watches_are_read(self, connect: Callable[..., Client]) -> None:
        """By events whose ends fall anywhere in the buffer."""
        events = [event("ADDED", config_map("a", n, text="x" * 1000 * n)) for n in range(60)]

        def send(exchange: Exchange) -> None:
            exchange.begin()
            for one in events:
                exchange.event(one["type"], one["object"])
            exchange.end()

        with (
            ApiServer(send) as server,
            connect(server).watch(CONFIG_MAPS, query={}) as watch,
        ):
            response: Any = watch._response
            assert isinstance(response._original_response, _ReadingAhead)
            assert list(watch) == events
