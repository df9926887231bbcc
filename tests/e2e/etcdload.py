"""A bare etcd client in a pod that never rests, and the journal it leaves."""

import json
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

from hack.cluster import images
from tests.attack.picture import Core
from tests.e2e.product import PATIENCE, Json, Product
from tests.e2e.tenant import Tenant

CONTAINER: Json = {
    "image": images.TENANTS,
    "imagePullPolicy": "IfNotPresent",
    "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True},
}
POD: Json = {"terminationGracePeriodSeconds": 1, "restartPolicy": "Never"}


class EtcdLoad:
    """Works on a storage from its making until it is told to stop; see hack/components/etcdload.

    Each step returns at once but `await_working` and `journal`, so that several take no longer
    than one.
    """

    def __init__(self, product: Product, core: Core, tenant: Tenant) -> None:
        self._product = product
        self._core = core
        self._tenant = tenant
        self._prefix = tenant.key("load/")
        """As the client calls it."""
        self._stored = f"/{tenant.storage}/load/"
        """As the core does."""
        self._name = f"load-{tenant.storage}-{secrets.token_hex(3)}"

    def start(self) -> Self:
        """Begin on keys that nobody has written."""
        self._core.call("/etcdserverpb.KV/DeleteRange", **self._range)
        tenant = self._tenant
        flags = (f"--endpoint={tenant.url}", f"--prefix={self._prefix}", *tenant.flags)
        container = {
            "name": "load",
            **CONTAINER,
            "command": ["/usr/local/bin/etcd-load", *flags],
            "volumeMounts": tenant.mounts,
        }
        self._product.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": self._name, "namespace": tenant.namespace},
                "spec": {**POD, "containers": [container], "volumes": tenant.volumes},
            }
        )
        return self

    def await_working(self) -> None:
        first = f"{self._stored}seldom-put/key-1".encode()
        self._product.await_(lambda: self._core.get(first), f"{self._name} writes")

    def stop(self) -> None:
        self._core.put(f"{self._stored}stop".encode(), b"")

    def journal(self) -> Json:
        """Wait for its end, and return what it tells, and what the core has of it."""
        ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"
        pod = (f"-n{self._tenant.namespace}", f"pod/{self._name}")
        self._product.kubectl("wait", *pod, ended, f"--timeout={PATIENCE}s")
        told = self._product.kubectl("logs", *pod)
        self._product.kubectl("delete", *pod, "--wait=false")
        journal: Json = json.loads(told.splitlines()[-1])
        return {**journal, "core": self._found()}

    @property
    def _range(self) -> dict[str, bytes]:
        """All of its keys in the core."""
        prefix = self._stored.encode()
        return {"key": prefix, "range_end": prefix[:-1] + b"0"}

    def _found(self) -> dict[str, str]:
        """Return what the core holds, by the names that the client has for it."""
        found = self._core.call("/etcdserverpb.KV/Range", **self._range).kvs
        names = {kv.key.decode().removeprefix(self._stored): kv.value.decode() for kv in found}
        return {f"{self._prefix}{name}": value for name, value in names.items() if name != "stop"}


def assert_nothing_failed(journal: Json) -> None:
    """Every request was answered, every write was seen once, and the core holds the last ones."""
    wrong = {name: journal[name] for name in ("failures", "unseen", "twice", "unknown")}
    assert not any(wrong.values()), json.dumps(wrong, indent=2)[:8000]
    assert journal["failed"] == 0
    stored = {k: v for k, v in journal["stored"].items() if not k.endswith("/stop")}
    assert stored == journal["content"] == journal["core"]
    assert journal["requests"]["put"] > 20, journal["requests"]


@contextmanager
def working(loads: Iterable[EtcdLoad]) -> Iterator[None]:
    """Let these work meanwhile; fail unless all went well for each."""
    started = [load.start() for load in loads]
    for load in started:
        load.await_working()
    try:
        yield
    finally:
        for load in started:
            load.stop()
        journals = [load.journal() for load in started]
        for journal in journals:
            print(json.dumps({name: journal[name] for name in ("requests", "longest", "events")}))
    for journal in journals:
        assert_nothing_failed(journal)
