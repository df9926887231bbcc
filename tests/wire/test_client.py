"""Single calls over real sockets."""

import socket
import threading
import time
from collections.abc import Callable

import pytest
from kubernetes.client import Configuration

from informers.client import APPLY_PATCH, Client
from informers.config import ClusterConfig
from informers.errors import ApiError, ConnectionFailed, is_conflict, is_too_many_requests
from informers.resource import Resource
from tests.support.apiserver import ApiServer, Exchange, configuration
from tests.support.listerwatcher import CONFIG_MAPS, InstantClock, config_map
from workqueue.clock import RealClock

Connect = Callable[..., Client]

PODS = Resource("", "v1", "pods", "Pod", namespaced=True)
SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", namespaced=True)


def ok(exchange: Exchange) -> None:
    exchange.answer(200, config_map("a", 1))


def status(code: int, reason: str, **headers: str) -> Callable[[Exchange], None]:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"it is {reason}"}
    return lambda exchange: exchange.answer(code, body, **headers)


def test_every_call_is_the_request_that_the_api_wants(connect: Connect) -> None:
    with ApiServer(*[ok] * 8) as server:
        client = connect(server)
        client.get(CONFIG_MAPS, "a", "default")
        client.list(SETS, "ns", labelSelector="a=b,c", limit=5, allowWatchBookmarks=True)
        client.list(SETS)
        client.create(CONFIG_MAPS, config_map("a"), "default")
        query: dict[str, str | int | bool | None] = {"fieldManager": "me", "force": True}
        client.patch(
            SETS,
            "a",
            {},
            namespace="ns",
            subresource="scale",
            content_type=APPLY_PATCH,
            query=query,
        )
        client.delete(SETS, "a", namespace="ns", preconditions={"uid": "u"}, propagation="Orphan")
        client.post_subresource(PODS, "p", "eviction", {"kind": "Eviction"}, "ns")
        client.raw_get("/version")
    assert [(one.method, one.path, one.query) for one in server.requests] == [
        ("GET", "/api/v1/namespaces/default/configmaps/a", {}),
        (
            "GET",
            "/apis/apps/v1/namespaces/ns/replicasets",
            {"labelSelector": "a=b,c", "limit": "5", "allowWatchBookmarks": "true"},
        ),
        ("GET", "/apis/apps/v1/replicasets", {}),
        ("POST", "/api/v1/namespaces/default/configmaps", {}),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/ns/replicasets/a/scale",
            {"fieldManager": "me", "force": "true"},
        ),
        ("DELETE", "/apis/apps/v1/namespaces/ns/replicasets/a", {}),
        ("POST", "/api/v1/namespaces/ns/pods/p/eviction", {}),
        ("GET", "/version", {}),
    ]
    assert b'"propagationPolicy":"Orphan"' in server.requests[5].body
    assert b'"preconditions":{"uid":"u"}' in server.requests[5].body
    types = [one.headers.get("content-type") for one in server.requests]
    assert types[3:5] == ["application/json", "application/apply-patch+yaml"]
    assert types[0] is None


def test_connections_are_used_again(connect: Connect) -> None:
    ports: list[int] = []

    def note(exchange: Exchange) -> None:
        ports.append(exchange.sock.getpeername()[1])
        exchange.answer(404 if len(ports) == 2 else 200, {})

    with ApiServer(note, note, note) as server:
        client = connect(server)
        client.get(CONFIG_MAPS, "a")
        with pytest.raises(ApiError):
            client.get(CONFIG_MAPS, "a")
        client.get(CONFIG_MAPS, "a")
    assert len(set(ports)) == 1


def test_a_refusal_carries_what_the_status_says(connect: Connect) -> None:
    body = {"kind": "Status", "reason": "Conflict", "message": "changed", "details": {"name": "a"}}
    with (
        ApiServer(lambda exchange: exchange.answer(409, body)) as server,
        pytest.raises(ApiError) as caught,
    ):
        connect(server).get(CONFIG_MAPS, "a")
    assert is_conflict(caught.value)
    assert (caught.value.code, caught.value.details) == (409, {"name": "a"})


def test_a_refusal_without_a_status_is_named_by_its_code(connect: Connect) -> None:
    with (
        ApiServer(lambda exchange: exchange.answer(403, b"<html>\n no </html>")) as server,
        pytest.raises(ApiError, match=r"<html> no </html> \(403 Forbidden\)"),
    ):
        connect(server).get(CONFIG_MAPS, "a")


class TestRetries:
    def client(self, server: ApiServer, clock: InstantClock) -> Client:
        return Client(server.config(), clock=clock, timeout=30)

    @pytest.mark.parametrize("method", ["get", "create"])
    @pytest.mark.parametrize("code", [429, 500, 503])
    def test_come_when_the_server_says(self, method: str, code: int) -> None:
        clock = InstantClock()
        busy = status(code, "Busy", Retry_After="7")
        with ApiServer(busy, busy, ok) as server:
            client = self.client(server, clock)
            if method == "get":
                client.get(CONFIG_MAPS, "a")
            else:
                client.create(CONFIG_MAPS, config_map("a"))
            client.close()
        assert clock.waits == [7.0, 7.0]

    @pytest.mark.parametrize("headers", [{}, {"Retry_After": "soon"}])
    def test_do_not_come_when_it_does_not(self, connect: Connect, headers: dict[str, str]) -> None:
        with (
            ApiServer(status(429, "TooManyRequests", **headers)) as server,
            pytest.raises(ApiError) as caught,
        ):
            connect(server).get(CONFIG_MAPS, "a")
        assert is_too_many_requests(caught.value)

    def test_end_at_ten(self) -> None:
        clock = InstantClock()
        with ApiServer(*[status(429, "TooManyRequests", Retry_After="1")] * 20) as server:
            client = self.client(server, clock)
            with pytest.raises(ApiError):
                client.get(CONFIG_MAPS, "a")
            client.close()
        assert len(server.requests) == 11

    def test_end_when_the_time_would_run_out(self) -> None:
        clock = InstantClock()
        with ApiServer(*[status(429, "TooManyRequests", Retry_After="12")] * 20) as server:
            client = self.client(server, clock)
            with pytest.raises(ApiError):
                client.get(CONFIG_MAPS, "a")
            client.close()
        assert clock.waits == [12.0, 12.0]

    def test_of_a_lost_connection_are_for_reads_only(self) -> None:
        clock = InstantClock()
        with ApiServer(Exchange.reset, ok, Exchange.reset) as server:
            client = self.client(server, clock)
            assert client.get(CONFIG_MAPS, "a") == config_map("a", 1)
            with pytest.raises(ConnectionFailed) as caught:
                client.create(CONFIG_MAPS, config_map("a"))
            client.close()
        assert caught.value.dropped
        assert clock.waits == [1.0]
        assert [one.method for one in server.requests] == ["GET", "GET", "POST"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class TestFailures:
    def test_to_connect_name_server_and_cause(self) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        client = Client(ClusterConfig(lambda: configuration(url)), clock=RealClock())
        with pytest.raises(ConnectionFailed) as caught:
            client.get(CONFIG_MAPS, "a")
        client.close()
        assert str(caught.value) == f"{url}: Connection refused"
        assert caught.value.refused

    def test_of_a_server_that_says_nothing_come_in_time(self, connect: Connect) -> None:
        with ApiServer() as server:
            began = time.monotonic()
            with pytest.raises(ConnectionFailed, match="no answer in time") as caught:
                connect(server, timeout=0.2).get(CONFIG_MAPS, "a")
            assert time.monotonic() - began < 2
        assert caught.value.timed_out

    def test_of_a_server_that_trickles_come_in_time(self, connect: Connect) -> None:
        def trickle(exchange: Exchange) -> None:
            exchange.begin()
            while not exchange.stopping.wait(0.05):
                exchange.chunk(b" ")

        with ApiServer(trickle) as server, pytest.raises(ConnectionFailed, match="too long"):
            connect(server, timeout=0.3).create(CONFIG_MAPS, config_map("a"))

    @pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"kind": "Conf'])
    def test_to_understand_the_answer_are_told(self, connect: Connect, body: bytes) -> None:
        with (
            ApiServer(lambda exchange: exchange.answer(200, body)) as server,
            pytest.raises(ConnectionFailed, match="the answer is not"),
        ):
            connect(server).create(CONFIG_MAPS, config_map("a"))

    def test_because_of_tls_are_one_line(self) -> None:
        with ApiServer() as server:
            url = server.url.replace("http:", "https:")
            client = Client(
                ClusterConfig(lambda: configuration(url)), clock=RealClock(), timeout=1
            )
            with pytest.raises(ConnectionFailed) as caught:
                client.raw_get("/")
            client.close()
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(f"{url}: ")


class TestCredentials:
    def rotating(self, server: ApiServer, *tokens: str) -> Client:
        """A client whose token is another one each time that it is read."""
        left = iter(tokens)
        config = ClusterConfig(lambda: configuration(server.url, next(left)))
        return Client(config, clock=RealClock())

    def test_are_sent_but_never_shown(self, connect: Connect) -> None:
        with ApiServer(ok) as server:
            client = connect(server, token="very-secret")
            client.get(CONFIG_MAPS, "a")
        assert server.requests[0].headers["authorization"] == "Bearer very-secret"
        assert "secret" not in f"{client!r} {server.config('very-secret')!r}"

    def test_are_read_again_after_a_401_and_the_call_is_repeated(self) -> None:
        with ApiServer(status(401, "Unauthorized"), ok, ok) as server:
            client = self.rotating(server, "old", "new")
            client.create(CONFIG_MAPS, config_map("a"))
            client.get(CONFIG_MAPS, "a")
            client.close()
        sent = [one.headers["authorization"] for one in server.requests]
        assert sent == ["Bearer old", "Bearer new", "Bearer new"]

    def test_that_stay_the_same_are_not_tried_twice(self) -> None:
        with ApiServer(status(401, "Unauthorized")) as server:
            client = self.rotating(server, "same", "same")
            with pytest.raises(ApiError, match="401 Unauthorized"):
                client.get(CONFIG_MAPS, "a")
            client.close()
        assert len(server.requests) == 1

    def test_that_fail_again_end_the_call(self) -> None:
        with ApiServer(*[status(401, "Unauthorized")] * 2) as server:
            client = self.rotating(server, "one", "two", "three")
            with pytest.raises(ApiError, match="401 Unauthorized"):
                client.get(CONFIG_MAPS, "a")
            client.close()
        assert len(server.requests) == 2

    def test_lose_the_newline_of_their_file(self, connect: Connect) -> None:
        with ApiServer(ok) as server:
            connect(server, token="token\n").get(CONFIG_MAPS, "a")
        assert server.requests[0].headers["authorization"] == "Bearer token"


class TestProxies:
    def through(self, proxy: ApiServer, no_proxy: str) -> Client:
        def load() -> Configuration:
            made = configuration("http://cluster.invalid:6443")
            made.proxy = proxy.url
            made.no_proxy = no_proxy
            return made

        return Client(ClusterConfig(load), clock=RealClock(), timeout=2)

    def test_are_used(self) -> None:
        with ApiServer(ok) as proxy:
            client = self.through(proxy, "")
            client.get(CONFIG_MAPS, "a")
            client.close()
        assert proxy.requests[0].headers["host"] == "cluster.invalid:6443"

    def test_are_passed_by(self) -> None:
        with ApiServer(ok) as proxy:
            client = self.through(proxy, "cluster.invalid")
            with pytest.raises(ConnectionFailed):
                client.get(CONFIG_MAPS, "a")
            client.close()
        assert proxy.requests == []


def test_close_ends_a_call_under_way(connect: Connect) -> None:
    with ApiServer() as server:
        client = connect(server, timeout=60)
        caught: list[ConnectionFailed] = []

        def call() -> None:
            try:
                client.get(CONFIG_MAPS, "a")
            except ConnectionFailed as error:
                caught.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        while not server.requests:
            threading.Event().wait(0.01)
        client.close()
        thread.join(1)
        assert not thread.is_alive()
    assert caught


def test_close_of_a_session_leaves_its_client_alone(connect: Connect) -> None:
    with ApiServer(ok, ok) as server:
        client = connect(server)
        session = client.session()
        session.get(CONFIG_MAPS, "a")
        session.close()
        with pytest.raises(ConnectionFailed, match="closed"):
            session.get(CONFIG_MAPS, "a")
        client.get(CONFIG_MAPS, "a")


def test_sockets_are_kept_alive(connect: Connect) -> None:
    """Both ends of the options: what is asked for and what the kernel then has."""
    with ApiServer(ok) as server:
        client = connect(server)
        client.get(CONFIG_MAPS, "a")
        handles = [*client._transport._pool.live._handles]
        assert len(handles) == 1
        sock = handles[0]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
        client.close()
        assert not client._transport._pool.live._handles


def test_answers_that_are_the_last_of_their_connections_leave_no_handles(connect: Connect) -> None:
    def last(exchange: Exchange) -> None:
        exchange.answer(200, {}, Connection="close")
        exchange.close()

    with ApiServer(*[last] * 5) as server:
        client = connect(server)
        for _ in range(5):
            client.get(CONFIG_MAPS, "a", "default")
        handles = client._transport._pool.live._handles
        assert len(handles) <= 1
        client.close()
        assert not handles
