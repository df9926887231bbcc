"""The metrics of storages, read from the registry as a scrape reads them."""

from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from controller.storagemetrics import StorageMetrics
from tests.support.objects import etcd_storage

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PENDING = "deletion_pending_seconds"


class World:
    """Some storages in a cache."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = [*objects]
        self.registry = CollectorRegistry()
        self.registry.register(StorageMetrics(self, lambda: NOW))

    def list(self) -> list[dict[str, Any]]:
        return self.objects

    def read(self, metric: str, storage: str = "a") -> float | None:
        return self.registry.get_sample_value(f"etcdproxy_storage_{metric}", {"storage": storage})


def conditions(ready: str, type_: str = "Ready") -> dict[str, Any]:
    return {"conditions": [{"type": type_, "status": ready, "reason": "Any", "message": ""}]}


def test_a_new_storage_is_not_ready_and_has_all_its_series() -> None:
    world = World(etcd_storage("a"))
    metrics = ("ready", "degraded", "replicas", "replicas_ready", PENDING)
    assert [world.read(metric) for metric in metrics] == [0, 0, 2, 0, None]


def test_they_say_what_the_status_says_and_the_spec_wants() -> None:
    ready = {**conditions("True"), "readyReplicas": 1}
    world = World(
        etcd_storage("a", status=ready, replicas=3), etcd_storage("b", status=conditions("False"))
    )
    assert [world.read(metric) for metric in ("ready", "replicas", "replicas_ready")] == [1, 3, 1]
    assert world.read("ready", "b") == 0


def test_what_needs_a_person_is_told_apart_from_what_can_be_used() -> None:
    world = World(
        etcd_storage("a", status=conditions("True", "Degraded")),
        etcd_storage("b", status=conditions("Unknown", "Degraded")),
    )
    assert [world.read("degraded", name) for name in "ab"] == [1, 0]
    assert world.read("ready") == 0


def test_keys_are_told_where_they_were_counted() -> None:
    counted = etcd_storage("a", status={"usage": {"keys": 7, "measuredAt": "any"}})
    odd = etcd_storage("c", status={"usage": {"keys": "seven"}})
    world = World(counted, etcd_storage("b"), odd)
    assert [world.read("keys", name) for name in "abc"] == [7, None, None]


def test_a_deletion_that_is_not_done_has_an_age() -> None:
    deleted = {"deletionTimestamp": "2026-01-02T03:03:05Z", "finalizers": ["any"]}
    late = {"deletionTimestamp": "2026-01-02T03:05:05Z", "finalizers": ["any"]}
    world = World(etcd_storage("a", meta=deleted), etcd_storage("b", meta=late))
    assert world.read(PENDING) == 60
    assert world.read(PENDING, "b") == 0, "a clock that is behind makes no negative age"


def test_the_series_go_with_the_storage() -> None:
    world = World(etcd_storage("a"), etcd_storage("b"))
    del world.objects[0]
    assert (world.read("ready"), world.read("ready", "b")) == (None, 0)
    assert world.read("replicas") is None


def test_a_storage_that_changed_or_was_made_anew_is_read_again() -> None:
    world = World(etcd_storage("a"))
    assert world.read("ready") == 0
    for meta in ({"resourceVersion": "8"}, {"uid": "another"}):
        world.objects = [etcd_storage("a", status=conditions("True"), meta=meta)]
        assert world.read("ready") == 1
        world.objects = [etcd_storage("a")]
        assert world.read("ready") == 0
    world.objects = []
    assert world.read("ready") is None
