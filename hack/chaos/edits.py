"""What people do to storages, and to the objects of the controller: drawn, then done."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from controller.api.storage import CORE_FINALIZER, DELETE, RETAIN
from controller.dataplane.names import object_name
from controller.ownership import STORAGE_LABEL
from controller.resources import (
    DISRUPTION_BUDGETS,
    ETCD_STORAGES,
    NETWORK_POLICIES,
    PODS,
    REPLICA_SETS,
    SERVICES,
)
from informers import ApiError, Client, Resource
from informers.errors import is_already_exists, is_not_found

NAMESPACE: Final = "kube-apiserver-storage"
CONSUMERS: Final = "consumers"

_OWNED: Final = (REPLICA_SETS, SERVICES, DISRUPTION_BUDGETS, NETWORK_POLICIES)

_NONSENSE: Final[Mapping[Resource, Mapping[str, Any]]] = {
    REPLICA_SETS: {"spec": {"replicas": 0}},
    SERVICES: {"spec": {"selector": {"nobody": "has-it"}}},
    DISRUPTION_BUDGETS: {"spec": {"maxUnavailable": 5}},
    NETWORK_POLICIES: {"spec": {"ingress": None, "policyTypes": ["Egress"]}},
}
"""What somebody makes of an object, which is to be undone."""

_MOST: Final = 3
"""Replicas."""

Json = dict[str, Any]


class Core(Protocol):
    """Keeps what storages have in the core; see `hack.chaos.core`."""

    def made(self, storage: str) -> None: ...
    def purged(self, storage: str) -> None: ...


@dataclass
class Editor:
    """Edits at random; `wanted` has the specs that there are to be, by name."""

    api: Client
    rng: random.Random
    names: tuple[str, ...]
    core: Core
    wanted: dict[str, Json] = field(default_factory=dict)

    def create_all(self) -> None:
        """Make a storage of each name."""
        for name in self.names:
            self._create(name)

    def delete_all(self) -> None:
        """Delete every storage."""
        for name in [*self.wanted]:
            self._delete(name)

    def restore(self, specs: Mapping[str, Json]) -> None:
        """Make storages of these specs, by name, of none of which there is one."""
        for name, spec in specs.items():
            self._make(name, spec)

    def edit(self) -> None:
        """Do one thing to one storage, or to an object of one."""
        name = self.rng.choice(self.names)
        if name not in self.wanted:
            self._create(name)
            return
        deed = self.rng.choice((self._delete, self._change, self._remove, self._spoil, self._kill))
        deed(name)

    def _create(self, name: str) -> None:
        """Make a storage, unless the one before it is still being deleted."""
        try:
            self._make(name, self._spec(name))
        except ApiError as error:
            if not is_already_exists(error):
                raise

    def _make(self, name: str, spec: Json) -> None:
        self.api.create(ETCD_STORAGES, manifest(name, spec))
        self.core.made(name)
        self.wanted[name] = spec

    def _delete(self, name: str) -> None:
        left = self.api.delete(ETCD_STORAGES, name)
        held = CORE_FINALIZER in (left["metadata"].get("finalizers") or ())
        # One that no controller has seen yet goes at once, and keys of those before it stay.
        if self.wanted.pop(name)["reclaimPolicy"] == DELETE and held:
            self.core.purged(name)

    def _change(self, name: str) -> None:
        self.wanted[name] = self._spec(name)
        self.api.patch(ETCD_STORAGES, name, {"spec": self.wanted[name]})

    def _spec(self, name: str) -> Json:
        tls = self.rng.random() < 0.5
        return {
            "replicas": self.rng.randint(1, _MOST),
            "reclaimPolicy": self.rng.choice((RETAIN, DELETE)),
            "caCertConfigMap": [{"namespace": CONSUMERS, "name": f"{name}-ca"}] if tls else [],
            "clientCertSecret": [{"namespace": CONSUMERS, "name": f"{name}-pair"}] if tls else [],
        }

    def _remove(self, name: str) -> None:
        kind = self.rng.choice(_OWNED)
        if_there(lambda: self.api.delete(kind, object_name(kind, name), namespace=NAMESPACE))

    def _spoil(self, name: str) -> None:
        kind, named = (kind := self.rng.choice(_OWNED)), object_name(kind, name)
        if_there(lambda: self.api.patch(kind, named, _NONSENSE[kind], namespace=NAMESPACE))

    def _kill(self, name: str) -> None:
        """Remove a pod, as a node does that goes."""
        query = {"labelSelector": f"{STORAGE_LABEL}={name}"}
        pods = self.api.list(PODS, NAMESPACE, **query)["items"]
        if pods:
            pod = self.rng.choice(pods)["metadata"]["name"]
            if_there(lambda: self.api.delete(PODS, pod, namespace=NAMESPACE))


def manifest(name: str, spec: Json) -> Json:
    """Return the EtcdStorage."""
    told = {"apiVersion": ETCD_STORAGES.api_version, "kind": ETCD_STORAGES.kind}
    return {**told, "metadata": {"name": name}, "spec": spec}


def if_there(call: Callable[[], object]) -> None:
    """Do something to what may be gone."""
    try:
        call()
    except ApiError as error:
        if not is_not_found(error):
            raise
