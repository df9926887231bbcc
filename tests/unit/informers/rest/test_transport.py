"""One request and its answer over real sockets, and what is said when there is none."""

import contextlib
import gc
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import urllib3
from kubernetes.client import Configuration
from urllib3 import exceptions as http

from informers.errors import ApiError, ConnectionFailed
from informers.rest.config import ClusterConfig
from informers.rest.transport import Request, Transport
from tests.support.apiserver import Answer, ApiServer, Exchange, configuration
from tests.support.eventually import eventually
from workqueue.clock import RealClock

Make = Callable[..., Transport]
TIMEOUT = urllib3.Timeout(connect=5, read=5)


def ok(exchange: Exchange) -> None:
    exchange.answer(200, {"ok": True})


def refuse(code: int, body: object = b"", **headers: str) -> Answer:
    return lambda exchange: exchange.answer(code, body, **headers)


@pytest.fixture
def make(_no_stray_threads: None) -> Iterator[Make]:
    """Make transports to a URL, closed at the end; each reading of the config takes a token."""
    made: list[Transport] = []

    def build(url: str, *tokens: str) -> Transport:
        left = iter(tokens)
        config = ClusterConfig(lambda: configuration(url, next(left, None)))
        made.append(Transport(config, 2, "agent/1", clock=RealClock()))
        return made[-1]

    yield build
    for transport in made:
        transport.close()


def send(transport: Transport, url: str, timeout: urllib3.Timeout = TIMEOUT) -> bytes:
    response = transport.send(Request("GET", f"{url}/x"), timeout)
    try:
        return response.read()
    finally:
        response.release_conn()


def failure(
    transport: Transport, url: str, timeout: urllib3.Timeout = TIMEOUT
) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as caught:
        send(transport, url, timeout)
    return caught.value


def kind(error: ConnectionFailed) -> list[str]:
    return [name for name in ("refused", "timed_out", "dropped") if getattr(error, name)]


class TestRequests:
    def test_carry_what_was_asked_for_and_who_asks(self, make: Make) -> None:
        with ApiServer(ok, ok) as server:
            transport = make(server.url, "secret")
            transport.send(
                Request("PATCH", f"{server.url}/a?x=y%3Dz", b"{}", "application/z"), TIMEOUT
            ).read()
            send(make(server.url), server.url)
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
            response = make(server.url).send(Request("GET", server.url), TIMEOUT)
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


class TestOldCredentials:
    def test_are_renewed_and_the_request_is_sent_again_whole(self, make: Make) -> None:
        with ApiServer(refuse(401), ok) as server:
            transport = make(server.url, "old", "new")
            request = Request("POST", server.url, b'{"a": 1}', "application/json")
            assert transport.send(request, TIMEOUT).read() == b'{"ok": true}'
        assert [(one.body, one.headers["authorization"]) for one in server.requests] == [
            (b'{"a": 1}', "Bearer old"),
            (b'{"a": 1}', "Bearer new"),
        ]

    @pytest.mark.parametrize(
        ("tokens", "sent"),
        [
            (["same"] * 9, ["same"]),
            (["one", "two", "three"], ["one", "two"]),
        ],
    )
    def test_are_tried_once_more_at_most(
        self, make: Make, tokens: list[str], sent: list[str]
    ) -> None:
        with ApiServer(*[refuse(401)] * 3) as server:
            with pytest.raises(ApiError, match="401 Unauthorized"):
                send(make(server.url, *tokens), server.url)
            assert [one.headers["authorization"] for one in server.requests] == [
                f"Bearer {token}" for token in sent
            ]

    def test_that_another_thread_renewed_meanwhile_are_noticed(self) -> None:
        tokens = ["old"]

        def refresh(made: Configuration) -> None:
            made.api_key["BearerToken"] = f"Bearer {tokens[-1]}"

        def load() -> Configuration:
            made = configuration(server.url, tokens[-1])
            made.refresh_api_key_hook = refresh  # type: ignore[assignment] # declared as None
            return made

        def refuse_late(exchange: Exchange) -> None:
            tokens.append("new")
            config.authorization(0.0)
            exchange.answer(401, b"")

        with ApiServer(refuse_late, ok) as server:
            config = ClusterConfig(load)
            transport = Transport(config, 1, "agent/1", clock=RealClock())
            send(transport, server.url)
            transport.close()
        sent = [one.headers["authorization"] for one in server.requests]
        assert sent == ["Bearer old", "Bearer new"]

    def test_stay_with_their_connections(self, make: Make) -> None:
        """A client certificate belongs to a connection, so new ones need new connections."""
        ports: list[int] = []

        def note(exchange: Exchange) -> None:
            ports.append(exchange.sock.getpeername()[1])
            exchange.answer(401 if len(ports) == 2 else 200, {})

        with ApiServer(*[note] * 4) as server:
            transport = make(server.url, "old", "new")
            for _ in range(3):
                send(transport, server.url)
        first, refused, again, last = ports
        assert first == refused != again == last


class TestFailures:
    def test_to_connect(self, make: Make) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        error = failure(make(url), url)
        assert (str(error), kind(error)) == (f"{url}: Connection refused", ["refused"])

    def test_to_get_an_answer_in_time(self, make: Make) -> None:
        with ApiServer() as server:
            error = failure(make(server.url), server.url, urllib3.Timeout(connect=5, read=0.05))
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

    def test_ends_requests_of_old_and_new_credentials(self, make: Make) -> None:
        """Renewing them leaves requests that are under way alone, but out of reach of nobody."""
        failed: list[ConnectionFailed] = []
        with ApiServer(Exchange.silence, refuse(401), Exchange.silence) as server:
            transport = make(server.url, "old", "new")
            threads = [
                threading.Thread(target=lambda: failed.append(failure(transport, server.url)))
                for _ in range(2)
            ]
            threads[0].start()
            eventually(lambda: len(server.requests) == 1)
            threads[1].start()
            eventually(lambda: len(server.requests) == 3)
            assert failed == []
            transport.close()
            for thread in threads:
                thread.join(2)
            assert [kind(error) for error in failed] == [["dropped"]] * 2
            # Their tracebacks hold the old pool, which closes its connections when it goes.
            failed.clear()
            gc.collect()
