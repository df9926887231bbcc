"""From queue entries to the store, and from there to what handlers are told.

Whether an object is new is decided by the store, not by the type of the watch event: an ADDED
for a known key is an update, a MODIFIED for an unknown one an add.
"""

from collections.abc import Iterator, Sequence

from informers.fifo import Bookmark, Change, Delta, Entry, ReplacedAll, SyncAll
from informers.listener import Added, Deleted, Notification, Updated
from informers.store import DeletedFinalStateUnknown, Object, Store


def apply(store: Store, batch: Sequence[Entry], *, initial: bool) -> list[Notification]:
    """Change `store` by all entries, then say what handlers are to be told, in order.

    `initial` is for a list that is the first one.
    """
    return [one for entry in batch for one in _apply(store, entry, initial=initial)]


def _apply(store: Store, entry: Entry, *, initial: bool) -> Iterator[Notification]:
    match entry:
        case Delta():
            yield _change(store, entry)
        case Bookmark(version):
            store.bookmark(version)
        case ReplacedAll():
            yield from _replace(store, entry, initial=initial)
        case SyncAll():
            yield from (Updated(obj, obj) for obj in store.list())


def _change(store: Store, delta: Delta) -> Notification:
    if delta.change is Change.DELETED:
        store.delete(delta.obj)
        return Deleted(delta.obj)
    return _written(store.update(delta.obj), delta.obj, initial=False)


def _replace(store: Store, entry: ReplacedAll, *, initial: bool) -> Iterator[Notification]:
    """Deletions first, as tombstones, then the list in its order.

    A tombstone's key is free again when its handler hears of it, so that a rename, which is a
    deletion and a creation, never looks like two objects at once.
    """
    before = store.replace(entry.objects, entry.resource_version)
    for key, obj in before.items():
        if store.get(key) is None:
            yield Deleted(DeletedFinalStateUnknown(key, obj))
    for key, obj in store.items():
        yield _written(before.get(key), obj, initial=initial)


def _written(old: Object | None, new: Object, *, initial: bool) -> Notification:
    return Added(new, initial) if old is None else Updated(old, new)
