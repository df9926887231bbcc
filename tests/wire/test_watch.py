"""Watches over real sockets, from the bytes of a chunk to the store of an informer."""

import gc
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from informers import ApiError, Client, ConnectionFailed, SharedIndexInformer
from informers.events import EventReader
from informers.listwatch import ListWatch
from informers.rest.watch import Event, Watch
from tests.support.apiserver import ApiServer, Exchange
from tests.support.clock import FakeClock, Unhurried
from tests.support.eventually import eventually
from tests.support.listerwatcher import CONFIG_MAPS, bookmark, config_map, event, listed
from workqueue.clock import RealClock

Connect = Callable[..., Client]


def open_watch(client: Client, read_timeout: float = 5.0) -> Watch:
    return client.watch(CONFIG_MAPS, query={"resourceVersion": "1"}, read_timeout=read_timeout)


def line(obj: object) -> bytes:
    return json.dumps(obj).encode() + b"\n"


ADDED = event("ADDED", config_map("a", 2))
CHANGED = event("MODIFIED", config_map("a", 3))


class TestBytes:
    def events(self, connect: Connect, answer: Callable[[Exchange], None]) -> list[dict[str, Any]]:
        with ApiServer(answer) as server, open_watch(connect(server)) as watch:
            return list(watch)

    def test_events_are_lines_whatever_the_chunks(self, connect: Connect) -> None:
        data = line(ADDED) + line(CHANGED) + b"\n" + line(bookmark(9))

        def in_pieces(exchange: Exchange) -> None:
            exchange.begin()
            for start in range(0, len(data), 7):
                exchange.chunk(data[start : start + 7])
            exchange.end()

        assert self.events(connect, in_pieces) == [ADDED, CHANGED, bookmark(9)]

    def test_several_events_fit_in_one_chunk(self, connect: Connect) -> None:
        def at_once(exchange: Exchange) -> None:
            exchange.begin()
            exchange.chunk(line(ADDED) + line(CHANGED))
            exchange.end()

        assert self.events(connect, at_once) == [ADDED, CHANGED]

    def test_a_line_may_be_long(self, connect: Connect) -> None:
        long = event("ADDED", config_map("a", 2, text="x" * 10_000_000))

        def send(exchange: Exchange) -> None:
            exchange.begin()
            data = line(long)
            for start in range(0, len(data), 1 << 16):
                exchange.chunk(data[start : start + (1 << 16)])
            exchange.end()

        assert self.events(connect, send) == [long]

    @pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
    def test_an_answer_without_chunks_is_read_as_it_comes(
        self, connect: Connect, version: bytes
    ) -> None:
        """As proxies send it that speak HTTP/1.0 with the server."""
        seen = threading.Event()

        def unchunked(exchange: Exchange) -> None:
            exchange.send(version + b" 200 OK\r\nConnection: close\r\n\r\n" + line(ADDED))
            assert seen.wait(5), "the first event is still held"
            exchange.send(line(CHANGED) + line(ADDED)[:20])
            exchange.close()

        with ApiServer(unchunked) as server, open_watch(connect(server)) as watch:
            assert next(watch) == ADDED
            seen.set()
            assert list(watch) == [CHANGED]

    def test_half_a_line_at_the_end_is_none(self, connect: Connect) -> None:
        def cut(exchange: Exchange) -> None:
            exchange.begin()
            exchange.chunk(line(ADDED) + line(CHANGED)[:20])
            exchange.end()

        assert self.events(connect, cut) == [ADDED]

    @pytest.mark.parametrize("garbage", [b"<html>\n", b"[]\n", b'"x"\n', b'{"object": 1}\n'])
    def test_garbage_is_an_error_event(self, connect: Connect, garbage: bytes) -> None:
        def send(exchange: Exchange) -> None:
            exchange.begin()
            exchange.chunk(garbage + line(ADDED))
            exchange.end()

        first, second = self.events(connect, send)
        assert first["type"] == "ERROR"
        assert first["object"]["reason"] == "InternalError"
        assert second == ADDED


def cut_inside_a_chunk(exchange: Exchange) -> None:
    exchange.begin()
    exchange.chunk(line(ADDED))
    exchange.send(b"ff\r\n" + line(CHANGED)[:20])
    exchange.close()


def cut_between_chunks(exchange: Exchange) -> None:
    exchange.begin()
    exchange.chunk(line(ADDED))
    exchange.close()


def reset(exchange: Exchange) -> None:
    exchange.begin()
    exchange.chunk(line(ADDED))
    exchange.reset()


def wrong_chunk_size(exchange: Exchange) -> None:
    exchange.begin()
    exchange.chunk(line(ADDED))
    exchange.send(b"what?\r\n")
    exchange.close()


def half_closed(exchange: Exchange) -> None:
    """The server will send no more, yet goes on listening."""
    exchange.begin()
    exchange.chunk(line(ADDED))
    exchange.sock.shutdown(socket.SHUT_WR)
    exchange.silence()


def silence(exchange: Exchange) -> None:
    exchange.begin()
    exchange.chunk(line(ADDED))
    exchange.silence()


@pytest.mark.parametrize(
    "end", [cut_inside_a_chunk, cut_between_chunks, reset, half_closed, wrong_chunk_size]
)
def test_a_broken_stream_gives_what_came_whole(
    connect: Connect, end: Callable[[Exchange], None]
) -> None:
    seen: list[Event] = []
    with (
        ApiServer(end) as server,
        open_watch(connect(server)) as watch,
        pytest.raises(ConnectionFailed) as caught,
    ):
        seen.extend(watch)
    # A reset may overtake what was sent before it.
    assert seen in ([ADDED], [])
    assert caught.value.dropped
    assert not caught.value.timed_out


def test_a_silent_stream_ends_at_its_read_timeout(connect: Connect) -> None:
    with ApiServer(silence) as server, open_watch(connect(server), read_timeout=0.2) as watch:
        assert next(watch) == ADDED
        with pytest.raises(ConnectionFailed, match="no answer in time") as caught:
            next(watch)
    assert caught.value.timed_out


def test_a_watch_is_not_bound_by_the_deadline_of_calls(connect: Connect) -> None:
    def late(exchange: Exchange) -> None:
        exchange.begin()
        exchange.stopping.wait(0.3)
        exchange.chunk(line(ADDED))
        exchange.end()

    with ApiServer(late) as server, open_watch(connect(server, timeout=0.1)) as watch:
        assert list(watch) == [ADDED]


def test_a_refusal_is_told_when_the_watch_is_opened(connect: Connect) -> None:
    gone = {"kind": "Status", "reason": "Expired", "message": "too old"}
    with (
        ApiServer(lambda exchange: exchange.answer(410, gone)) as server,
        pytest.raises(ApiError, match=r"too old \(410 Expired\)"),
    ):
        open_watch(connect(server))


def test_closing_its_client_from_another_thread_ends_a_quiet_watch(connect: Connect) -> None:
    with ApiServer(silence) as server:
        client = connect(server)
        with open_watch(client, read_timeout=60) as watch:
            assert next(watch) == ADDED
            timer = threading.Timer(0.05, client.close)
            timer.start()
            began = time.monotonic()
            with pytest.raises(ConnectionFailed):
                next(watch)
            assert time.monotonic() - began < 1
            timer.join()


def test_a_reader_that_leaves_early_leaves_the_watch_open(connect: Connect) -> None:
    left = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(line(ADDED) + line(bookmark(2, end=True)))
        left.wait(5)
        exchange.chunk(line(CHANGED))
        exchange.end()

    reader = EventReader(CONFIG_MAPS, RealClock())
    with ApiServer(answer) as server, open_watch(connect(server)) as watch:
        first = reader.read(watch)
        assert [next(first)[0], next(first)[0]] == ["ADDED", "BOOKMARK"]
        del first
        left.set()
        rest = [(kind, version) for kind, _, version in reader.read(watch)]
    assert rest == [("MODIFIED", "3")]


def test_a_watch_that_was_left_keeps_nothing_of_the_pool(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Until the collector finds it, at any time: urllib3 would then warn that its pool is full."""
    with ApiServer(silence, silence) as server:
        session = connect(server).session()
        with open_watch(session) as first:
            assert next(first) == ADDED
        with open_watch(session) as second:
            assert next(second) == ADDED
            del first
            gc.collect()
        del second
        gc.collect()
        session.close()
    assert caplog.messages == []


# -- from here on with an informer on top


class Cluster:
    """An informer of a scripted server."""

    def __init__(self, server: ApiServer, client: Client, clock: RealClock | FakeClock) -> None:
        self.server = server
        self.informer = SharedIndexInformer(
            CONFIG_MAPS,
            ListWatch(client, CONFIG_MAPS, "default"),
            clock=clock,
            rng=random.Random(1),
        )

    def names(self) -> list[str]:
        return sorted(obj["metadata"]["name"] for obj in self.informer.store.list())

    def asked(self) -> list[str]:
        """What was requested: "list", "stream" or "watch", and the version."""
        return [self._asked(one.query) for one in self.server.requests]

    def _asked(self, query: dict[str, str]) -> str:
        verb = "watch" if "watch" in query else "list"
        verb = "stream" if "sendInitialEvents" in query else verb
        return f"{verb} {query.get('resourceVersion', '')}".strip()


@pytest.fixture
def run(connect: Connect) -> Iterator[Callable[..., Cluster]]:
    """Start an informer of a server; it is stopped in less than a second at the end."""
    running: list[SharedIndexInformer] = []

    def start(server: ApiServer, clock: RealClock | FakeClock | None = None) -> Cluster:
        cluster = Cluster(server, connect(server), clock or RealClock())
        running.append(cluster.informer)
        cluster.informer.start()
        return cluster

    yield start
    for informer in running:
        informer.stop()
        assert informer.join(1.0) == []
        assert informer.failure is None


def invalid(exchange: Exchange) -> None:
    exchange.answer(422, {"kind": "Status", "reason": "Invalid", "message": "no streaming"})


def one_object(exchange: Exchange) -> None:
    exchange.answer(200, listed(1, config_map("a", 1)))


def initial(*events: dict[str, Any], end: int = 1) -> Callable[[Exchange], None]:
    """A streaming list that goes on as a silent watch."""

    def answer(exchange: Exchange) -> None:
        exchange.begin()
        for one in [*events, bookmark(end, end=True)]:
            exchange.chunk(line(one))
        exchange.silence()

    return answer


def adding(name: str, version: int) -> Callable[[Exchange], None]:
    """A watch that brings one object and then is silent."""

    def answer(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(line(event("ADDED", config_map(name, version))))
        exchange.silence()

    return answer


Run = Callable[..., Cluster]


def test_a_stop_while_a_watch_is_quiet_takes_no_time(run: Run) -> None:
    with ApiServer(initial(ADDED)) as server:
        cluster = run(server)
        eventually(cluster.informer.has_synced)
        began = time.monotonic()
        cluster.informer.stop()
        assert cluster.informer.join() == []
        assert time.monotonic() - began < 1


def test_a_stop_takes_no_time_on_a_connection_that_has_no_future(run: Run) -> None:
    """As an API server that shuts down says it, or a proxy."""

    def answer(exchange: Exchange) -> None:
        exchange.begin(Connection="close")
        exchange.chunk(line(ADDED) + line(bookmark(2, end=True)))
        exchange.silence()

    with ApiServer(answer) as server:
        cluster = run(server)
        eventually(cluster.informer.has_synced)
        began = time.monotonic()
        cluster.informer.stop()
        assert cluster.informer.join() == []
        assert time.monotonic() - began < 1


def test_a_streaming_list_goes_on_as_the_watch_that_it_is(run: Run) -> None:
    synced = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(line(ADDED) + line(bookmark(2, end=True)))
        synced.wait(5)
        exchange.chunk(line(event("ADDED", config_map("b", 3))))
        exchange.silence()

    with ApiServer(answer) as server:
        cluster = run(server)
        eventually(lambda: cluster.names() == ["a"])
        synced.set()
        eventually(lambda: cluster.names() == ["a", "b"])
        assert cluster.asked() == ["stream"]


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_a_stop_while_the_server_has_not_answered_takes_no_time(run: Run, sent: bytes) -> None:
    def half(exchange: Exchange) -> None:
        exchange.send(sent)
        exchange.silence()

    with ApiServer(half) as server:
        cluster = run(server)
        eventually(lambda: server.requests)
        began = time.monotonic()
        cluster.informer.stop()
        assert cluster.informer.join() == []
        assert time.monotonic() - began < 1


def test_a_server_that_is_away_is_asked_again_after_a_backoff(run: Run) -> None:
    clock = FakeClock()
    with ApiServer(initial(ADDED, end=2)) as server:
        pass
    cluster = run(server, clock)
    for n in range(3):
        clock.await_waiters()
        assert isinstance(cluster.informer.last_error, ConnectionFailed), n
        assert cluster.informer.last_error.refused
        clock.step(60)
    assert not cluster.informer.has_synced()


@pytest.mark.parametrize("end", [cut_inside_a_chunk, cut_between_chunks, half_closed])
def test_a_dropped_stream_goes_on_where_it_broke(
    run: Run, end: Callable[[Exchange], None]
) -> None:
    with ApiServer(invalid, one_object, end, adding("b", 3)) as server:
        cluster = run(server, Unhurried())
        eventually(lambda: cluster.names() == ["a", "b"])
        assert cluster.asked() == ["stream", "list 0", "watch 1", "watch 2"]


def test_a_stream_that_ends_is_followed_by_another_at_once(run: Run) -> None:
    def ended(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(line(ADDED) + line(bookmark(2, end=True)) + line(CHANGED))
        exchange.end()

    with ApiServer(ended, adding("b", 4)) as server:
        # With this clock a wait would have no end.
        cluster = run(server, FakeClock())
        eventually(lambda: cluster.names() == ["a", "b"])
        assert cluster.asked() == ["stream", "watch 3"]


@pytest.mark.parametrize("garbage", [b"<html>\n", b"{}\n", b"\xff\xfe\n", b"x" * 100_000 + b"\n"])
def test_garbage_leads_to_a_list(run: Run, garbage: bytes) -> None:
    def broken(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(line(ADDED) + line(bookmark(2, end=True)) + garbage)
        exchange.silence()

    with ApiServer(broken, initial(event("ADDED", config_map("z", 7)), end=7)) as server:
        cluster = run(server, Unhurried())
        eventually(lambda: cluster.names() == ["z"])
        assert cluster.asked() == ["stream", "stream 2"]


def test_objects_of_other_kinds_are_passed_over(run: Run) -> None:
    secret = {**config_map("s", 3), "kind": "Secret"}
    table = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "rows": []}

    def mixed(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(line(ADDED) + line(event("ADDED", table)) + line(bookmark(2, end=True)))
        exchange.chunk(line(event("ADDED", secret)) + line(event("ADDED", config_map("b", 4))))
        exchange.silence()

    with ApiServer(mixed) as server:
        cluster = run(server)
        eventually(lambda: cluster.names() == ["a", "b"])
        assert cluster.asked() == ["stream"]


@pytest.mark.parametrize("in_stream", [True, False])
def test_an_expired_version_leads_to_a_list(run: Run, *, in_stream: bool) -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}

    def expire(exchange: Exchange) -> None:
        if in_stream:
            exchange.begin()
            exchange.event("ERROR", gone)
            exchange.end()
        else:
            exchange.answer(410, gone)

    def fresh(exchange: Exchange) -> None:
        exchange.answer(200, listed(7, config_map("z", 7)))

    script = invalid, one_object, expire, invalid, fresh
    with ApiServer(*script) as server:
        cluster = run(server, Unhurried())
        eventually(lambda: cluster.names() == ["z"])
        assert cluster.asked()[:5] == ["stream", "list 0", "watch 1", "stream 1", "list 1"]


BUSY: dict[str, Any] = {"kind": "Status", "code": 429, "reason": "TooManyRequests"}


def busy(**headers: str) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.answer(429, BUSY, **headers)


def busy_in_stream(**details: int) -> Callable[[Exchange], None]:
    def answer(exchange: Exchange) -> None:
        exchange.begin()
        exchange.event("ERROR", {**BUSY, "details": details})
        exchange.end()

    return answer


@pytest.mark.parametrize(
    ("answer", "least"),
    [
        (busy(), 0.8),
        (busy(Retry_After="50"), 50.0),
        (busy(Retry_After="tomorrow"), 0.8),
        (busy_in_stream(), 0.8),
        (busy_in_stream(retryAfterSeconds=50), 50.0),
    ],
)
def test_a_busy_server_is_left_alone_for_a_while(
    run: Run, answer: Callable[[Exchange], None], least: float
) -> None:
    clock = FakeClock()
    with ApiServer(invalid, one_object, answer, adding("b", 3)) as server:
        cluster = run(server, clock)
        clock.await_waiters()
        clock.step(least - 0.01)
        clock.await_waiters()
        assert cluster.asked() == ["stream", "list 0", "watch 1"]
        clock.step(least)
        eventually(lambda: cluster.names() == ["a", "b"])
        assert cluster.asked() == ["stream", "list 0", "watch 1", "watch 1"]


@pytest.mark.parametrize("stalled", [silence, Exchange.silence], ids=["open", "opening"])
def test_a_quiet_watch_is_replaced_without_a_list(
    run: Run, monkeypatch: pytest.MonkeyPatch, stalled: Callable[[Exchange], None]
) -> None:
    monkeypatch.setattr(Client.watch, "__kwdefaults__", {"read_timeout": 0.2})
    monkeypatch.setattr("informers.events.SHORT_WATCH", 0.1)
    with ApiServer(invalid, one_object, stalled, adding("b", 3)) as server:
        cluster = run(server, Unhurried())
        eventually(lambda: cluster.names() == ["a", "b"])
        after = "watch 2" if stalled is silence else "watch 1"
        # On a busy machine the next one may seem silent by now, too.
        assert cluster.asked()[:4] == ["stream", "list 0", "watch 1", after]


def test_a_reconnect_replaces_a_silent_watch_without_a_list(run: Run) -> None:
    """At once, even if the old one did not bring anything before."""
    with ApiServer(initial(ADDED, end=2), adding("b", 3), adding("c", 4)) as server:
        # With this clock a wait would have no end.
        cluster = run(server, FakeClock())
        for names in (["a"], ["a", "b"]):
            eventually(lambda: cluster.names() == names)  # noqa: B023 - called here
            cluster.informer.reconnect()
        eventually(lambda: cluster.names() == ["a", "b", "c"])
        assert cluster.asked() == ["stream", "watch 2", "watch 3"]
        assert cluster.informer.last_error is None
