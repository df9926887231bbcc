"""A handler that knows nothing but its events, and finds fault with impossible ones."""

import threading
from collections.abc import Set as AbstractSet

from informers.store import (
    DeletedFinalStateUnknown,
    Object,
    meta_namespace_key,
    resource_version,
)
from tests.support.eventually import PATIENCE


class Picture:
    """`objects` is folded from the events, `events` has them as short texts.

    `repeated` are the versions of the deletions that a server tells of twice.
    """

    def __init__(self, repeated: AbstractSet[str] = frozenset()) -> None:
        self.objects: dict[str, Object] = {}
        self.events: list[str] = []
        self.faults: list[str] = []
        self._repeated = repeated
        self._beginning = True
        self.gate = threading.Event()
        self.gate.set()

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's
        key = self._note("initial" if is_in_initial_list else "add", obj)
        if key in self.objects:
            self.faults.append(f"{key} added twice")
        if is_in_initial_list and not self._beginning:
            self.faults.append(f"{key} is not at the beginning")
        self._beginning &= is_in_initial_list
        self.objects[key] = obj

    def on_update(self, old: Object, new: Object) -> None:
        same = resource_version(old) == resource_version(new)
        key = self._note("sync" if same else "update", new)
        if self.objects.get(key) != old:
            self.faults.append(f"{key} updated from what was never told")
        self._beginning = False
        self.objects[key] = new

    def on_delete(self, obj: Object | DeletedFinalStateUnknown) -> None:
        lost = isinstance(obj, DeletedFinalStateUnknown)
        key = self._note("lost" if lost else "delete", obj)
        self._beginning = False
        known = self.objects.pop(key, None)
        if isinstance(obj, DeletedFinalStateUnknown):
            if known != obj.obj:
                self.faults.append(f"{key} lost in another state than the last told")
        elif known is None and resource_version(obj) not in self._repeated:
            self.faults.append(f"{key} deleted but never told")

    def _note(self, verb: str, obj: Object | DeletedFinalStateUnknown) -> str:
        self.gate.wait(PATIENCE)
        key = meta_namespace_key(obj)
        self.events.append(f"{verb} {key.rpartition('/')[2]}")
        return key
