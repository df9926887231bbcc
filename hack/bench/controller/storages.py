"""Many storages, plain or with TLS, and the wait until all of them are deployed."""

import random
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from controller.api.conditions import find_condition
from controller.resources import ETCD_STORAGES
from controller.status import DEPLOYED
from informers import Client, DeletedFinalStateUnknown, Object, SharedInformerFactory
from workqueue.clock import REAL_CLOCK

NAMESPACE = "kube-apiserver-storage"
CONSUMERS = "consumers"
THREADS = 4
"""As many as the controller has workers by default."""

Json = dict[str, Any]


def manifest(number: int, *, tls: bool) -> Json:
    """Return one storage; with TLS for one consumer, who gets a bundle and a pair."""
    name = f"storage-{number:04}"
    listed = {
        "caCertConfigMap": [{"namespace": CONSUMERS, "name": f"{name}-ca"}],
        "clientCertSecret": [{"namespace": CONSUMERS, "name": f"{name}-pair"}],
    }
    return {
        "apiVersion": ETCD_STORAGES.api_version,
        "kind": ETCD_STORAGES.kind,
        "metadata": {"name": name},
        "spec": {"replicas": 2, **(listed if tls else {})},
    }


def create(api: Client, count: int, *, tls: bool) -> list[Json]:
    """Make so many, and return them as they were stored."""
    manifests = (manifest(number, tls=tls) for number in range(count))
    with ThreadPoolExecutor(THREADS) as pool:
        return [*pool.map(lambda each: api.create(ETCD_STORAGES, each), manifests)]


class AllDeployed:
    """A handler of informers that knows when the last of so many storages was deployed."""

    def __init__(self, names: Iterable[str]) -> None:
        self._left = {*names}
        self._at = datetime.min.replace(tzinfo=UTC)
        self._done = threading.Event()

    def wait(self, timeout: float) -> datetime | None:
        """Return when it was; None if it was not within so many seconds."""
        return self._at if self._done.wait(timeout) else None

    @property
    def left(self) -> int:
        """How many are still to come."""
        return len(self._left)

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:  # noqa: ARG002, FBT001
        self._take(obj)

    def on_update(self, old: Object, new: Object) -> None:  # noqa: ARG002
        self._take(new)

    def on_delete(self, obj: Object | DeletedFinalStateUnknown) -> None:
        """Nobody deletes any."""

    def _take(self, storage: Mapping[str, Any]) -> None:
        if not self._left or not is_deployed(storage):
            return
        self._left.discard(storage["metadata"]["name"])
        if not self._left:
            self._at = datetime.now(UTC)
            self._done.set()


def is_deployed(storage: Mapping[str, Any]) -> bool:
    """Whether all that it asks for is there; with TLS its certificates are delivered, too."""
    status = storage.get("status") or {}
    wanted = [DEPLOYED]
    if storage["spec"].get("clientCertSecret"):
        wanted.append("CertificatesReady")
    found = (find_condition(status, type_) for type_ in wanted)
    return all(condition and condition["status"] == "True" for condition in found)


@contextmanager
def watched(api: Client, handler: AllDeployed) -> Iterator[None]:
    """Tell the handler of all storages."""
    factory = SharedInformerFactory(api, REAL_CLOCK, random.Random())  # noqa: S311 - jitter
    factory.informer(ETCD_STORAGES).add_event_handler(handler)
    factory.start()
    try:
        yield
    finally:
        factory.shutdown()
