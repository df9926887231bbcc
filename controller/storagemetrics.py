"""The metrics of storages for Prometheus, as their objects in the cache tell.

| metric | what |
|---|---|
| `etcdproxy_storage_ready` | 1 if the condition Ready is True, else 0 |
| `etcdproxy_storage_degraded` | 1 if the condition Degraded is True, else 0 |
| `etcdproxy_storage_replicas` | pods that are asked for |
| `etcdproxy_storage_replicas_ready` | pods that serve |
| `etcdproxy_storage_keys` | in the core etcd, where the controller could count them |
| `etcdproxy_storage_deletion_pending_seconds` | since the deletion, while it is not done |

All have the label `storage`. They are computed at each scrape, so a storage's series are there
with its object and gone with it.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.api.conditions import find_condition
from controller.api.storage import EtcdStorage, read_storage
from controller.status import DEGRADED, READY

_LABELS: Final = ("storage",)

_METRICS: Final = {
    "ready": "Whether the storage's endpoint can be used",
    "degraded": "Whether something of the storage needs a person",
    "replicas": "Pods that are asked for",
    "replicas_ready": "Pods that serve",
    "keys": "Keys of the storage in the core etcd, as they were last counted",
    "deletion_pending_seconds": "Since the storage was deleted, while something of it stays",
}


class Storages(Protocol):
    """Where the objects are: a `Lister` of them."""

    def list(self) -> list[dict[str, Any]]: ...


class StorageMetrics(Collector):
    """Shows the storages that are there when it is asked."""

    def __init__(self, storages: Storages, now: Callable[[], datetime]) -> None:
        self._storages = storages
        self._now = now
        self._told: dict[tuple[str, str], dict[str, float]] = {}
        """What the last scrape told, by uid and resourceVersion: most of its time goes there."""

    def describe(self) -> Iterable[Metric]:
        """The metrics without their values, by which a registry knows a second collector."""
        return _families().values()

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        families, now = _families(), self._now()
        told = {}
        for obj in self._storages.list():
            meta = obj["metadata"]
            version = meta["uid"], meta["resourceVersion"]
            told[version] = values = self._told.get(version) or measured(obj)
            for metric, value in (values | pending(obj, now)).items():
                families[metric].add_metric((meta["name"],), value)
        self._told = told
        return families.values()


def measured(obj: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of one storage, by metric, but for what time alone changes."""
    storage = read_storage(obj)
    values = {
        "ready": _is_true(storage, READY),
        "degraded": _is_true(storage, DEGRADED),
        "replicas": storage.replicas,
        "replicas_ready": storage.status.get("readyReplicas") or 0,
    }
    if storage.keys is not None:
        values["keys"] = storage.keys
    return values


def pending(obj: Mapping[str, Any], now: datetime) -> dict[str, float]:
    """Return since when a storage is being deleted, if it is."""
    deleted = obj["metadata"].get("deletionTimestamp")
    if deleted is None:
        return {}
    age = (now - datetime.fromisoformat(deleted)).total_seconds()
    return {"deletion_pending_seconds": max(age, 0.0)}


def _is_true(storage: EtcdStorage, condition: str) -> float:
    found = find_condition(storage.status, condition) or {}
    return float(found.get("status") == "True")


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        metric: GaugeMetricFamily(f"etcdproxy_storage_{metric}", documentation, labels=_LABELS)
        for metric, documentation in _METRICS.items()
    }
