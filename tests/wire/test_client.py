"""Single calls over real sockets."""

import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from informers.errors import ApiError, ConnectionFailed, is_conflict
from informers.resource import Resource
from informers.rest.client import APPLY_PATCH, READ_TIMEOUT, Client
from tests.support.apiserver import ApiServer, Exchange
from tests.support.listerwatcher import CONFIG_MAPS, config_map

Connect = Callable[..., Client]

PODS = Resource("", "v1", "pods", "Pod", namespaced=True)
SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", namespaced=True)


def ok(exchange: Exchange) -> None:
    exchange.answer(200, config_map("a", 1))


def status(code: int, reason: str, **headers: str) -> Callable[[Exchange], None]:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"it is {reason}"}
    return lambda exchange: exchange.answer(code, body, **headers)


def test_every_call_is_the_request_that_the_api_wants(connect: Connect) -> None:
    with ApiServer(*[ok] * 9) as server:
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
        client.post_subresource(PODS, "p", "eviction", {}, "ns", dry_run=True)
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
        ("POST", "/api/v1/namespaces/ns/pods/p/eviction", {"dryRun": "All"}),
        ("GET", "/version", {}),
    ]
    assert b'"propagationPolicy":"Orphan"' in server.requests[5].body
    assert b'"preconditions":{"uid":"u"}' in server.requests[5].body
    types = [one.headers.get("content-type") for one in server.requests]
    assert types[3:5] == ["application/json", "application/apply-patch+yaml"]
    assert types[0] is None


def test_a_watch_may_be_silent_for_longer_than_from_one_bookmark_to_the_next() -> None:
    assert READ_TIMEOUT == 75


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


@pytest.mark.parametrize(
    ("date", "told"),
    [
        ("Sun, 01 Nov 2026 12:00:00 GMT", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("yesterday", None),
    ],
)
def test_the_servers_time_is_that_of_its_answer(
    connect: Connect, date: str, told: datetime | None
) -> None:
    with ApiServer(lambda exchange: exchange.answer(200, {}, Date=date)) as server:
        assert connect(server).server_time() == told
    assert server.paths() == ["/version"]


def test_a_server_that_tells_no_time_is_no_error(connect: Connect) -> None:
    with ApiServer(ok) as server:
        assert connect(server).server_time() is None
