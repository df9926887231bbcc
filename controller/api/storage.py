"""EtcdStorage, as read from the API: a frozen picture of one object at one resourceVersion."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

RESERVED_NAMES: Final = frozenset({"registry", "root"})
"""`/registry/` is where a cluster keeps its own data; `root` is etcd's administrator."""

MAX_NAME_LENGTH: Final = 58
"""`etcd-<name>` is a Service, and a Service's name is a DNS label of 63 characters."""

CORE_USER_FINALIZER: Final = "etcd.xmudrii.com/core-user"
"""On a storage whose user and role in the core are ours to keep, and to remove."""

_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_IGNORED_FIELDS: Final = {"serverCACert": "caCertConfigMap", "clientCert": "clientCertSecret"}
"""Fields of 2018, and what took their place."""


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """A ConfigMap or Secret of a consumer."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class StorageReference:
    """Which EtcdStorage, and nothing of it."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class EtcdStorage:
    """One EtcdStorage; `status` is the raw JSON, which is ours alone to write."""

    name: str
    uid: str
    resource_version: str
    generation: int
    created: datetime
    deleting: bool
    finalizers: tuple[str, ...]
    mode: str
    replicas: int
    reclaim_policy: str
    ca_cert_config_maps: tuple[ObjectReference, ...]
    client_cert_secrets: tuple[ObjectReference, ...]
    ignored_fields: tuple[str, ...]
    unreadable_fields: tuple[str, ...]
    status: Mapping[str, Any]

    @property
    def prefix(self) -> str:
        """Where its keys lie in the core etcd."""
        return f"/{self.name}/"

    @property
    def claimed(self) -> bool:
        """Whether user and role of this name in the core are ours."""
        return CORE_USER_FINALIZER in self.finalizers


def read_storage(obj: Mapping[str, Any]) -> EtcdStorage:
    """Read an API object; what an older CRD let in unset gets the defaults of today's.

    An older CRD had no schema, so a field may hold anything: such a one counts as unset and is
    named in `unreadable_fields`.
    """
    metadata = obj["metadata"]
    spec, unreadable = _readable(obj.get("spec") or {})
    status = obj.get("status")
    return EtcdStorage(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 1),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        finalizers=tuple(metadata.get("finalizers") or ()),
        mode=spec.get("mode") or "Proxy",
        replicas=spec.get("replicas") or 2,
        reclaim_policy=spec.get("reclaimPolicy") or "Retain",
        ca_cert_config_maps=_references(spec.get("caCertConfigMap")),
        client_cert_secrets=_references(spec.get("clientCertSecret")),
        ignored_fields=tuple(
            f"spec.{old} (use spec.{new})" for old, new in _IGNORED_FIELDS.items() if old in spec
        ),
        unreadable_fields=unreadable,
        status=status if isinstance(status, Mapping) else {},
    )


def name_problem(name: str, reserved: Collection[str]) -> str | None:
    """Why a storage of this name cannot be served; None if it can.

    Admission refuses such names, but an object may be older than the rule that refuses it.
    """
    if name in reserved:
        return f"the name {name!r} is reserved"
    if len(name) > MAX_NAME_LENGTH:
        return f"the name has {len(name)} characters, {MAX_NAME_LENGTH} are the limit"
    if not _DNS_LABEL.fullmatch(name):
        return f"the name {name!r} is no DNS label"
    return None


def _readable(spec: object) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return what of a spec can be read, and the names of the fields that cannot."""
    if not isinstance(spec, Mapping):
        return {}, ("spec",)
    bad = [name for name, fits in _SHAPES.items() if spec.get(name) and not fits(spec[name])]
    good = {name: value for name, value in spec.items() if name not in bad}
    return good, tuple(f"spec.{name}" for name in bad)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return type(value) is int


def _are_references(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, Mapping)
        and _is_text(item.get("name"))
        and _is_text(item.get("namespace"))
        for item in value
    )


_SHAPES: Final[Mapping[str, Callable[[object], bool]]] = {
    "mode": _is_text,
    "replicas": _is_number,
    "reclaimPolicy": _is_text,
    "caCertConfigMap": _are_references,
    "clientCertSecret": _are_references,
}


def _references(items: list[dict[str, str]] | None) -> tuple[ObjectReference, ...]:
    return tuple(ObjectReference(item["namespace"], item["name"]) for item in items or ())
