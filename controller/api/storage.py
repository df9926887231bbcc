"""EtcdStorage, as read from the API: a frozen picture of one object at one resourceVersion."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeGuard

from controller.api.durations import parse_duration
from controller.api.names import is_dns_label, is_dns_subdomain
from controller.api.statusfields import readable

RESERVED_NAMES: Final = frozenset({"registry", "root"})
"""`/registry/` is where a cluster keeps its own data; `root` is etcd's administrator."""

MAX_NAME_LENGTH: Final = 58
"""`etcd-<name>` is a Service, and a Service's name is a DNS label of 63 characters."""

CORE_FINALIZER: Final = "etcd.xmudrii.com/core"
"""On a storage with something in the core that is to go with it: it is not gone before that is."""

RETAIN: Final = "Retain"
DELETE: Final = "Delete"
"""The reclaim policies: what becomes of its keys."""

CORE_USER_OWNER: Final = "coreUserOwner"
"""In the status: the uid of the object for which user and role in the core were claimed."""

ROTATE_ANNOTATION: Final = "etcd.xmudrii.com/rotate"
"""A new value, whatever it is, asks for a new certificate authority."""

SIGNING_VALIDITY: Final = timedelta(hours=43800)
LEAF_VALIDITY: Final = timedelta(hours=2160)
"""The CRD's defaults."""

_SIGNING: Final = "signingCertificateValidity"
_SERVING: Final = "servingCertificateValidity"
_CLIENT: Final = "clientCertificateValidity"
_SHORTEST: Final = timedelta(seconds=10)
"""Of a validity, as the CRD has it."""

_LONGEST: Final = timedelta(days=365 * 350)
"""More than the CRD lets through, and a date as far away can still be written."""

_TOLD: Final = 100
"""Characters of a name that nothing can have, as the status tells it."""

_IGNORED_FIELDS: Final = {"serverCACert": "caCertConfigMap", "clientCert": "clientCertSecret"}
"""Fields of 2018, and what took their place."""


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """A ConfigMap, Secret or Deployment of a consumer."""

    namespace: str
    name: str

    @property
    def possible(self) -> bool:
        """Whether any object can be called that."""
        return is_dns_label(self.namespace) and is_dns_subdomain(self.name)


@dataclass(frozen=True, slots=True)
class StorageReference:
    """Which EtcdStorage, and nothing of it."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class EtcdStorage:
    """One EtcdStorage; `status` is the raw JSON, as far as it can be read."""

    name: str
    uid: str
    resource_version: str
    generation: int
    created: datetime
    deleted: datetime | None
    """Since when it is being deleted."""
    finalizers: tuple[str, ...]
    mode: str
    replicas: int
    reclaim_policy: str
    ca_cert_config_maps: tuple[ObjectReference, ...]
    client_cert_secrets: tuple[ObjectReference, ...]
    restart_deployments: tuple[ObjectReference, ...]
    signing_validity: timedelta
    serving_validity: timedelta
    client_validity: timedelta
    rotate: str
    ignored_fields: tuple[str, ...]
    unreadable_fields: tuple[str, ...]
    status: Mapping[str, Any]
    unreadable_status: tuple[str, ...]
    """Fields that are there and not in `status`."""

    @property
    def prefix(self) -> str:
        """Where its keys lie in the core etcd."""
        return f"/{self.name}/"

    @property
    def deleting(self) -> bool:
        return self.deleted is not None

    @property
    def reclaims(self) -> bool:
        """Whether its keys are to go with it."""
        return self.reclaim_policy == DELETE

    @property
    def keys(self) -> int | None:
        """How many keys the status tells that it has in the core."""
        usage = self.status.get("usage")
        keys = usage.get("keys") if isinstance(usage, Mapping) else None
        return keys if _is_number(keys) else None

    @property
    def tls(self) -> bool:
        """Whether its endpoint is mutual TLS: somebody is to get a bundle or a pair for it."""
        return bool(self.ca_cert_config_maps or self.client_cert_secrets)

    @property
    def held(self) -> bool:
        """Whether its deletion waits for us."""
        return CORE_FINALIZER in self.finalizers

    @property
    def claimed(self) -> bool:
        """Whether user and role of this name in the core are ours, by a claim of this object.

        The finalizer says nothing of that: whoever makes an object may give it one, or restores
        one with it. The status is not theirs to write, and that of another object, restored by
        whoever may, names another uid.
        """
        return self.held and self.status.get(CORE_USER_OWNER) == self.uid


def read_storage(obj: Mapping[str, Any]) -> EtcdStorage:
    """Read an API object; what an older CRD let in unset gets the defaults of today's.

    An older CRD had no schema, so a field may hold anything: such a one counts as unset and is
    named in `unreadable_fields`, with the object that cannot be called as a list has it, and one
    of the status in `unreadable_status`.
    """
    metadata = obj["metadata"]
    spec, unreadable = _readable(obj.get("spec") or {})
    deleted = metadata.get("deletionTimestamp")
    status, unreadable_status = readable(obj.get("status"))
    return EtcdStorage(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 1),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        deleted=datetime.fromisoformat(deleted) if deleted else None,
        finalizers=tuple(metadata.get("finalizers") or ()),
        mode=spec.get("mode") or "Proxy",
        replicas=spec.get("replicas") or 2,
        reclaim_policy=spec.get("reclaimPolicy") or RETAIN,
        ca_cert_config_maps=_references(spec.get("caCertConfigMap")),
        client_cert_secrets=_references(spec.get("clientCertSecret")),
        restart_deployments=_references(spec.get("restartDeployments")),
        signing_validity=_validity(spec, _SIGNING, SIGNING_VALIDITY),
        serving_validity=_validity(spec, _SERVING, LEAF_VALIDITY),
        client_validity=_validity(spec, _CLIENT, LEAF_VALIDITY),
        rotate=str((metadata.get("annotations") or {}).get(ROTATE_ANNOTATION) or ""),
        ignored_fields=tuple(
            f"spec.{old} (use spec.{new})" for old, new in _IGNORED_FIELDS.items() if old in spec
        ),
        unreadable_fields=unreadable,
        status=status,
        unreadable_status=unreadable_status,
    )


def name_problem(name: str, reserved: Collection[str]) -> str | None:
    """Why a storage of this name cannot be served; None if it can.

    Admission refuses such names, but an object may be older than the rule that refuses it.
    """
    if name in reserved:
        return f"the name {name!r} is reserved"
    if len(name) > MAX_NAME_LENGTH:
        return f"the name has {len(name)} characters, {MAX_NAME_LENGTH} are the limit"
    if not is_dns_label(name):
        return f"the name {name!r} is no DNS label"
    return None


def _readable(spec: object) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return what of a spec can be read, and the names of the fields that cannot."""
    if not isinstance(spec, Mapping):
        return {}, ("spec",)
    bad = [name for name, fits in _SHAPES.items() if spec.get(name) and not fits(spec[name])]
    bad += _contradictions({name: value for name, value in spec.items() if name not in bad})
    good = {name: value for name, value in spec.items() if name not in bad}
    return good, tuple(f"spec.{name}{_misnamed(spec.get(name))}" for name in bad)


def _contradictions(spec: Mapping[str, Any]) -> list[str]:
    """Return the validities of leaves that are above their authority's."""
    signing = _validity(spec, _SIGNING, SIGNING_VALIDITY)
    return [leaf for leaf in (_SERVING, _CLIENT) if _validity(spec, leaf, LEAF_VALIDITY) > signing]


def _validity(spec: Mapping[str, Any], field: str, default: timedelta) -> timedelta:
    return parse_duration(spec[field]) if spec.get(field) else default


def _is_validity(value: object) -> bool:
    try:
        return isinstance(value, str) and _SHORTEST <= parse_duration(value) <= _LONGEST
    except ValueError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> TypeGuard[int]:
    return type(value) is int


def _are_references(value: object) -> bool:
    return _are_pairs(value) and all(reference.possible for reference in _references(value))


def _are_pairs(value: object) -> TypeGuard[list[dict[str, str]]]:
    return isinstance(value, list) and all(
        isinstance(item, Mapping)
        and _is_text(item.get("name"))
        and _is_text(item.get("namespace"))
        for item in value
    )


def _misnamed(value: object) -> str:
    """Say which of the references in an unreadable field is to no object; '' if it has none."""
    if not _are_pairs(value):
        return ""
    names = (f"{to.namespace}/{to.name}" for to in _references(value) if not to.possible)
    return f" (no object can be called {next(names)[:_TOLD]!a})"


_SHAPES: Final[Mapping[str, Callable[[object], bool]]] = {
    "mode": _is_text,
    "replicas": _is_number,
    "reclaimPolicy": _is_text,
    "caCertConfigMap": _are_references,
    "clientCertSecret": _are_references,
    "restartDeployments": _are_references,
    _SIGNING: _is_validity,
    _SERVING: _is_validity,
    _CLIENT: _is_validity,
}


def _references(items: list[dict[str, str]] | None) -> tuple[ObjectReference, ...]:
    return tuple(ObjectReference(item["namespace"], item["name"]) for item in items or ())
