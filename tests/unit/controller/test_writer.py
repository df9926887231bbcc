"""One write each: what is asked of the server, and what its refusals mean."""

import orjson
import pytest
from structlog.testing import capture_logs

from controller.plan import Create, Delete, Evict, Patch
from controller.resources import PODS, SECRETS, SERVICES
from controller.writer import EvictionBlocked, Writer, is_stale
from informers import ApiError, Client, ConnectionFailed
from tests.support.apiserver import ApiServer, Exchange
from tests.support.listerwatcher import InstantClock
from tests.support.memoryserver import MemoryServer
from tests.support.objects import NAMESPACE, pod

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "s", "namespace": NAMESPACE},
    "spec": {"selector": {"a": "b"}, "ports": [{"port": 1}]},
}


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def told() -> list[tuple[str, str]]:
    """The kinds and versions that the writer tells of."""
    return []


@pytest.fixture
def writer(server: MemoryServer, told: list[tuple[str, str]]) -> Writer:
    return Writer(server.client, NAMESPACE, lambda kind, at: told.append((kind.kind, at)))


def test_an_object_is_made_patched_and_deleted(server: MemoryServer, writer: Writer) -> None:
    writer.carry_out(Create(SERVICES, SERVICE))
    made = server.peek(SERVICES, "s")
    guard = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    writer.carry_out(Patch(SERVICES, "s", {**guard, "spec": {"selector": {"a": "c"}}}))
    assert server.peek(SERVICES, "s")["spec"]["selector"] == {"a": "c"}
    with pytest.raises(ApiError) as stale:
        writer.carry_out(Patch(SERVICES, "s", {**guard, "spec": {"selector": {"a": "d"}}}))
    assert is_stale(stale.value)
    uid, version = (
        made["metadata"]["uid"],
        server.peek(SERVICES, "s")["metadata"]["resourceVersion"],
    )
    for other in (("uid-of-another", version), (uid, made["metadata"]["resourceVersion"])):
        with pytest.raises(ApiError) as stale:
            writer.carry_out(Delete(SERVICES, "s", *other))
        assert is_stale(stale.value)
    writer.carry_out(Delete(SERVICES, "s", uid, version))
    assert server.all(SERVICES) == []


def test_each_write_tells_the_version_that_the_server_names(
    server: MemoryServer, writer: Writer, told: list[tuple[str, str]]
) -> None:
    def version() -> str:
        found: str = server.peek(SERVICES, "s")["metadata"]["resourceVersion"]
        return found

    writer.carry_out(Create(SERVICES, SERVICE))
    assert told == [("Service", version())]
    patch = {"metadata": {"resourceVersion": version()}, "spec": {"selector": {"a": "c"}}}
    writer.carry_out(Patch(SERVICES, "s", patch))
    assert told[1:] == [("Service", version())]
    # A deletion is answered by a Status, which names none, and so is an eviction, after which the
    # pod is asked for.
    uid = server.peek(SERVICES, "s")["metadata"]["uid"]
    writer.carry_out(Delete(SERVICES, "s", uid, version()))
    seen = server.put(PODS, pod("p"))["metadata"]
    writer.carry_out(Evict("p", seen["uid"], seen["resourceVersion"]))
    ending = server.peek(PODS, "p")["metadata"]
    assert "deletionTimestamp" in ending
    assert told[2:] == [("Service", ""), ("Pod", ending["resourceVersion"])]


@pytest.mark.parametrize(
    "failure",
    [
        ApiError(403, "Forbidden", "no"),
        ConnectionFailed("https://server", "lost", dropped=True),
        ConnectionFailed("https://server", "no answer", timed_out=True),
    ],
)
def test_a_write_that_failed_or_may_have_is_not_told(
    server: MemoryServer, writer: Writer, told: list[tuple[str, str]], failure: Exception
) -> None:
    server.failures["create Service s"] = failure
    with pytest.raises(type(failure)):
        writer.carry_out(Create(SERVICES, SERVICE))
    writer.carry_out(Evict("gone", "uid", "1"))
    assert told == []


def test_each_write_is_told_once_and_a_failed_one_is_not(
    server: MemoryServer, writer: Writer
) -> None:
    with capture_logs() as logs:
        writer.carry_out(Create(SERVICES, SERVICE))
        with pytest.raises(ApiError):
            writer.carry_out(Create(SERVICES, SERVICE))
        writer.carry_out(Evict("gone", "uid", "1"))
    assert [(log["write"], log["kind"], log["object"]) for log in logs] == [
        ("create", "Service", "s")
    ]


def test_an_eviction_names_the_pod_as_it_was_seen(server: MemoryServer, writer: Writer) -> None:
    """And takes no disruption from the budget for one that has changed."""
    seen = server.put(PODS, pod("p"))["metadata"]
    for other in (("uid-of-another", seen["resourceVersion"]), (seen["uid"], "1")):
        with pytest.raises(ApiError) as stale:
            writer.carry_out(Evict("p", *other))
        assert is_stale(stale.value)
    assert "deletionTimestamp" not in server.peek(PODS, "p")["metadata"]
    assert server.disrupted == set()
    writer.carry_out(Evict("p", seen["uid"], seen["resourceVersion"]))
    assert "deletionTimestamp" in server.peek(PODS, "p")["metadata"]
    assert server.disrupted == {"p"}


def test_an_eviction_is_looked_at_in_a_dry_run_and_then_cannot_fail_for_a_change() -> None:
    """On the wire: once it has a disruption from the budget, only the uid may matter."""

    def done(exchange: Exchange) -> None:
        exchange.answer(201, {"kind": "Status", "metadata": {}, "status": "Success"})

    def refuse(exchange: Exchange) -> None:
        exchange.answer(403, {"kind": "Status", "reason": "Forbidden", "message": "may not"})

    told: list[str] = []
    with ApiServer(done, done, refuse) as server:
        client = Client(server.config(), clock=InstantClock())
        writer = Writer(client, NAMESPACE, lambda _kind, version: told.append(version))
        writer.carry_out(Evict("p", "u", "1"))
        client.close()
    *evictions, look = server.requests
    asked = [
        (one.query, orjson.loads(one.body)["deleteOptions"]["preconditions"]) for one in evictions
    ]
    # It is evicted, though nobody says at which version.
    assert (look.method, look.query["fieldSelector"], told) == ("GET", "metadata.name=p", [""])
    assert asked == [
        ({"dryRun": "All"}, {"uid": "u", "resourceVersion": "1"}),
        ({}, {"uid": "u"}),
    ]


def test_a_budget_that_refuses_is_no_failure_of_the_write(
    server: MemoryServer, writer: Writer
) -> None:
    seen = server.put(PODS, pod("p"))["metadata"]
    server.failures["create Pod/eviction p"] = ApiError(429, "TooManyRequests", "the budget")
    with pytest.raises(EvictionBlocked, match=r"pod p .*the budget"):
        writer.carry_out(Evict("p", seen["uid"], seen["resourceVersion"]))


@pytest.mark.parametrize(
    ("error", "stale"),
    [
        (ApiError(409, "Conflict", "old", details={"name": "x", "kind": "replicasets"}), True),
        (ApiError(409, "Conflict", "old", details={"name": "x", "kind": "etcdstorages"}), True),
        # As a precondition's failure has it.
        (ApiError(409, "Conflict", "old", details={"name": "x", "kind": "Pod"}), True),
        (ApiError(409, "AlreadyExists", "x", details={"name": "x", "kind": "services"}), True),
        (ApiError(404, "NotFound", "x", details={"name": "x", "kind": "services"}), True),
        # Not the object: a quota that cannot be counted, a webhook that refuses so.
        (ApiError(409, "Conflict", "q", details={"name": "q", "kind": "resourcequotas"}), False),
        (ApiError(409, "Conflict", "admission webhook denied the request"), False),
        (ApiError(409, "AlreadyExists", "admission webhook denied the request"), False),
        # The namespace is missing, or the path is not served at all: somebody has to act.
        (ApiError(404, "NotFound", "n", details={"name": "n", "kind": "namespaces"}), False),
        (ApiError(404, "NotFound", "the server could not find the requested resource"), False),
        (ApiError(429, "TooManyRequests", "busy"), False),
        (ApiError(403, "Forbidden", "no"), False),
        (ApiError(500, "InternalError", "oh"), False),
    ],
)
def test_what_the_next_try_knows_better(error: ApiError, stale: bool) -> None:  # noqa: FBT001
    assert is_stale(error) is stale


def test_an_eviction_that_is_to_come_back_later_does_not_hold_the_worker() -> None:
    """On the wire: the server answers so while it works the budget out."""

    def later(exchange: Exchange) -> None:
        body = {"kind": "Status", "reason": "TooManyRequests", "message": "still being processed"}
        exchange.answer(429, body, Retry_After="10")

    clock = InstantClock()
    with ApiServer(later, later) as server:
        client = Client(server.config(), clock=clock)
        writer = Writer(client, NAMESPACE, lambda _kind, _version: None)
        with pytest.raises(EvictionBlocked, match="still being processed"):
            writer.carry_out(Evict("p", "uid", "1"))
        client.close()
    assert (len(server.requests), clock.waits) == (1, [])


def test_of_what_a_policy_says_of_a_secret_nothing_is_repeated(
    server: MemoryServer, writer: Writer
) -> None:
    """It may be of the one that was there before, which may be valid for long."""
    there = server.put(SECRETS, {"metadata": {"name": "etcd-ca-a", "namespace": NAMESPACE}})
    guard = {"resourceVersion": there["metadata"]["resourceVersion"]}
    patch = Patch(SECRETS, "etcd-ca-a", {"metadata": guard, "data": {"tls.key": "bmV3"}})
    details = {"name": "etcd-ca-a", "kind": "secrets"}
    words = 'admission webhook "w" denied the request: b2xk'
    server.failures["patch Secret etcd-ca-a"] = ApiError(403, "Forbidden", words, details=details)
    with pytest.raises(ApiError) as refused:
        writer.carry_out(patch)
    told = 'refused with code 403: admission webhook "w" denied the request'
    assert (refused.value.message, refused.value.details) == (told, details)
    assert refused.value.__cause__ is None
