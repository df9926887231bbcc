"""What an informer's user writes: handlers of events, and small helpers around them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from informers.store import DeletedFinalStateUnknown, Object


class ResourceEventHandler(Protocol):
    """Told of every change, one call at a time and in order.

    Objects must not be changed. Handlers should return soon and never block on the informer
    itself; usually they put a key on a work queue.
    """

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's
        """`obj` is new here; `is_in_initial_list` if it was there when the informer started."""
        ...

    def on_update(self, old: Object, new: Object) -> None:
        """The object changed, or this is a resync if both have the same resourceVersion.

        Several changes may have become one, even a deletion and a creation: compare the uids.
        """
        ...

    def on_delete(self, obj: Object | DeletedFinalStateUnknown) -> None:
        """The object is gone; a tombstone if that was found out by a relist only."""
        ...


@dataclass(frozen=True, slots=True)
class ResourceEventHandlerFuncs:
    """A handler made of up to three functions; what is None is not handled."""

    add: Callable[[Object, bool], None] | None = None
    update: Callable[[Object, Object], None] | None = None
    delete: Callable[[Object | DeletedFinalStateUnknown], None] | None = None

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's
        if self.add:
            self.add(obj, is_in_initial_list)

    def on_update(self, old: Object, new: Object) -> None:
        if self.update:
            self.update(old, new)

    def on_delete(self, obj: Object | DeletedFinalStateUnknown) -> None:
        if self.delete:
            self.delete(obj)


@dataclass(frozen=True, slots=True)
class FilteringResourceEventHandler:
    """Shows `handler` only what `keep` accepts.

    An update by which an object comes to be accepted arrives as an add, one by which it ceases
    to be as a delete, so that the handler's picture is right at any time.
    """

    keep: Callable[[Object], bool]
    handler: ResourceEventHandler

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's
        if self.keep(obj):
            self.handler.on_add(obj, is_in_initial_list)

    def on_update(self, old: Object, new: Object) -> None:
        match self.keep(old), self.keep(new):
            case True, True:
                self.handler.on_update(old, new)
            case False, True:
                self.handler.on_add(new, False)
            case True, False:
                self.handler.on_delete(old)

    def on_delete(self, obj: Object | DeletedFinalStateUnknown) -> None:
        last = obj.obj if isinstance(obj, DeletedFinalStateUnknown) else obj
        if self.keep(last):
            self.handler.on_delete(obj)
