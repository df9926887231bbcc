"""A status is written where it says something new."""

from datetime import UTC, datetime

import pytest

from controller.api.storage import read_storage
from controller.consistency import CacheBehind, ConsistencyStore
from controller.events import Event, Subject
from controller.reporting import Reporter
from controller.resources import ETCD_STORAGES
from controller.status import Observed
from tests.support.clock import FakeClock
from tests.support.memoryserver import MemoryServer
from tests.support.objects import NAME, etcd_storage, pod

STATUS = f"patch EtcdStorage/status {NAME}"


class Told:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def record(self, _storage: Subject, event: Event) -> None:
        self.reasons.append(event.reason)


def test_news_is_one_guarded_write_with_its_event_and_the_cache_is_waited_for() -> None:
    server, told = MemoryServer(), Told()
    consistency = ConsistencyStore(server.listers().written(), FakeClock())
    reporter = Reporter(server.client, consistency, told, lambda: datetime(2026, 1, 2, tzinfo=UTC))
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
