"""What a consumer's object needs: pure decisions over what is there.

Nothing is overwritten that somebody else wrote: a key that has content, which is neither ours nor
what we would write. Blanks are no content, so an object may be made in advance. All other fields
are left alone. Each decision holds for the object as it was read; on any other the server refuses
what came of it.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller.api.conditions import Problem
from controller.api.storage import StorageReference
from controller.consumers.consumer import (
    CERT,
    KEY,
    MANAGER,
    SIGNED_BY,
    Consumer,
    Content,
    Data,
    Delivery,
    manager,
)
from controller.consumers.fields import ANNOTATIONS, OWNERS, Path, owned, writers
from controller.ownership import owner_reference
from controller.resources import CONFIG_MAPS

FOREIGN_CONTENT: Final = "ForeignContent"
CONSUMER_IMMUTABLE: Final = "ConsumerImmutable"
CONSUMER_LEAVING: Final = "ConsumerLeaving"

Json = dict[str, Any]

_NEW: Final = {"resourceVersion": "1"}
"""The version of no object: etcd's revision before the first write. An apply with it creates what
is not there, and is a conflict where something is."""

_TLS: Final = "kubernetes.io/tls"
"""The type of Secrets that have to have both keys of a pair, if only with nothing in them."""

_UNKNOWN: Final = frozenset({"", "before-first-apply"})
"""Whom the server names for what was written before it kept such books."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply `body`, by which the object holds `content`; None: nothing of ours any more."""

    body: Json = field(repr=False)
    content: Content | None


@dataclass(frozen=True, slots=True)
class Keep:
    """The object holds `content`; None: nothing of ours."""

    content: Content | None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Something is there that we do not touch."""

    problem: Problem


Decision = Apply | Keep | Refuse


def decide(
    present: Mapping[str, Any] | None, delivery: Delivery, storage: StorageReference
) -> Decision:
    """Decide what brings `delivery` into an object; None: there is none yet.

    An object that we make is given an owner reference, which is kept as long as it is there: it
    goes with its storage.
    """
    consumer = delivery.consumer
    if present is None:
        content = delivery.content(None)
        return Apply(_body(consumer, _NEW, content, (storage,)), content)
    content = delivery.content(present.get("data") or {})
    if problem := _obstacle(present, delivery.consumer, content.data, storage):
        return Refuse(problem)
    ours = owned(present, manager(storage))
    # The storage's name may have come back with another uid, and the object would go with the old.
    made_by_us = any(path[:-1] == OWNERS for path in ours)
    body = _body(consumer, _guard(present), content, (storage,) if made_by_us else ())
    if ours == _paths(body) and _holds(present, body):
        return Keep(content)
    return Apply(body, content)


def decide_withdrawal(
    present: Mapping[str, Any] | None, consumer: Consumer, storage: StorageReference
) -> Decision:
    """Decide what takes everything of ours out of an object again.

    An object that we made stays, empty and nobody's: we have no right to delete it, and as the
    storage's it might be swept away with what others put there since.
    """
    ours = owned(present, manager(storage)) if present else frozenset()
    if not ours or present is None or "deletionTimestamp" in present["metadata"]:
        return Keep(None)
    blanks = {CERT: "", KEY: ""} if present.get("type") == _TLS else {}
    body = _body(consumer, _guard(present), None, ())
    if blanks:
        body["data"] = blanks
    if ours == _paths(body) and _holds(present, body):
        return Keep(None)
    if present.get("immutable") and any(path[0] == "data" for path in ours):
        return Refuse(Problem(CONSUMER_IMMUTABLE, f"{consumer} is immutable: delete it"))
    return Apply(body, None)


def changed_on_the_way(
    stored: Mapping[str, Any], body: Json, consumer: Consumer
) -> Problem | None:
    """Say what of an applied `body` is not as it should be in what the server made of it.

    What a webhook changed stays ours by the server's books, so nothing else shows it.
    """
    there = (stored.get("data") or {}, stored["metadata"].get("annotations") or {})
    wanted = (body.get("data", {}), body["metadata"].get("annotations", {}))
    names = [
        name
        for want, have in zip(wanted, there, strict=True)
        for name, value in want.items()
        if have.get(name, "") != value
    ]
    if not names:
        return None
    message = (
        f"{consumer}: {' and '.join(names)} does not stay as we write it, a webhook or policy of"
        " the cluster changes it: exempt the object from that"
    )
    return Problem(FOREIGN_CONTENT, message)


def _guard(present: Mapping[str, Any]) -> Json:
    """Return what makes an apply hold for `present` only, and not for one in its place."""
    return {name: present["metadata"][name] for name in ("uid", "resourceVersion")}


def _body(
    consumer: Consumer,
    guard: Json,
    content: Content | None,
    owners: tuple[StorageReference, ...],
) -> Json:
    metadata: Json = {"name": consumer.name, "namespace": consumer.namespace, **guard}
    if owners:
        metadata["ownerReferences"] = [owner_reference(owner) for owner in owners]
    body = {
        "apiVersion": consumer.resource.api_version,
        "kind": consumer.kind,
        "metadata": metadata,
    }
    if content is None:
        return body
    metadata["annotations"] = content.signed.annotations
    return {**body, "data": dict(content.data)}


def _paths(body: Json) -> frozenset[Path]:
    """Return the fields that applying `body` makes ours."""
    metadata = body["metadata"]
    return frozenset(
        [
            *(("data", key) for key in body.get("data", ())),
            *((*ANNOTATIONS, name) for name in metadata.get("annotations", ())),
            *((*OWNERS, owner["uid"]) for owner in metadata.get("ownerReferences", ())),
        ]
    )


def _holds(present: Mapping[str, Any], body: Json) -> bool:
    """Whether all is there that `body` says; an owner reference that is ours is."""
    annotations = present["metadata"].get("annotations") or {}
    return _within(body.get("data", {}), present.get("data") or {}) and _within(
        body["metadata"].get("annotations", {}), annotations
    )


def _within(wanted: Data, there: Data) -> bool:
    return all(there.get(name) == value for name, value in wanted.items())


def _obstacle(
    present: Mapping[str, Any], consumer: Consumer, wanted: Data, storage: StorageReference
) -> Problem | None:
    """Say what keeps `wanted` from being written."""
    if "deletionTimestamp" in present["metadata"]:
        message = f"{consumer} is being deleted: it is made anew when it is gone"
        return Problem(CONSUMER_LEAVING, message, passes=True)
    ours = owned(present, manager(storage))
    for key, value in wanted.items():
        path = _taken(present, key, value)
        if path and path not in ours:
            return _foreign(present, consumer, path)
    data = present.get("data") or {}
    if present.get("immutable") and not _within(wanted, data):
        message = f"{consumer} is immutable: delete it to have it made anew, or list another name"
        return Problem(CONSUMER_IMMUTABLE, message)
    return None


def _taken(present: Mapping[str, Any], key: str, value: str) -> Path | None:
    """Return where something else than `value` stands under a key, if it does."""
    if key in (present.get("binaryData") or {}):
        return ("binaryData", key)
    there = (present.get("data") or {}).get(key, "")
    blank = not (there if present["kind"] == CONFIG_MAPS.kind else _plain(there)).strip()
    return None if blank or there == value else ("data", key)


def _plain(value: str) -> bytes:
    return base64.b64decode(value)


def _foreign(present: Mapping[str, Any], consumer: Consumer, path: Path) -> Problem:
    names = [name for name in writers(present, path) if name not in _UNKNOWN]
    key = path[-1]
    if by := _other_storage(names):
        message = (
            f"{consumer}: {key} is delivered for EtcdStorage {by}: take the entry out of one of"
            f" the two, or the key out of the object if there is no {by} any more"
        )
    elif _is_of_2018(present, names):
        message = (
            f"{consumer}: {key} was made by the controller of 2018: delete the object, or its"
            " keys, to have it made anew"
        )
    else:
        whom = f"by {' and '.join(names)}" if names else "by nobody knows whom"
        message = (
            f"{consumer}: {key} was written {whom} and is left alone: remove the key, also from"
            " what would write it again, or list another name"
        )
    return Problem(FOREIGN_CONTENT, message)


def _other_storage(names: list[str]) -> str:
    return next((n.partition("/")[2] for n in names if n.startswith(f"{MANAGER}/")), "")


def _is_of_2018(present: Mapping[str, Any], names: list[str]) -> bool:
    """Whether the first controller wrote it, or somebody unnamed, and annotated it as that did."""
    annotations = present["metadata"].get("annotations") or {}
    return SIGNED_BY in annotations and set(names) <= {MANAGER}
