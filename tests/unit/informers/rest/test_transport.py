"""One request and its answer over real sockets, and what is said when there is none."""

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from urllib3 import exceptions as http

from informers.errors import ApiError, ConnectionFailed
from informers.rest.config import ClusterConfig
from informers.rest.connections import Left
from informers.rest.transport import Request, Transport
from tests.support.apiserver import Answer, ApiServer, Exchange, configuration
from tests.support.eventually import eventually

Make = Callable[..., Transport]


def five() -> float:
    return 5.0


def ok(exchange: Exchange) -> None:
    exchange.answer(200, {"ok": True})


def refuse(code: int, body: object = b"", **headers: str) -> Answer:
    return lambda exchange: exchange.answer(code, body, **headers)


@pytest.fixture
def make(_no_stray_threads: None) -> Iterator[Make]:
    """Make transports to a URL, closed at the end."""
    made: list[Transport] = []

    def build(url: str) -> Transport:
        made.append(Transport(ClusterConfig(lambda: configuration(url)), 2, "agent/1"))
        return made[-1]

    yield build
    for transport in made:
        transport.close()


def send(transport: Transport, url: str, left: Left = five) -> bytes:
    return transport.read(transport.send(Request("GET", f"{url}/x"), None, left))


def failure(transport: Transport, url: str, left: Left = five) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as caught:
        send(transport, url, left)
    return caught.value


def kind(error: ConnectionFailed) -> list[str]:
    return [name for name in ("refused", "timed_out", "dropped") if getattr(error, name)]


class TestRequests:
    def test_carry_what_was_asked_for_and_who_asks(self, make: Make) -> None:
        with ApiServer(ok, ok) as server:
            transport = make(server.url)
            request = Request("PATCH", f"{server.url}/a?x=y%3Dz", b"{}", "application/z")
            transport.read(transport.send(request, "Bearer secret", five))
            send(transport, server.url)
        patch, get = server.requests
        assert (patch.method, patch.path, patch.query, patch.body) == (
            *("PATCH", "/a", {"x": "y=z"}),
            b"{}",
        )
        wanted = ("accept", "user-agent", "authorization", "content-type")
        assert [patch.headers.get(name) for name in wanted] == [
            *("application/json", "agent/1", "Bearer secret", "application/z"),
        ]
        assert [get.headers.get(name) for name in wanted] == [
            *("application/json", "agent/1", None, None),
        ]

    def test_are_answered_as_soon_as_the_head_is_there(self, make: Make) -> None:
        go_on = threading.Event()

        def in_two_parts(exchange: Exchange) -> None:
            exchange.begin()
            exchange.chunk(b"first")
            go_on.wait(5)
            exchange.chunk(b"second")
            exchange.end()

        with ApiServer(in_two_parts) as server:
            response = make(server.url).send(Request("GET", server.url), None, five)
            parts = response.stream(1024)
            assert next(parts) == b"first"
            go_on.set()
            assert b"".join(parts) == b"second"


class TestRefusals:
    def test_include_redirects_which_are_not_followed(self, make: Make) -> None:
        with ApiServer(refuse(302, Location="/elsewhere"), ok) as server:
            with pytest.raises(ApiError, match=r"HTTP status 302 \(302 Unknown\)"):
                send(make(server.url), server.url)
            assert server.paths() == ["/x"]

    def test_carry_the_status_and_when_to_come_back(self, make: Make) -> None:
        body = {"kind": "Status", "reason": "TooManyRequests", "message": "busy"}
        with (
            ApiServer(refuse(429, body, Retry_After="7")) as server,
            pytest.raises(ApiError, match=r"busy \(429 TooManyRequests\)") as caught,
        ):
            send(make(server.url), server.url)
        assert caught.value.retry_after == 7

    def test_count_even_if_their_text_is_cut_off(self, make: Make) -> None:
        def cut(exchange: Exchange) -> None:
            exchange.send(b"HTTP/1.1 403 x\r\nContent-Length: 100\r\n\r\nhalf of i")
            exchange.close()

        with (
            ApiServer(cut) as server,
            pytest.raises(ApiError, match=r"HTTP status 403 \(403 Forbidden\)"),
        ):
            send(make(server.url), server.url)

    def test_leave_the_connection_for_the_next_request(self, make: Make) -> None:
        ports: list[int] = []

        def note(exchange: Exchange) -> None:
            ports.append(exchange.sock.getpeername()[1])
            exchange.answer(404 if len(ports) == 1 else 200, {})

        with ApiServer(note, note) as server:
            transport = make(server.url)
            with pytest.raises(ApiError):
                send(transport, server.url)
            send(transport, server.url)
        assert len(set(ports)) == 1


class TestFailures:
    def test_to_connect(self, make: Make) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        error = failure(make(url), url)
        assert (str(error), kind(error)) == (f"{url}: Connection refused", ["refused"])

    def test_to_get_an_answer_in_time(self, make: Make) -> None:
        with ApiServer() as server:
            error = failure(make(server.url), server.url, lambda: 0.05)
            assert (str(error), kind(error)) == (f"{server.url}: no answer in time", ["timed_out"])

    @pytest.mark.parametrize(
        ("end", "cause"),
        [
            (Exchange.reset, "Connection reset by peer"),
            (Exchange.close, "Remote end closed connection without response"),
        ],
    )
    def test_to_keep_the_connection(self, make: Make, end: Answer, cause: str) -> None:
        with ApiServer(end) as server:
            error = failure(make(server.url), server.url)
        assert str(error) == f"{server.url}: connection lost: {cause}"
        assert kind(error) == ["dropped"]

    def test_to_agree_on_tls(self, make: Make) -> None:
        def speak_plainly() -> None:
            sock, _ = listener.accept()
            # The client leaves in anger, which the system may show as a reset.
            with sock, contextlib.suppress(OSError):
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                while sock.recv(4096):
                    pass

        with socket.create_server(("127.0.0.1", 0)) as listener:
            answering = threading.Thread(target=speak_plainly)
            answering.start()
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            error = failure(make(url), url)
            answering.join(5)
        assert str(error).startswith(f"{url}: TLS: [SSL: WRONG_VERSION_NUMBER]")
        assert kind(error) == []

    def test_of_urllib3_are_told_by_text_or_kind(self, make: Make) -> None:
        transport = make("http://127.0.0.1:1")
        assert str(transport.failure(http.HTTPError())) == "http://127.0.0.1:1: HTTPError"
        error = transport.failure(http.SSLError("wrong fingerprint"))
        assert str(error) == "http://127.0.0.1:1: TLS: wrong fingerprint"
        error = transport.failure(http.ProtocolError("what\n  was that"))
        assert str(error) == "http://127.0.0.1:1: connection lost: what was that"

    def test_by_the_system_are_told_in_its_words(self, make: Make) -> None:
        """What happened before in the same handler does not hide it."""
        error = OSError(113, "No route to host")
        error.__context__ = LookupError("no idle connection")
        told = make("http://127.0.0.1:1").failure(error)
        assert str(told) == "http://127.0.0.1:1: No route to host"


HEAD = b"HTTP/1.1 200 x\r\nContent-Length: 99\r\n\r\n"
REFUSAL = b"HTTP/1.1 500 x\r\nContent-Length: 99\r\n\r\n"
OLD = b"HTTP/1.0 200 x\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"


def seconds(count: float) -> Left:
    """So many from now on."""
    began = time.monotonic()
    return lambda: began + count - time.monotonic()


class TestTrickle:
    """A server that sends a byte now and then gets no more time than one that is silent."""

    def trickle(self, head: bytes, more: bytes) -> Answer:
        def answer(exchange: Exchange) -> None:
            exchange.send(head)
            for _ in range(500):
                if exchange.stopping.wait(0.002):
                    return
                exchange.send(more)
            exchange.close()

        return answer

    @pytest.mark.parametrize(
        ("head", "more"),
        [
            (HEAD, b" "),
            (OLD, b" "),
            (CHUNKS, b"1\r\n \r\n"),
            (CHUNKS, b"0"),
            (b"HTTP/1.1 200 x\r\n", b"X: y\r\n"),
            (b"", b"H"),
        ],
    )
    def test_ends_in_time(self, make: Make, head: bytes, more: bytes) -> None:
        with ApiServer(self.trickle(head, more), ok) as server:
            transport = make(server.url)
            error = failure(transport, server.url, seconds(0.1))
            assert (str(error), kind(error)) == (f"{server.url}: no answer in time", ["timed_out"])
            # What is left of it must not become the next answer.
            assert send(transport, server.url) == b'{"ok": true}'

    def test_of_a_refusal_ends_too_and_leaves_the_code(self, make: Make) -> None:
        with ApiServer(self.trickle(REFUSAL, b" "), ok) as server:
            transport = make(server.url)
            with pytest.raises(ApiError, match="500 InternalError"):
                send(transport, server.url, seconds(0.1))
            assert send(transport, server.url) == b'{"ok": true}'

    def test_of_a_server_that_then_falls_silent_gets_no_second_helping(self, make: Make) -> None:
        """Each read may wait for what is left, not for what was left at the beginning."""
        waits: list[float] = []

        def left() -> float:
            waits.append(five())
            return waits[-1] if len(waits) < 3 else 0.05

        def halt(exchange: Exchange) -> None:
            exchange.send(HEAD)
            exchange.stopping.wait(1)
            exchange.close()

        with ApiServer(halt) as server:
            error = failure(make(server.url), server.url, left)
        assert kind(error) == ["timed_out"]

    def test_without_any_time_nothing_is_sent(self, make: Make) -> None:
        with ApiServer(ok) as server:
            error = failure(make(server.url), server.url, seconds(0))
            assert server.requests == []
        assert (str(error), kind(error)) == (
            f"{server.url}: no time was left to send the request",
            ["timed_out"],
        )


class TestClose:
    def test_refuses_what_follows(self, make: Make) -> None:
        with ApiServer(ok) as server:
            transport = make(server.url)
            send(transport, server.url)
            transport.close()
            transport.close()
            assert transport.closed.is_set()
            error = failure(transport, server.url)
            assert len(server.requests) == 1
        assert (str(error), kind(error)) == (f"{server.url}: the client is closed", [])

    def test_ends_requests_of_old_and_new_connections(self) -> None:
        """A renewal leaves requests that are under way alone, but out of reach of nobody."""
        tokens = ["old"]
        failed: list[ConnectionFailed] = []
        with ApiServer() as server:
            config = ClusterConfig(lambda: configuration(server.url, tokens[-1]))
            transport = Transport(config, 2, "agent/1")
            threads = [
                threading.Thread(target=lambda: failed.append(failure(transport, server.url)))
                for _ in range(2)
            ]
            threads[0].start()
            eventually(lambda: len(server.requests) == 1)
            tokens.append("new")
            assert config.renewed(config.identity(0, 5), 0, 5)
            threads[1].start()
            eventually(lambda: len(server.requests) == 2)
            assert failed == []
            transport.close()
            for thread in threads:
                thread.join(2)
            assert [kind(error) for error in failed] == [["dropped"]] * 2
            # Their tracebacks hold the old pool, which closes its connections when it goes.
            failed.clear()
            gc.collect()


class TestRenewal:
    def test_closes_what_is_idle(self) -> None:
        """A client certificate belongs to a connection, so new ones need new connections."""
        tokens = ["old"]
        with ApiServer(ok, ok) as server:
            config = ClusterConfig(lambda: configuration(server.url, tokens[-1]))
            transport = Transport(config, 2, "agent/1")
            send(transport, server.url)
            before = transport._pool
            live = set(before.live._handles)
            tokens.append("new")
            assert config.renewed(config.identity(0, 5), 0, 5)
            send(transport, server.url)
            assert transport._pool is not before
            assert not live & transport._pool.live._handles
            transport.close()
