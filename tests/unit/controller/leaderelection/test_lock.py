"""The Lease on a server that keeps the rules of names and versions."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from controller.leaderelection.lock import LeaseLock
from controller.leaderelection.record import LeaderElectionRecord
from controller.resources import EVENTS, LEASES
from informers import ApiError, Client
from informers.errors import is_already_exists, is_conflict, is_not_found
from tests.support.memoryserver import MemoryServer
from tests.support.objects import NAMESPACE

TIME = "2026-01-01T00:00:00.000000Z"
HELD = LeaderElectionRecord("a", 15, TIME, TIME, 0)


class Server(MemoryServer):
    """Gets a single object as well, and can be closed."""

    closed = False
    failure: ApiError | None = None

    def get(self, resource: Any, name: str, namespace: str | None = None) -> dict[str, Any]:
        if self.failure:
            raise self.failure
        return self._find(resource, name, namespace)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def lock(server: Server) -> LeaseLock:
    return LeaseLock(cast("Client", server), NAMESPACE, "the-lease")


def test_what_is_made_is_read(lock: LeaseLock) -> None:
    assert lock.get() is None
    made = lock.create(HELD)
    assert made.record == HELD
    assert lock.get() == made


def test_it_is_made_once(lock: LeaseLock) -> None:
    lock.create(HELD)
    with pytest.raises(ApiError) as refused:
        lock.create(HELD)
    assert is_already_exists(refused.value)


def test_a_version_is_written_over_once(lock: LeaseLock) -> None:
    made = lock.create(HELD)
    other = LeaderElectionRecord("b", 20, TIME, TIME, 1)
    assert lock.update(other, made.resource_version).record == other
    with pytest.raises(ApiError) as refused:
        lock.update(HELD, made.resource_version)
    assert is_conflict(refused.value)


def test_what_is_gone_cannot_be_written_over(lock: LeaseLock) -> None:
    with pytest.raises(ApiError) as refused:
        lock.update(HELD, "1")
    assert is_not_found(refused.value)


def test_what_is_not_ours_stays(lock: LeaseLock, server: Server) -> None:
    metadata = {"name": "the-lease", "namespace": NAMESPACE, "labels": {"of": "somebody"}}
    kind = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
    server.create(
        LEASES, {**kind, "metadata": metadata, "spec": {"preferredHolder": "c"}}, NAMESPACE
    )
    found = lock.get()
    assert found is not None
    lock.update(HELD, found.resource_version)
    obj = server.get(LEASES, "the-lease", NAMESPACE)
    assert obj["metadata"]["labels"] == {"of": "somebody"}
    assert obj["spec"] == {"preferredHolder": "c", **HELD.spec()}


def test_events_are_about_the_lease(lock: LeaseLock, server: Server) -> None:
    lock.create(HELD)
    lock.record_event("a became leader", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    (event,) = server.all(EVENTS)
    uid = server.get(LEASES, "the-lease", NAMESPACE)["metadata"]["uid"]
    assert event["involvedObject"] == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "name": "the-lease",
        "namespace": NAMESPACE,
        "uid": uid,
    }
    told = (event["reason"], event["message"], event["firstTimestamp"])
    assert told == ("LeaderElection", "a became leader", "2026-01-02T03:04:05Z")


def test_an_error_other_than_that_it_is_not_there_is_told(lock: LeaseLock, server: Server) -> None:
    server.failure = ApiError(403, "Forbidden", "may not")
    with pytest.raises(ApiError, match="may not"):
        lock.get()


def test_closing_cuts_the_calls(lock: LeaseLock, server: Server) -> None:
    lock.close()
    assert server.closed
