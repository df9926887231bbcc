"""From queue entries to store and notifications, in which order."""

from informers.fifo import Bookmark, Change, Delta, Entry, ReplacedAll, SyncAll
from informers.listener import Added, Deleted, Updated
from informers.processing import apply
from informers.store import DeletedFinalStateUnknown, Object, Store, meta_namespace_key
from tests.support.listerwatcher import config_map

A1, A2, B1, C1 = (
    config_map("a", 1),
    config_map("a", 2),
    config_map("b", 3),
    config_map("c", 4),
)


def delta(change: Change, obj: Object) -> Delta:
    return Delta(change, obj, meta_namespace_key(obj))


def store_of(*objects: Object) -> Store:
    store = Store()
    store.replace(objects, "1")
    return store


def test_the_store_decides_what_is_new() -> None:
    store = store_of(A1)
    batch: list[Entry] = [delta(Change.ADDED, A2), delta(Change.MODIFIED, B1)]
    assert apply(store, batch, initial=False) == [Updated(A1, A2), Added(B1, initial=False)]


def test_a_deletion_carries_the_last_state_sent() -> None:
    store = store_of(A1)
    assert apply(store, [delta(Change.DELETED, A2)], initial=False) == [Deleted(A2)]
    assert (len(store), store.resource_version) == (0, "2")


def test_a_list_deletes_first_then_tells_the_rest_in_its_order() -> None:
    store = store_of(A1, B1)
    told = apply(store, [ReplacedAll([C1, A2], "9")], initial=False)
    assert told == [
        Deleted(DeletedFinalStateUnknown("default/b", B1)),
        Added(C1, initial=False),
        Updated(A1, A2),
    ]
    assert (store.list(), store.resource_version) == ([C1, A2], "9")


def test_a_deletion_and_a_creation_may_become_one_update() -> None:
    gone, back = ({**A1, "metadata": {**A1["metadata"], "uid": uid}} for uid in ("1", "2"))
    store = store_of(gone)
    told = apply(store, [ReplacedAll([back], "9")], initial=False)
    assert told == [Updated(gone, back)]


def test_a_list_tells_of_what_did_not_change_too() -> None:
    same = config_map("a", 1)
    assert apply(store_of(A1), [ReplacedAll([same], "9")], initial=False) == [Updated(A1, same)]


def test_a_key_that_a_list_has_twice_is_told_once() -> None:
    store = store_of()
    told = apply(store, [ReplacedAll([A1, B1, A2], "9")], initial=False)
    assert told == [Added(A2, initial=False), Added(B1, initial=False)]


def test_the_first_list_is_marked() -> None:
    assert apply(Store(), [ReplacedAll([A1], "9")], initial=True) == [Added(A1, initial=True)]


def test_a_resync_shows_everything_and_changes_nothing() -> None:
    store = store_of(A1, B1)
    assert apply(store, [SyncAll()], initial=False) == [Updated(A1, A1), Updated(B1, B1)]
    assert store.resource_version == "1"


def test_a_bookmark_moves_the_version_only() -> None:
    store = store_of(A1)
    assert apply(store, [Bookmark("7")], initial=False) == []
    assert store.resource_version == "7"
