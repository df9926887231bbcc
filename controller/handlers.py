"""What informers are given: who is to be reconciled for an object, and what went wrong."""

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog

from controller.ownership import STORAGE_LABEL
from controller.resources import ETCD_STORAGES
from informers import DeletedFinalStateUnknown, Resource
from informers.errors import is_expired, is_not_found
from workqueue import DelayingQueue, Queue

Json = Mapping[str, Any]
KeyFunction = Callable[[Json], list[str]]
"""Names the storages that an object concerns."""
Matters = Callable[[Json, Json], bool]
"""Whether the step from an old object to a new one is worth a look."""

STATUS_PAUSE: Final = 10.0
"""Seconds until what somebody else wrote into a status is looked at: whoever keeps doing so, as a
second controller would, finds it put right so often and no more."""

LOW_PRIORITY: Final = -100
"""In the queue, for what no change has brought up. The value is controller-runtime's."""

_log = structlog.get_logger("controller.watch")


class EnqueueHandler:
    """Puts the names of the storages that an object concerns into the queue.

    A change goes before what is looked at only because the program has started or because it is
    time for a resync. That has `LOW_PRIORITY`: it is taken in order, and only while no storage
    that changed is waiting. This starves nobody as long as the workers keep up with the changes: a
    storage waits once, however often it changes, and one that fails stays away longer each time.
    A storage that changes while it waits with low priority is lifted.
    """

    def __init__(self, queue: Queue[str], keys: KeyFunction, matters: Matters) -> None:
        self._queue = queue
        self._keys = keys
        self._matters = matters

    def on_add(self, obj: Json, is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's signature
        self._enqueue(self._keys(obj), LOW_PRIORITY if is_in_initial_list else 0)

    def on_update(self, old: Json, new: Json) -> None:
        if not self._matters(old, new):
            return
        # The old one as well: a label taken away concerns the storage that it named.
        names = {*self._keys(old), *self._keys(new)}
        self._enqueue(names, LOW_PRIORITY if _version(old) == _version(new) else 0)

    def on_delete(self, obj: Json | DeletedFinalStateUnknown) -> None:
        known = obj.obj if isinstance(obj, DeletedFinalStateUnknown) else obj
        if known is not None:
            self._enqueue(self._keys(known), 0)

    def _enqueue(self, names: Iterable[str], priority: int) -> None:
        for name in names:
            self._queue.add(name, priority=priority)


class StatusHandler:
    """Lets a storage be looked at, after a while, whose status somebody else has written.

    `ours` tells of a name, a kind and a version whether that may be a write of ours. Where it is
    wrong, there is a look too many, or what somebody wrote stays until the next one.
    """

    def __init__(
        self, queue: DelayingQueue[str], ours: Callable[[str, Resource, str], bool]
    ) -> None:
        self._queue = queue
        self._ours = ours

    def on_add(self, _obj: Json, _is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's
        """Nothing: whoever comes is looked at."""

    def on_update(self, old: Json, new: Json) -> None:
        metadata = new["metadata"]
        name, version = metadata["name"], metadata["resourceVersion"]
        if old.get("status") != new.get("status") and not self._ours(name, ETCD_STORAGES, version):
            self._queue.add_after(name, STATUS_PAUSE, priority=LOW_PRIORITY)

    def on_delete(self, _obj: Json | DeletedFinalStateUnknown) -> None:
        """Nothing: whoever goes is looked at."""


class ChangeHandler:
    """Calls `changed` for whatever happens to an object."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def on_add(self, _obj: Json, _is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's
        self._changed()

    def on_update(self, _old: Json, _new: Json) -> None:
        self._changed()

    def on_delete(self, _obj: Json | DeletedFinalStateUnknown) -> None:
        self._changed()


class WatchErrorLog:
    """Says once why kinds cannot be listed or watched, and once that all can again.

    One cause that hits all kinds, such as a server that is away, is one line. Thread safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: dict[Resource, str] = {}

    def __call__(self, resource: Resource, error: Exception | None) -> None:
        """Note why an attempt failed, or by None that one succeeded."""
        if error is None:
            self._recovered(resource)
        elif not is_expired(error):
            self._failed(resource, _watch_error(resource, error))

    def _failed(self, resource: Resource, text: str) -> None:
        with self._lock:
            known = text in self._failing.values()
            self._failing[resource] = text
        say = _log.debug if known else _log.warning
        say("cannot_watch", kind=resource.kind, error=text)

    def _recovered(self, resource: Resource) -> None:
        with self._lock:
            failed = self._failing.pop(resource, None)
            all_well = not self._failing
        if failed and all_well:
            _log.info("watching_again")


def _watch_error(resource: Resource, error: Exception) -> str:
    if resource == ETCD_STORAGES and is_not_found(error):
        return (
            "the EtcdStorage CRD is not installed; waiting for it"
            " (kubectl apply -f artifacts/etcdstorage/crd.yaml)"
        )
    return f"{error}; trying again"


def always(_old: Json, _new: Json) -> bool:
    return True


def beyond_status(old: Json, new: Json) -> bool:
    """Whether more than the status changed, or nothing, which is a resync.

    Our own words in a status are no news: taken for news they would defeat the backoff of
    whatever they report.
    """
    return _version(old) == _version(new) or _but_status(old) != _but_status(new)


def _version(obj: Json) -> Any:
    return obj["metadata"].get("resourceVersion")


def _but_status(obj: Json) -> Json:
    metadata = {**obj["metadata"], "resourceVersion": None}
    return {**obj, "metadata": metadata, "status": None}


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
