"""The metrics of storages for Prometheus, as their objects in the cache tell.

| metric | what |
|---|---|
| `etcdproxy_storage_ready` | 1 if the condition Ready is True, else 0 |
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
from controller.api.storage import read_storage
from controller.status import READY

_LABELS: Final = ("storage",)

_METRICS: Final = {
    "ready": "Whether the storage's endpoint can be used",
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

    def describe(self) -> Iterable[Metric]:
        """The metrics without their values, by which a registry knows a second collector."""
        return _families().values()

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        families, now = _families(), self._now()
        for obj in self._storages.list():
            for metric, value in measured(obj, now).items():
                families[metric].add_metric((obj["metadata"]["name"],), value)
        return families.values()


def measured(obj: Mapping[str, Any], now: datetime) -> dict[str, float]:
    """Return the values of one storage, by metric."""
    storage = read_storage(obj)
    ready = find_condition(storage.status, READY) or {}
    values = {
        "ready": float(ready.get("status") == "True"),
        "replicas": storage.replicas,
        "replicas_ready": storage.status.get("readyReplicas") or 0,
    }
    if storage.keys is not None:
        values["keys"] = storage.keys
    if deleted := obj["metadata"].get("deletionTimestamp"):
        age = (now - datetime.fromisoformat(deleted)).total_seconds()
        values["deletion_pending_seconds"] = max(age, 0.0)
    return values


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        metric: GaugeMetricFamily(f"etcdproxy_storage_{metric}", documentation, labels=_LABELS)
        for metric, documentation in _METRICS.items()
    }
