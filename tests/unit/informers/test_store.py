"""Keys, indexes and the version of the local copy."""

import pytest

from informers.store import (
    DeletedFinalStateUnknown,
    Object,
    Store,
    meta_namespace_index,
    meta_namespace_key,
    split_meta_namespace_key,
)
from tests.support.listerwatcher import config_map


def labelled(name: str, version: int, *values: str) -> Object:
    return {**config_map(name, version), "values": list(values)}


def by_values(obj: Object) -> list[str]:
    return list(obj["values"])


@pytest.fixture
def store() -> Store:
    return Store({"values": by_values})


def names(objects: list[Object]) -> list[str]:
    return sorted(obj["metadata"]["name"] for obj in objects)


class TestKeys:
    def test_have_a_namespace_where_there_is_one(self) -> None:
        assert meta_namespace_key(config_map("a")) == "default/a"
        assert meta_namespace_key({"metadata": {"name": "node"}}) == "node"
        assert meta_namespace_key(DeletedFinalStateUnknown("x/y", config_map("a"))) == "x/y"

    def test_of_the_namespace_index_are_empty_where_there_is_none(self) -> None:
        assert meta_namespace_index(config_map("a")) == ["default"]
        assert meta_namespace_index({"metadata": {"name": "node"}}) == [""]

    def test_can_be_split(self) -> None:
        assert split_meta_namespace_key("ns/name") == ("ns", "name")
        assert split_meta_namespace_key("name") == ("", "name")

    @pytest.mark.parametrize("key", ["a/b/c", "", "a/", "/a"])
    def test_of_another_form_are_refused(self, key: str) -> None:
        with pytest.raises(ValueError, match="unexpected key format"):
            split_meta_namespace_key(key)


class TestIndexes:
    def test_give_each_object_once(self, store: Store) -> None:
        store.add(labelled("a", 1, "x", "y"))
        store.add(labelled("b", 2, "y"))
        assert names(store.by_index("values", "y")) == ["a", "b"]
        assert names(store.index("values", labelled("c", 3, "x", "y"))) == ["a", "b"]
        assert store.index_keys("values", "y") == ["default/a", "default/b"]
        assert sorted(store.index_values("values")) == ["x", "y"]

    def test_follow_changes_and_forget_what_nobody_has(self, store: Store) -> None:
        store.add(labelled("a", 1, "x", "y"))
        store.update(labelled("a", 2, "y", "z"))
        assert sorted(store.index_values("values")) == ["y", "z"]
        store.delete(labelled("a", 3, "whatever"))
        assert store.index_values("values") == []
        assert store.by_index("values", "y") == []

    def test_keep_what_others_have(self, store: Store) -> None:
        store.add(labelled("a", 1, "x"))
        store.add(labelled("b", 2, "x"))
        store.delete(labelled("a", 3))
        assert names(store.by_index("values", "x")) == ["b"]

    def test_are_built_anew_by_replace(self, store: Store) -> None:
        store.add(labelled("a", 1, "x"))
        before = store.replace([labelled("b", 2, "y")], "5")
        assert list(before) == ["default/a"]
        assert store.index_values("values") == ["y"]

    def test_may_come_late_but_not_twice(self, store: Store) -> None:
        store.add(labelled("a", 1, "x"))
        store.add_indexers({"namespace": meta_namespace_index})
        assert names(store.by_index("namespace", "default")) == ["a"]
        with pytest.raises(ValueError, match="exist already: namespace"):
            store.add_indexers({"namespace": by_values, "new": by_values})
        with pytest.raises(KeyError, match="no index named 'new'"):
            store.by_index("new", "x")

    def test_may_come_again_by_the_same_function(self, store: Store) -> None:
        store.add(labelled("a", 1, "x"))
        store.add_indexers({"namespace": meta_namespace_index})
        store.add_indexers({"namespace": meta_namespace_index, "new": by_values})
        assert names(store.by_index("namespace", "default")) == ["a"]
        assert names(store.by_index("new", "x")) == ["a"]


class TestVersion:
    def test_is_that_of_the_last_write(self, store: Store) -> None:
        versions = [store.resource_version]
        store.add(labelled("a", 1))
        versions.append(store.resource_version)
        store.update(labelled("a", 2))
        versions.append(store.resource_version)
        store.delete(labelled("a", 3))
        versions.append(store.resource_version)
        store.replace([labelled("b", 4)], "9")
        versions.append(store.resource_version)
        store.bookmark("12")
        versions.append(store.resource_version)
        assert versions == ["", "1", "2", "3", "9", "12"]

    def test_is_not_moved_by_a_tombstone(self, store: Store) -> None:
        store.replace([labelled("a", 4)], "9")
        store.delete(DeletedFinalStateUnknown("default/a", labelled("a", 4)))
        assert (store.resource_version, len(store)) == ("9", 0)


def test_objects_come_out_in_order_and_by_reference(store: Store) -> None:
    a, b = labelled("a", 1), labelled("b", 2)
    store.replace([b, a], "3")
    assert [obj is kept for obj, kept in zip(store.list(), [b, a], strict=True)] == [True, True]
    assert store.keys() == ["default/b", "default/a"]
    store.update(labelled("b", 4))
    assert store.keys() == ["default/b", "default/a"]
    assert store.get("default/a") is a
    assert store.get("default/c") is None
