"""How it stands on the server: what of it is untrue, and what every run is to leave."""

import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from controller.api.conditions import find_condition
from controller.dataplane.interface import REVISION_LABEL
from controller.dataplane.names import object_name, serving_secret
from controller.dataplane.rolling import is_ready, is_terminating
from controller.ownership import STORAGE_LABEL
from controller.pki.trustsecret import authority_secret
from controller.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ETCD_STORAGES,
    NETWORK_POLICIES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from hack.chaos.edits import CONSUMERS, NAMESPACE
from informers import Client

Json = Mapping[str, Any]
Objects = Mapping[str, tuple[Json, ...]]

_KINDS: Final = (
    REPLICA_SETS,
    SERVICES,
    DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
    CONFIG_MAPS,
    SECRETS,
)

_WANTED: Final = {
    "Deployed": "True",
    "Ready": "True",
    "Progressing": "False",
    "Degraded": "False",
}
"""The conditions of a storage of which all is as it should be."""

_OF_ONE_LIFE: Final = {
    *("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"),
    *("clusterIP", "clusterIPs", "status", REVISION_LABEL),
}
"""Fields that no two lives of an object share."""

_CONTENT: Final = {"data", "annotations"}
"""Fields of which only the keys are compared: certificates and times, in Secrets and beside."""

_TOKEN: Final = re.compile(r"\b[0-9a-f]{32}\b")
"""The secret path by which pods are drained is made by chance."""


@dataclass(frozen=True, slots=True)
class Picture:
    """All storages with their objects and pods, read one kind after the other."""

    storages: tuple[Json, ...]
    objects: Objects
    """By kind: those of a storage's label, and all that consumers have."""
    pods: tuple[Json, ...]

    @classmethod
    def read(cls, api: Client) -> Self:
        """Look at the server."""
        objects = {
            kind.kind: tuple(
                obj
                for namespace in (NAMESPACE, CONSUMERS)
                for obj in api.list(kind, namespace)["items"]
                if _storage(obj) or namespace == CONSUMERS
                if obj["metadata"]["name"] != "kube-root-ca.crt"
            )
            for kind in _KINDS
        }
        pods = api.list(PODS, NAMESPACE)["items"]
        return cls(tuple(api.list(ETCD_STORAGES)["items"]), objects, tuple(pods))

    def faults(self, wanted: Mapping[str, Json]) -> list[str]:
        """Return what is not as the specs that are wanted, by name, would have it."""
        names = {storage["metadata"]["name"] for storage in self.storages}
        found = [f"{name} should be there" for name in sorted(wanted.keys() - names)]
        found += [f"{name} should be gone" for name in sorted(names - wanted.keys())]
        for storage in self.storages:
            pods = [pod for pod in self.pods if _storage(pod) == storage["metadata"]["name"]]
            found += _untrue(storage, pods)
        return found + self._strangers(names)

    def _strangers(self, names: Container[str | None]) -> list[str]:
        everything = [(kind, obj) for kind, objs in self.objects.items() for obj in objs]
        everything += [("Pod", pod) for pod in self.pods]
        return [
            f"{kind} {obj['metadata']['name']} of no storage"
            for kind, obj in everything
            if _storage(obj) not in names and _is_own(obj)
        ]

    @property
    def leftovers(self) -> list[str]:
        """What there is in the controller's namespace, storages apart."""
        return self._strangers(())

    def essence(self) -> dict[str, str]:
        """Return what is to be the same after every run with the same storages, by object.

        That is every object without what chance and time have put into it, the conditions of each
        storage without words and times, and the number of its pods. Certificates count while the
        storage has TLS: a consumer's object stays when it is listed no more, and is nobody's from
        then on, and the storage's own Secrets wait for it to have TLS again.
        """
        certificates = {name for storage in self.storages for name in _certificates(storage)}
        found = {
            f"{kind} {obj['metadata']['namespace']}/{obj['metadata']['name']}": _text(obj)
            for kind, objects in self.objects.items()
            for obj in objects
            if obj["metadata"]["name"] in certificates or (_is_own(obj) and kind != SECRETS.kind)
        }
        for storage in self.storages:
            name: str = storage["metadata"]["name"]
            pods = sum(_storage(pod) == name for pod in self.pods)
            told = [(c["type"], c["status"], c["reason"]) for c in _conditions(storage)]
            found[f"EtcdStorage {name}"] = f"{_text(storage)} {sorted(told)} {pods} pods"
        return found


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Return what of two essences is not the same."""
    return [
        f"{what}:\n  {one.get(what, 'nothing')}\n  {other.get(what, 'nothing')}"
        for what in sorted(one.keys() | other.keys())
        if one.get(what) != other.get(what)
    ]


def _untrue(storage: Json, pods: list[Json]) -> list[str]:
    """Return what of a storage's status is not so, or not as it should be."""
    name, replicas = storage["metadata"]["name"], storage["spec"]["replicas"]
    status = storage.get("status") or {}
    found = []
    for type_, wanted in _WANTED.items():
        told = find_condition(status, type_) or {}
        if told.get("status") != wanted:
            found.append(f"{name}: {type_} is {told.get('status')} ({told.get('reason')})")
        elif told.get("observedGeneration") != storage["metadata"]["generation"]:
            found.append(f"{name}: {type_} is of another generation")
    ready = sum(is_ready(pod) and not is_terminating(pod) for pod in pods)
    counts = {"pods": len(pods), "ready pods": ready, "told": status.get("readyReplicas")}
    found += [f"{name}: {n} {what} of {replicas}" for what, n in counts.items() if n != replicas]
    return found


def _conditions(storage: Json) -> list[Json]:
    conditions: list[Json] = (storage.get("status") or {}).get("conditions") or []
    return conditions


def _certificates(storage: Json) -> Iterator[str]:
    """Yield the names of all objects with certificates that the storage has."""
    yield object_name(SECRETS, storage["metadata"]["name"])
    lists = (storage["spec"].get(field, ()) for field in ("caCertConfigMap", "clientCertSecret"))
    consumers = [ref["name"] for refs in lists for ref in refs]
    if consumers:
        name = storage["metadata"]["name"]
        yield from (*consumers, authority_secret(name), serving_secret(name))


def _is_own(obj: Json) -> bool:
    return bool(obj["metadata"]["namespace"] == NAMESPACE)


def _storage(obj: Json) -> str | None:
    name: str | None = (obj["metadata"].get("labels") or {}).get(STORAGE_LABEL)
    return name


def _text(obj: Json) -> str:
    lasting = _lasting(obj)
    if obj["metadata"].get("namespace") == CONSUMERS:
        lasting["metadata"].pop("ownerReferences", None)
    return _TOKEN.sub("TOKEN", json.dumps(lasting, sort_keys=True))


def _lasting(value: Any) -> Any:
    if isinstance(value, list):
        return [_lasting(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: sorted(item) if key in _CONTENT and isinstance(item, Mapping) else _lasting(item)
        for key, item in value.items()
        if key not in _OF_ONE_LIFE
    }
