"""One write each: what is asked of the server, and what its refusals mean."""

import pytest
from structlog.testing import capture_logs

from controller.plan import Create, Delete, Evict, Patch
from controller.resources import PODS, SERVICES
from controller.writer import EvictionBlocked, Writer, is_stale
from informers import ApiError
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
def writer(server: MemoryServer) -> Writer:
    return Writer(server.client, NAMESPACE)


def test_an_object_is_made_patched_and_deleted(server: MemoryServer, writer: Writer) -> None:
    writer.carry_out(Create(SERVICES, SERVICE))
    made = server.peek(SERVICES, "s")
    guard = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    writer.carry_out(Patch(SERVICES, "s", {**guard, "spec": {"selector": {"a": "c"}}}))
    assert server.peek(SERVICES, "s")["spec"]["selector"] == {"a": "c"}
    with pytest.raises(ApiError) as stale:
        writer.carry_out(Patch(SERVICES, "s", {**guard, "spec": {"selector": {"a": "d"}}}))
    assert is_stale(stale.value)
    with pytest.raises(ApiError):
        writer.carry_out(Delete(SERVICES, "s", "uid-of-another"))
    writer.carry_out(Delete(SERVICES, "s", made["metadata"]["uid"]))
    assert server.all(SERVICES) == []


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
    seen = server.put(PODS, pod("p"))["metadata"]
    writer.carry_out(Evict("p", seen["uid"], seen["resourceVersion"]))
    (body,) = server.bodies
    assert body["deleteOptions"]["preconditions"] == {
        "uid": seen["uid"],
        "resourceVersion": seen["resourceVersion"],
    }


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
        (ApiError(409, "Conflict", "modified"), True),
        (ApiError(409, "AlreadyExists", "there"), True),
        (ApiError(404, "NotFound", "x", details={"name": "x", "kind": "services"}), True),
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
