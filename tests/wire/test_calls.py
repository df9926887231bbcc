"""Calls over real sockets: when they are repeated, how they fail, and how many go at a time."""

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tenacity import Retrying

from informers.errors import (
    ApiError,
    ConnectionFailed,
    is_too_large_resource_version,
    is_too_many_requests,
)
from informers.resource import Resource
from informers.rest.client import Client
from informers.rest.config import ClusterConfig
from informers.rest.throttle import Throttle
from informers.rest.tokenfile import TokenFile
from tests.support.apiserver import Answer, ApiServer, Exchange, configuration
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.listerwatcher import CONFIG_MAPS, InstantClock, config_map
from workqueue.clock import RealClock

Connect = Callable[..., Client]

PODS = Resource("", "v1", "pods", "Pod", namespaced=True)


def ok(exchange: Exchange) -> None:
    exchange.answer(200, config_map("a", 1))


def status(code: int, reason: str, **headers: str) -> Answer:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"it is {reason}"}
    return lambda exchange: exchange.answer(code, body, **headers)


def truncated(exchange: Exchange) -> None:
    exchange.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"kind": "Conf')
    exchange.close()


def truncated_chunk(exchange: Exchange) -> None:
    exchange.begin()
    exchange.send(b"64\r\nhalf of it")
    exchange.close()


def garbage(exchange: Exchange) -> None:
    exchange.send(b"\x00\x01 this is not HTTP\r\n\r\n")
    exchange.close()


@pytest.fixture
def make(_no_stray_threads: None) -> Iterator[Callable[..., Client]]:
    """Make clients with a clock of the test's own, closed at the end."""
    clients: list[Client] = []

    def make(server: ApiServer, **options: object) -> Client:
        clients.append(Client(server.config(), **options))  # type: ignore[arg-type]
        return clients[-1]

    yield make
    for client in clients:
        client.close()


class TestRetries:
    @pytest.mark.parametrize("method", ["get", "create"])
    @pytest.mark.parametrize("code", [429, 500, 503])
    def test_come_when_the_server_says(self, make: Connect, method: str, code: int) -> None:
        clock = InstantClock()
        busy = status(code, "Busy", Retry_After="7")
        with ApiServer(busy, busy, ok) as server:
            client = make(server, clock=clock)
            if method == "get":
                client.get(CONFIG_MAPS, "a")
            else:
                client.create(CONFIG_MAPS, config_map("a"))
        assert clock.waits == [7.0, 7.0]
        assert len({request.body for request in server.requests}) == 1

    def test_come_at_once_if_the_server_says_so(self, make: Connect) -> None:
        clock = InstantClock()
        with ApiServer(status(429, "Busy", Retry_After="0"), ok) as server:
            make(server, clock=clock).get(CONFIG_MAPS, "a")
        assert sum(clock.waits) == 0
        assert len(server.requests) == 2

    @pytest.mark.parametrize("headers", [{}, {"Retry_After": "soon"}, {"Retry_After": "1.5"}])
    def test_do_not_come_when_it_does_not(self, connect: Connect, headers: dict[str, str]) -> None:
        with (
            ApiServer(status(429, "TooManyRequests", **headers), ok) as server,
            pytest.raises(ApiError) as caught,
        ):
            connect(server).get(CONFIG_MAPS, "a")
        assert is_too_many_requests(caught.value)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("code", [400, 404, 409, 422, 431])
    def test_are_not_for_what_the_caller_did_wrong(self, connect: Connect, code: int) -> None:
        with (
            ApiServer(status(code, "Wrong", Retry_After="1"), ok) as server,
            pytest.raises(ApiError, match=f"it is Wrong \\({code} Wrong\\)"),
        ):
            connect(server).get(CONFIG_MAPS, "a")
        assert len(server.requests) == 1

    def test_are_not_for_a_version_from_the_future(self, make: Connect) -> None:
        """The server waits for it and then says to come back, which after a restore has no end."""
        clock = InstantClock()
        too_large = {
            "kind": "Status",
            "reason": "Timeout",
            "message": "Too large resource version: 100, current: 50",
            "details": {
                "causes": [{"reason": "ResourceVersionTooLarge"}],
                "retryAfterSeconds": 1,
            },
        }
        with (
            ApiServer(lambda exchange: exchange.answer(504, too_large, Retry_After="1")) as server,
            pytest.raises(ApiError) as caught,
        ):
            make(server, clock=clock).list(CONFIG_MAPS, resourceVersion="100")
        assert is_too_large_resource_version(caught.value)
        assert clock.waits == []

    def test_end_at_ten(self, make: Connect) -> None:
        with (
            ApiServer(*[status(429, "TooManyRequests", Retry_After="1")] * 20) as server,
            pytest.raises(ApiError),
        ):
            make(server, clock=InstantClock()).get(CONFIG_MAPS, "a")
        assert len(server.requests) == 11

    def test_end_when_the_time_would_run_out(self, make: Connect) -> None:
        clock = InstantClock()
        with (
            ApiServer(*[status(429, "TooManyRequests", Retry_After="12")] * 20) as server,
            pytest.raises(ApiError),
        ):
            make(server, clock=clock, timeout=30).get(CONFIG_MAPS, "a")
        assert clock.waits == [12.0, 12.0]

    def test_can_be_left_to_the_caller(self, make: Connect) -> None:
        """As for an eviction, which a disruption budget may refuse for a long time."""
        clock = InstantClock()
        with (
            ApiServer(status(429, "TooManyRequests", Retry_After="10"), ok) as server,
            pytest.raises(ApiError) as caught,
        ):
            make(server, clock=clock).post_subresource(
                PODS, "p", "eviction", {}, "ns", max_retries=0
            )
        assert caught.value.retry_after == 10
        assert clock.waits == []

    @pytest.mark.parametrize(
        "loss", [Exchange.reset, Exchange.close, truncated, truncated_chunk, garbage]
    )
    def test_of_a_lost_connection_are_for_reads_only(self, make: Connect, loss: Answer) -> None:
        clock = InstantClock()
        with ApiServer(loss, ok, loss) as server:
            client = make(server, clock=clock)
            assert client.get(CONFIG_MAPS, "a") == config_map("a", 1)
            with pytest.raises(ConnectionFailed) as caught:
                client.create(CONFIG_MAPS, config_map("a"))
        assert caught.value.dropped
        assert clock.waits == [1.0]
        assert [one.method for one in server.requests] == ["GET", "GET", "POST"]

    def test_that_fail_in_another_way_name_the_error_before(self, make: Connect) -> None:
        slow_down = status(429, "TooManyRequests", Retry_After="1")
        busy = status(503, "ServiceUnavailable", Retry_After="1")
        with (
            ApiServer(slow_down, busy, status(403, "Forbidden")) as server,
            pytest.raises(ApiError) as caught,
        ):
            make(server, clock=InstantClock()).get(CONFIG_MAPS, "a")
        assert str(caught.value) == (
            "it is Forbidden (403 Forbidden) - error from a previous attempt: "
            "it is ServiceUnavailable (503 ServiceUnavailable)"
        )

    def test_that_fail_in_the_same_way_say_it_once(self, make: Connect) -> None:
        busy = status(503, "ServiceUnavailable", Retry_After="1")
        with ApiServer(*[busy] * 11) as server, pytest.raises(ApiError) as caught:
            make(server, clock=InstantClock()).get(CONFIG_MAPS, "a")
        assert str(caught.value) == "it is ServiceUnavailable (503 ServiceUnavailable)"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class TestFailures:
    def test_to_connect_name_server_and_cause(self) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        clock = InstantClock()
        client = Client(ClusterConfig(lambda: configuration(url)), clock=clock)
        with pytest.raises(ConnectionFailed) as caught:
            client.get(CONFIG_MAPS, "a")
        client.close()
        assert str(caught.value) == f"{url}: Connection refused"
        assert caught.value.refused
        assert clock.waits == []

    def test_of_a_server_that_says_nothing_come_in_time(self, connect: Connect) -> None:
        with (
            ApiServer() as server,
            pytest.raises(ConnectionFailed, match="no answer in time") as caught,
        ):
            connect(server, timeout=0.2).get(CONFIG_MAPS, "a")
        assert caught.value.timed_out

    def test_of_a_connection_that_is_half_open_come_in_time(self, connect: Connect) -> None:
        """One that stood, was used, and whose other end has gone without a word."""
        with ApiServer(ok, Exchange.silence, ok) as server:
            client = connect(server, timeout=0.2)
            client.get(CONFIG_MAPS, "a")
            with pytest.raises(ConnectionFailed) as caught:
                client.create(CONFIG_MAPS, config_map("a"))
            assert caught.value.timed_out
            # It is not used again.
            assert client.get(CONFIG_MAPS, "a") == config_map("a", 1)

    def test_of_a_server_that_trickles_come_in_time(self, connect: Connect) -> None:
        def trickle(exchange: Exchange) -> None:
            exchange.begin()
            while not exchange.stopping.wait(0.05):
                exchange.chunk(b" ")

        with (
            ApiServer(trickle) as server,
            pytest.raises(ConnectionFailed, match="no answer in time") as caught,
        ):
            connect(server, timeout=0.3).create(CONFIG_MAPS, config_map("a"))
        assert caught.value.timed_out

    @pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"kind": "Conf', b"", b"\xff\xfe"])
    def test_to_understand_the_answer_are_told(self, connect: Connect, body: bytes) -> None:
        with (
            ApiServer(lambda exchange: exchange.answer(200, body)) as server,
            pytest.raises(ConnectionFailed, match="the answer is not"),
        ):
            connect(server).create(CONFIG_MAPS, config_map("a"))

    def test_do_not_come_from_a_connection_that_the_server_closed_meanwhile(
        self, connect: Connect
    ) -> None:
        """A write is not repeated, so it must not be sent there in the first place."""

        def last(exchange: Exchange) -> None:
            ok(exchange)
            exchange.close()

        with ApiServer(last, ok) as server:
            client = connect(server)
            client.get(CONFIG_MAPS, "a")
            handles = client._transport._pool.live._handles
            eventually(lambda: all(_at_end(handle) for handle in handles))
            client.create(CONFIG_MAPS, config_map("a"))
        assert [one.method for one in server.requests] == ["GET", "POST"]

    def test_because_of_tls_are_one_line(self) -> None:
        with ApiServer() as server:
            url = server.url.replace("http:", "https:")
            config = ClusterConfig(lambda: configuration(url))
            client = Client(config, clock=RealClock(), timeout=1)
            with pytest.raises(ConnectionFailed) as caught:
                client.raw_get("/")
            client.close()
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(f"{url}: ")


def _at_end(handle: socket.socket) -> bool:
    """Whether the other end has closed the connection; nothing is read."""
    return handle.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""


def in_threads(count: int, call: Callable[[], object]) -> list[threading.Thread]:
    """Make a call in each of several threads, failures allowed."""

    def attempt() -> None:
        try:
            call()
        except ConnectionFailed as error:
            failures.append(error)

    failures: list[ConnectionFailed] = []
    threads = [threading.Thread(target=attempt) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


class TestManyAtATime:
    def test_share_the_connections_there_are(self, make: Connect) -> None:
        ports: set[int] = set()
        go_on = threading.Event()

        def held(exchange: Exchange) -> None:
            ports.add(exchange.sock.getpeername()[1])
            go_on.wait(5)
            ok(exchange)

        with ApiServer(*[held] * 12) as server:
            client = make(server, clock=RealClock(), pool_size=3)
            threads = in_threads(12, lambda: client.get(CONFIG_MAPS, "a"))
            eventually(lambda: len(server.requests) == 3)
            go_on.set()
            for thread in threads:
                thread.join(5)
            assert (len(server.requests), len(ports)) == (12, 3)
            assert len(client._transport._pool.live._handles) == 3

    def test_wait_no_longer_than_a_call_may_take(self, make: Connect) -> None:
        clock = FakeClock()
        with ApiServer(Exchange.silence) as server:
            client = make(server, clock=clock, pool_size=1, timeout=30)
            (busy,) = in_threads(1, lambda: client.get(CONFIG_MAPS, "a"))
            eventually(lambda: server.requests)
            told: list[str] = []

            def call() -> None:
                with pytest.raises(ConnectionFailed) as caught:
                    client.create(CONFIG_MAPS, config_map("a"))
                told.append(str(caught.value))

            waiting = threading.Thread(target=call)
            waiting.start()
            clock.await_waiters()
            clock.step(30)
            waiting.join(5)
            assert told == [
                f"{server.url}: all connections were in use for as long as the call may take"
            ]
            client.close()
            busy.join(5)
            assert len(server.requests) == 1

    def test_are_all_ended_by_closing(self, make: Connect) -> None:
        with ApiServer(*[Exchange.silence] * 9) as server:
            client = make(server, clock=RealClock(), pool_size=2, timeout=60)
            threads = in_threads(6, lambda: client.get(CONFIG_MAPS, "a"))
            eventually(lambda: len(server.requests) == 2)
            client.close()
            for thread in threads:
                thread.join(2)
            assert not any(thread.is_alive() for thread in threads)
            assert len(server.requests) == 2


class TestLimit:
    """Requests a second, by a clock whose waits are over at once."""

    def client(self, make: Connect, server: ApiServer, clock: InstantClock) -> Client:
        return make(server, clock=clock, throttle=Throttle(0.1, 2, clock=clock), timeout=30)

    def test_is_one_for_a_client_and_its_sessions(self, make: Connect) -> None:
        clock = InstantClock()
        with ApiServer(*[ok] * 4) as server:
            client = self.client(make, server, clock)
            session = client.session()
            for one in (client, session, client, session):
                one.get(CONFIG_MAPS, "a")
            session.close()
        assert clock.waits == pytest.approx([10.0, 10.0])

    def test_is_not_for_watches(self, make: Connect) -> None:
        def stream(exchange: Exchange) -> None:
            exchange.begin()
            exchange.end()

        clock = InstantClock()
        with ApiServer(*[stream] * 5, ok) as server:
            client = self.client(make, server, clock)
            for _ in range(5):
                with client.watch(CONFIG_MAPS, query={}) as watch:
                    assert list(watch) == []
            client.get(CONFIG_MAPS, "a")
        assert clock.waits == []

    def test_counts_repeated_requests_too(self, make: Connect) -> None:
        clock = InstantClock()
        with ApiServer(*[status(429, "Busy", Retry_After="1")] * 2, ok) as server:
            self.client(make, server, clock).get(CONFIG_MAPS, "a")
        assert clock.waits == pytest.approx([1.0, 1.0, 8.0])

    def test_fails_at_once_what_would_come_too_late(self, make: Connect) -> None:
        clock = InstantClock()
        with ApiServer(*[ok] * 4) as server:
            throttle = Throttle(0.01, 1, clock=clock)
            client = make(server, clock=clock, throttle=throttle, timeout=30)
            client.get(CONFIG_MAPS, "a")
            with pytest.raises(ConnectionFailed) as caught:
                client.get(CONFIG_MAPS, "a")
        assert clock.waits == []
        assert caught.value.timed_out
        assert str(caught.value) == (
            f"{server.url}: client side rate limit: would have to wait longer than the deadline"
        )

    def test_takes_from_the_time_of_the_call(self, make: Connect) -> None:
        clock = InstantClock()
        busy = status(503, "Busy", Retry_After="9")
        with ApiServer(ok, ok, busy, ok) as server:
            client = self.client(make, server, clock)
            client.get(CONFIG_MAPS, "a")
            client.get(CONFIG_MAPS, "a")
            # 10 s for a turn, 9 s as the server asks: the next turn is 1 s later, within 30 s.
            client.get(CONFIG_MAPS, "a")
            assert clock.waits == pytest.approx([10.0, 9.0, 1.0])

    def test_does_not_hold_a_client_that_is_closed(self, make: Connect) -> None:
        clock = FakeClock()
        with ApiServer(ok, ok) as server:
            throttle = Throttle(0.1, 1, clock=clock)
            client = make(server, clock=clock, throttle=throttle, timeout=30)
            client.get(CONFIG_MAPS, "a")
            (waiting,) = in_threads(1, lambda: client.get(CONFIG_MAPS, "a"))
            clock.await_waiters()
            client.close()
            waiting.join(5)
            assert not waiting.is_alive()
        assert len(server.requests) == 1


@dataclass
class Recorded:
    """Metrics that are kept as they were told."""

    requests: list[tuple[str, str, bool]] = field(default_factory=list)
    durations: list[tuple[str, float]] = field(default_factory=list)
    waits: list[tuple[str, float]] = field(default_factory=list)

    def request(self, verb: str, code: str, *, again: bool) -> None:
        self.requests.append((verb, code, again))

    def duration(self, verb: str, seconds: float) -> None:
        self.durations.append((verb, seconds))

    def throttled(self, verb: str, seconds: float) -> None:
        self.waits.append((verb, seconds))


class TestMetrics:
    def test_tell_every_attempt_and_the_time_of_all(self, make: Connect) -> None:
        metrics, clock = Recorded(), InstantClock()
        answers = [
            status(429, "Busy", Retry_After="7"),
            Exchange.reset,
            ok,
            status(404, "NotFound"),
        ]
        with ApiServer(*answers) as server:
            client = make(server, clock=clock, metrics=metrics)
            client.get(CONFIG_MAPS, "a")
            with pytest.raises(ApiError):
                client.delete(CONFIG_MAPS, "a")
        assert metrics.requests == [
            ("GET", "429", False),
            ("GET", "<error>", True),
            ("GET", "200", True),
            ("DELETE", "404", False),
        ]
        assert metrics.durations == [("GET", 8.0), ("DELETE", 0.0)]
        assert metrics.waits == []

    def test_tell_a_401_that_nobody_sees(self, tmp_path: Path) -> None:
        metrics, token = Recorded(), tmp_path / "token"
        token.write_text("old")

        def rotate(exchange: Exchange) -> None:
            token.write_text("new")
            status(401, "Unauthorized")(exchange)

        with ApiServer(rotate, ok) as server:
            config = ClusterConfig(lambda: configuration(server.url), token_file=TokenFile(token))
            client = Client(config, clock=RealClock(), metrics=metrics)
            client.get(CONFIG_MAPS, "a")
            client.close()
        assert metrics.requests == [("GET", "401", False), ("GET", "200", True)]

    def test_of_watches_are_about_their_beginning(self, make: Connect) -> None:
        def stream(exchange: Exchange) -> None:
            exchange.begin()
            exchange.end()

        metrics = Recorded()
        with ApiServer(stream) as server:
            session = make(server, clock=InstantClock(), metrics=metrics).session()
            with session.watch(CONFIG_MAPS, query={}):
                pass
            session.close()
        assert (metrics.requests, metrics.durations) == ([("GET", "200", False)], [])

    def test_tell_what_the_limit_cost(self, make: Connect) -> None:
        metrics, clock = Recorded(), InstantClock()
        with ApiServer(ok, ok) as server:
            throttle = Throttle(0.1, 1, clock=clock)
            client = make(server, clock=clock, metrics=metrics, throttle=throttle)
            client.get(CONFIG_MAPS, "a")
            client.get(CONFIG_MAPS, "a")
        assert metrics.waits == [("GET", 0.0), ("GET", pytest.approx(10.0))]


def code_of(client: Client) -> int:
    try:
        client.get(CONFIG_MAPS, "a")
    except ApiError as error:
        return error.code
    return 200


def test_a_call_leaves_nothing_to_the_cyclic_collector(make: Connect) -> None:
    """It comes late: the bodies of a thousand calls would wait for it."""
    gc.collect()
    gc.disable()
    try:
        answers = (ok, status(429, "Busy", Retry_After="7"), ok, status(404, "NotFound"))
        with ApiServer(*answers) as server:
            client = make(server, clock=InstantClock())
            codes = [code_of(client) for _ in range(3)]
        assert codes == [200, 200, 404]
        assert [each for each in gc.get_objects() if isinstance(each, Retrying)] == []
    finally:
        gc.enable()
