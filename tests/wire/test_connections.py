"""Connections that can be cut from outside."""

import socket
from collections.abc import Iterator

import pytest

from informers.rest.connections import Live


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
