"""A status is written where it says something new."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.api.conditions import Problem
from controller.api.storage import read_storage
from controller.certificates import Found, look
from controller.certifier import Carried
from controller.certstatus import PATIENCE, Certified
from controller.changes import collected
from controller.consistency import CacheBehind, ConsistencyStore
from controller.discovery import OutdatedCrdError
from controller.events import Event, Subject
from controller.gatecerts import Served
from controller.reporting import Reporter
from controller.resources import ETCD_STORAGES
from controller.status import Observed
from informers import ApiError
from tests.support.clock import FakeClock
from tests.support.memoryserver import MemoryServer
from tests.support.objects import NAME, NAMESPACE, etcd_storage, pod, read

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STATUS = f"patch EtcdStorage/status {NAME}"


class Told:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def record(self, _storage: Subject, event: Event) -> None:
        self.reasons.append(event.reason)


def test_news_is_one_guarded_write_with_its_event_and_the_cache_is_waited_for() -> None:
    server, told = MemoryServer(), Told()
    consistency = ConsistencyStore(server.listers().written(), FakeClock())
    reporter = Reporter(server.client, consistency, told, lambda: NOW)
    server.put(ETCD_STORAGES, etcd_storage())
    server.lagging.add(ETCD_STORAGES)
    for pods in ((), (), (pod("a"),)):
        storage = read_storage(server.peek(ETCD_STORAGES, NAME))
        reporter.report(storage, Observed(None, served=True, endpoint="http://e", pods=pods))
    assert server.writes == [STATUS, STATUS]
    assert all(body["metadata"]["resourceVersion"] for body in server.bodies)
    assert told.reasons == ["EtcdStorageDeployed"]
    assert server.peek(ETCD_STORAGES, NAME)["status"]["endpoint"] == "http://e"
    with pytest.raises(CacheBehind):
        consistency.ensure_ready(NAME)


def test_a_server_without_the_subresource_is_told_with_what_to_apply() -> None:
    server = MemoryServer()
    consistency = ConsistencyStore(server.listers().written(), FakeClock())
    reporter = Reporter(server.client, consistency, Told(), lambda: NOW)
    storage = read_storage(server.put(ETCD_STORAGES, etcd_storage()))
    gone = ApiError(404, "NotFound", "not found", details={"name": NAME, "kind": "etcdstorages"})
    server.failures[STATUS] = gone
    with pytest.raises(ApiError) as refused:
        reporter.report(storage, Observed(None))
    assert refused.value is gone
    server.served.remove("etcdstorages/status")
    with pytest.raises(
        OutdatedCrdError, match=r"kubectl apply -f artifacts/etcdstorage/crd\.yaml"
    ):
        reporter.report(storage, Observed(None))


def test_a_status_that_the_server_never_takes_is_told_by_an_event() -> None:
    server, told = MemoryServer(), Told()
    consistency = ConsistencyStore(server.listers().written(), FakeClock())
    reporter = Reporter(server.client, consistency, told, lambda: NOW)
    server.put(ETCD_STORAGES, etcd_storage())
    for refusal in (
        ApiError(422, "Invalid", "spec.mode: no"),
        ApiError(500, "InternalError", "etcdserver: request is too large"),
        ApiError(409, "Conflict", "late"),
    ):
        server.failures[STATUS] = refusal
        with pytest.raises(ApiError):
            reporter.report(read_storage(server.peek(ETCD_STORAGES, NAME)), Observed(None))
    assert told.reasons == ["EtcdStorageDeployFailure"] * 2


def test_what_nobody_can_read_is_written_over_or_taken_out() -> None:
    """As somebody wrote it under a CRD without a schema; the one of today takes none of it."""
    server, told = MemoryServer(), Told()
    consistency = ConsistencyStore(server.listers().written(), FakeClock())
    reporter = Reporter(server.client, consistency, told, lambda: NOW)
    spoilt = {"conditions": "many", "certificates": 7, "usage": [1], "readyReplicas": "some"}
    server.put(ETCD_STORAGES, {**etcd_storage(), "status": spoilt})
    reporter.report(read_storage(server.peek(ETCD_STORAGES, NAME)), Observed(None))
    status = server.peek(ETCD_STORAGES, NAME)["status"]
    assert [c["type"] for c in status["conditions"]][:2] == ["Deployed", "Ready"]
    assert status["readyReplicas"] == 0
    assert not status.keys() & {"certificates", "usage"}


def test_a_gate_that_is_behind_is_looked_at_again_when_it_is_late() -> None:
    server, told = MemoryServer(), Told()
    consistency = ConsistencyStore(server.listers().written(), FakeClock())
    now = NOW
    reporter = Reporter(server.client, consistency, told, lambda: now)
    spec: Any = {"clientCertSecret": [{"namespace": "a", "name": "pair"}]}
    server.put(ETCD_STORAGES, etcd_storage(**spec))
    seen = look(read(**spec), NAMESPACE, Found(None, None, ()), (), NOW)

    def report(*gates: Served) -> float | None:
        storage = read_storage(server.peek(ETCD_STORAGES, NAME))
        certified = Certified(seen, Carried(served=gates))
        return reporter.report(storage, Observed(None, pods=(pod("a"),), certified=certified))

    behind = Served(1, NOW, frozenset(), seen.clients)
    assert report() is None
    assert report(behind) == PATIENCE.total_seconds()
    now += PATIENCE - timedelta(seconds=1)
    assert report(behind) == 1
    now += timedelta(seconds=1)
    assert report(behind) is None


def test_the_line_about_it_tells_the_conditions_and_what_the_trouble_is() -> None:
    server, told = MemoryServer(), Told()
    consistency = ConsistencyStore(server.listers().written(), FakeClock())
    reporter = Reporter(server.client, consistency, told, lambda: NOW)
    server.put(ETCD_STORAGES, etcd_storage())
    with collected() as changes:
        for problem in (Problem("NameConflict", "the name is taken"), None):
            storage = read_storage(server.peek(ETCD_STORAGES, NAME))
            reporter.report(storage, Observed(problem, served=True, endpoint="http://e"))
            assert ("trouble" in changes.conditions) == bool(problem)
            if problem:
                assert changes.conditions["deployed"] == "False/NameConflict"
                assert changes.conditions["trouble"] == "the name is taken"
    assert changes.writes == [STATUS, STATUS]
