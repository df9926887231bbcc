"""Whose object gets what: a consumer's ConfigMap with the bundle, a Secret with a pair."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from controller.api.storage import ObjectReference, StorageReference
from controller.api.times import rfc3339
from controller.resources import CONFIG_MAPS, GROUP, SECRETS
from informers import Resource

BUNDLE: Final = "serving-ca.crt"
CERT: Final = "tls.crt"
KEY: Final = "tls.key"

MANAGER: Final = "etcdproxy-controller"
"""What every field manager of ours begins with; that of the first controller is no longer."""

EXPIRY: Final = f"{GROUP}/certificate-expiry-date"
SIGNED_BY: Final = f"{GROUP}/certificate-signed-by"

NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment", namespaced=True)

_RESOURCES: Final = {kind.kind: kind for kind in (CONFIG_MAPS, SECRETS, DEPLOYMENTS)}

Data = Mapping[str, str]
"""As in the object: a ConfigMap's text, or a Secret's base64."""


@dataclass(frozen=True, slots=True, order=True)
class Consumer:
    """An object of another namespace: a ConfigMap, a Secret, or a Deployment to restart."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def resource(self) -> Resource:
        return _RESOURCES[self.kind]


@dataclass(frozen=True, slots=True)
class Signed:
    """What annotations and status tell of a certificate; of a bundle it is the signer's own.

    `by` tells the authority apart from all others.
    """

    serial: int
    not_after: datetime
    by: str

    @property
    def annotations(self) -> dict[str, str]:
        return {EXPIRY: rfc3339(self.not_after), SIGNED_BY: self.by}


@dataclass(frozen=True, slots=True)
class Content:
    """What a consumer should hold. `issued` says why a pair is a new one, '' if it is not.

    In `again` seconds there is something else to deliver.
    """

    data: Data = field(repr=False)
    signed: Signed
    issued: str = ""
    again: float = math.inf


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is on its way to a consumer.

    `content` takes the data that is there, None if there is no such object, so that a good pair
    is kept. `version` changes whenever `content` may answer otherwise than before for reasons
    other than time; it is compared only. `first`: nothing was ever delivered for the storage, so
    that most likely there is no such object.
    """

    consumer: Consumer
    version: str
    content: Callable[[Data | None], Content] = field(repr=False)
    first: bool = False


def manager(storage: StorageReference) -> str:
    """Return the field manager of what is delivered for `storage`.

    Each storage has its own, so that two that name one object do not take it from each other.
    """
    return f"{MANAGER}/{storage.name}"


def config_maps(references: Iterable[ObjectReference]) -> tuple[Consumer, ...]:
    return _consumers(CONFIG_MAPS, references)


def client_secrets(references: Iterable[ObjectReference]) -> tuple[Consumer, ...]:
    return _consumers(SECRETS, references)


def deployments(references: Iterable[ObjectReference]) -> tuple[Consumer, ...]:
    return _consumers(DEPLOYMENTS, references)


def dump(consumers: Iterable[Consumer]) -> str:
    """Return the consumers as a JSON list, equal for equal sets of them."""
    return orjson.dumps([_told(consumer) for consumer in sorted(set(consumers))]).decode()


def load(text: str) -> tuple[Consumer, ...]:
    """Return what `dump` was given; what somebody else made of it counts as far as it is clear."""
    try:
        items = orjson.loads(text or "[]")
    except orjson.JSONDecodeError:
        return ()
    return (
        tuple(_read(item) for item in items if _is_told(item)) if isinstance(items, list) else ()
    )


def _consumers(kind: Resource, references: Iterable[ObjectReference]) -> tuple[Consumer, ...]:
    return tuple(Consumer(kind.kind, to.namespace, to.name) for to in references)


def _told(consumer: Consumer) -> dict[str, str]:
    return {
        "kind": consumer.kind,
        "namespace": consumer.namespace,
        "name": consumer.name,
    }


def _is_told(item: Any) -> bool:
    if not isinstance(item, Mapping):
        return False
    if not all(isinstance(item.get(name), str) for name in ("kind", "namespace", "name")):
        return False
    possible = ObjectReference(item["namespace"], item["name"]).possible
    return possible and item["kind"] in _RESOURCES


def _read(item: Mapping[str, str]) -> Consumer:
    return Consumer(item["kind"], item["namespace"], item["name"])
