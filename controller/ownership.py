"""Whose is an object, and which of its fields are ours: pure decisions over raw JSON.

An object is ours if its controller reference carries the storage's uid, or if it has no
controller but our label: an orphan, which we adopt. Everything else of our name is somebody's
property and stays as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from controller.api.storage import EtcdStorage, StorageReference
from controller.resources import ETCD_STORAGES, GROUP

Json = dict[str, Any]

STORAGE_LABEL: Final = f"{GROUP}/storage"
"""On every object of a storage, its name; also the whole of every selector."""

_WHOLE_FIELDS: Final = frozenset({"selector"})
"""Maps that are ours as a whole: one more entry in a selector changes whom it selects."""


class Claim(Enum):
    """What an existing object is to a storage; one that is being deleted is not written to."""

    OWNED = "owned"
    ORPHAN = "orphan"
    LEAVING = "leaving"
    FOREIGN = "foreign"


def owner_reference(storage: EtcdStorage | StorageReference) -> Json:
    """Return the entry of ownerReferences that makes the garbage collector follow `storage`."""
    return {
        "apiVersion": ETCD_STORAGES.api_version,
        "kind": ETCD_STORAGES.kind,
        "name": storage.name,
        "uid": storage.uid,
    }


def controller_reference(storage: EtcdStorage) -> Json:
    """Return the same where the object is the storage's alone."""
    return {**owner_reference(storage), "controller": True, "blockOwnerDeletion": True}


def controller_of(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the controller reference of `obj`, if it has one."""
    references = obj["metadata"].get("ownerReferences") or ()
    return next((reference for reference in references if reference.get("controller")), None)


def claim(obj: Mapping[str, Any], storage: EtcdStorage) -> Claim:
    """Say whose `obj` is, seen from `storage`."""
    controller = controller_of(obj)
    labels = obj["metadata"].get("labels") or {}
    owned = controller is not None and controller["uid"] == storage.uid
    orphan = controller is None and labels.get(STORAGE_LABEL) == storage.name
    if not owned and not orphan:
        return Claim.FOREIGN
    if "deletionTimestamp" in obj["metadata"]:
        return Claim.LEAVING
    return Claim.OWNED if owned else Claim.ORPHAN


@dataclass(frozen=True, slots=True)
class Conflict:
    """An object under a name of ours that is not ours to touch.

    It `passes` by itself if the garbage collector is about to take it.
    """

    kind: str
    name: str
    holder: str
    passes: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name} exists and {self.holder}"


def describe_conflict(obj: Mapping[str, Any], kind: str, storage: EtcdStorage) -> Conflict:
    """Say who holds `obj`, in words that tell the operator what to do."""
    name = obj["metadata"]["name"]
    controller = controller_of(obj)
    if controller is None:
        return Conflict(
            kind, name, "is not ours: delete it, or create the EtcdStorage under another name"
        )
    if (controller["kind"], controller["name"]) == (ETCD_STORAGES.kind, storage.name):
        holder = "belongs to a deleted EtcdStorage of this name: it is awaited"
        return Conflict(kind, name, holder, passes=True)
    return Conflict(
        kind,
        name,
        f"is controlled by {controller['kind']} {controller['name']}: delete one of the two",
    )


def overlay(actual: Mapping[str, Any], desired: Mapping[str, Any]) -> Json:
    """Return `actual` with every field that `desired` names set as there, the others kept.

    A list of maps is matched item by item while it has the desired length, so that what the
    server or another manager added inside an item stays.
    """
    merged = dict(actual)
    for key, value in desired.items():
        merged[key] = value if key in _WHOLE_FIELDS else _overlay_value(actual.get(key), value)
    return merged


def merge_patch(actual: Mapping[str, Any], target: Mapping[str, Any]) -> Json:
    """Return the JSON merge patch (RFC 7386) that turns `actual` into `target`; {} if equal."""
    patch: Json = {key: None for key in actual if key not in target}
    for key, value in target.items():
        before = actual.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif key not in actual or before != value:
            patch[key] = value
    return patch


def with_controller(obj: Mapping[str, Any], storage: EtcdStorage) -> Json:
    """Return `obj` with `storage` as its controller, next to what references it has."""
    metadata, ours = obj["metadata"], controller_reference(storage)
    # A reference of ours that is not the controller's would keep an orphan one for ever.
    references = [
        ours if reference.get("uid") == storage.uid else reference
        for reference in metadata.get("ownerReferences") or ()
    ]
    if ours not in references:
        references.append(ours)
    return {**obj, "metadata": {**metadata, "ownerReferences": references}}


def _overlay_value(actual: Any, desired: Any) -> Any:
    if isinstance(desired, Mapping) and isinstance(actual, Mapping):
        return overlay(actual, desired)
    if isinstance(desired, list) and isinstance(actual, list) and len(desired) == len(actual):
        return [_overlay_value(a, d) for a, d in zip(actual, desired, strict=True)]
    return desired
