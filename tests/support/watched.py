"""One kind of object as the real API server, an informer's store and a handler have it."""

import random
import secrets
import threading
import time
from typing import Any, Self

from informers import (
    ApiError,
    Client,
    ConnectionFailed,
    Object,
    Resource,
    SharedInformerFactory,
)
from informers.events import drop_managed_fields
from tests.support.eventually import PATIENCE, eventually
from tests.support.picture import Picture

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)
SECRETS = Resource("", "v1", "secrets", "Secret", namespaced=True)
NAMESPACE = "informers"


class Watched:
    """`resource` in one namespace, followed by an informer of `factory` with one handler.

    `client` need not be that of the factory: it lists.
    """

    def __init__(
        self,
        client: Client,
        factory: SharedInformerFactory,
        resource: Resource,
        namespace: str = NAMESPACE,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self.resource = resource
        self.informer = factory.informer(resource, namespace)
        self.picture = Picture()
        self.informer.add_event_handler(self.picture)

    def fresh(self) -> dict[str, Object]:
        """What a list says now, by key."""
        items = self._client.list(self.resource, self._namespace)["items"]
        kind = {"kind": self.resource.kind, "apiVersion": self.resource.api_version}
        return {
            f"{self._namespace}/{item['metadata']['name']}": drop_managed_fields({**item, **kind})
            for item in items
        }

    def await_agreement(self, within: float = PATIENCE) -> dict[str, Object]:
        """Wait until store and picture equal a fresh list, while nobody writes; return it."""
        fresh = self.fresh()
        eventually(lambda: dict(self.informer.store.items()) == fresh, within=within, what="store")
        eventually(lambda: self.picture.objects == fresh, within=within, what="picture")
        assert self.picture.faults == []
        return fresh


class HurriedClock:
    """Time that passes `factor` times as fast, for whoever is given it.

    A series of failures makes an informer wait for half a minute, by design.
    """

    def __init__(self, factor: float = 20.0) -> None:
        self._factor = factor

    def monotonic(self) -> float:
        return time.monotonic() * self._factor

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        return event.wait(self._real(timeout))

    def wait_on(self, condition: threading.Condition, timeout: float | None) -> bool:
        return condition.wait(self._real(timeout))

    def _real(self, timeout: float | None) -> float | None:
        return None if timeout is None else timeout / self._factor


class Writer:
    """Makes, changes and deletes objects of several kinds until stopped; failures are expected."""

    def __init__(self, client: Client, resources: list[Resource], names: int = 50) -> None:
        self._client = client
        self._resources = resources
        self._names = [f"it-{number}" for number in range(names)]
        self._rng = random.Random(4)
        self._stop = threading.Event()
        self.pause = threading.Lock()
        self.written = 0
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        while not self._stop.is_set():
            with self.pause:
                try:
                    self._write_one()
                    self.written += 1
                except ConnectionFailed:
                    self._stop.wait(0.02)
                except ApiError as error:
                    # Not there, there already, or a server that is only just starting.
                    if error.code not in {404, 409}:
                        self._stop.wait(0.02)

    def _write_one(self) -> None:
        resource, name = self._rng.choice(self._resources), self._rng.choice(self._names)
        choice = self._rng.random()
        if choice < 0.3:
            self._client.create(resource, self._object(resource, name), NAMESPACE)
        elif choice < 0.8:
            labels = {"metadata": {"labels": {"turn": secrets.token_hex(4)}}}
            self._client.patch(resource, name, labels, namespace=NAMESPACE)
        else:
            self._client.delete(resource, name, namespace=NAMESPACE)

    def _object(self, resource: Resource, name: str) -> dict[str, Any]:
        return {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name},
        }
