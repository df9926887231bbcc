"""What informers are given: who is to be reconciled for an object, and what went wrong."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from controller.ownership import STORAGE_LABEL
from controller.resources import ETCD_STORAGES
from informers import DeletedFinalStateUnknown, Resource
from informers.errors import is_expired, is_not_found
from workqueue import Queue

Json = Mapping[str, Any]
KeyFunction = Callable[[Json], list[str]]
"""Names the storages that an object concerns."""

_log = structlog.get_logger("controller.watch")


class EnqueueHandler:
    """Puts the names of the storages that an object concerns into the queue."""

    def __init__(self, queue: Queue[str], keys: KeyFunction) -> None:
        self._queue = queue
        self._keys = keys

    def on_add(self, obj: Json, is_in_initial_list: bool) -> None:  # noqa: ARG002, FBT001 - client-go's signature
        self._enqueue(obj)

    def on_update(self, old: Json, new: Json) -> None:
        # The old one as well: a label taken away concerns the storage that it named.
        for name in {*self._keys(old), *self._keys(new)}:
            self._queue.add(name)

    def on_delete(self, obj: Json | DeletedFinalStateUnknown) -> None:
        known = obj.obj if isinstance(obj, DeletedFinalStateUnknown) else obj
        if known is not None:
            self._enqueue(known)

    def _enqueue(self, obj: Json) -> None:
        for name in self._keys(obj):
            self._queue.add(name)


class WatchErrorLog:
    """Says once why a kind cannot be listed or watched, and again when the reason changes."""

    def __init__(self) -> None:
        self._said: dict[Resource, str] = {}

    def __call__(self, resource: Resource, error: Exception) -> None:
        if is_expired(error):
            return
        text = _watch_error(resource, error)
        level = "debug" if self._said.get(resource) == text else "warning"
        self._said[resource] = text
        getattr(_log, level)("cannot_watch", kind=resource.kind, error=text)


def _watch_error(resource: Resource, error: Exception) -> str:
    if resource == ETCD_STORAGES and is_not_found(error):
        return (
            "the EtcdStorage CRD is not installed; waiting for it"
            " (kubectl apply -f artifacts/etcdstorage/crd.yaml)"
        )
    return f"{error}; trying again"


def own_name(obj: Json) -> list[str]:
    return [obj["metadata"]["name"]]


def by_name(storage_of: Callable[[str], str | None]) -> KeyFunction:
    """Name the storage by the object's name: one that is not ours may stand in its way."""

    def keys(obj: Json) -> list[str]:
        name = storage_of(obj["metadata"]["name"])
        return [name] if name else []

    return keys


def by_label(obj: Json) -> list[str]:
    name = (obj["metadata"].get("labels") or {}).get(STORAGE_LABEL)
    return [name] if name else []
