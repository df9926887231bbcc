"""Reads out of a store as the server would answer."""

import pytest
from structlog.testing import capture_logs

from informers.errors import ApiError, is_not_found
from informers.lister import Lister
from informers.store import NAMESPACE_INDEX, Object, Store, meta_namespace_index
from tests.support.listerwatcher import CONFIG_MAPS


def labelled(namespace: str, name: str, **labels: str) -> Object:
    metadata = {"namespace": namespace, "name": name, "labels": labels}
    return {"metadata": metadata}


@pytest.fixture(params=[True, False], ids=["indexed", "unindexed"])
def lister(request: pytest.FixtureRequest) -> Lister:
    store = Store({NAMESPACE_INDEX: meta_namespace_index} if request.param else {})
    store.add(labelled("x", "a", app="one", tier="back"))
    store.add(labelled("x", "b", app="two"))
    store.add(labelled("y", "a", app="one"))
    store.add({"metadata": {"namespace": "y", "name": "bare"}})
    return Lister(store, CONFIG_MAPS)


def keys(objects: list[Object]) -> list[str]:
    return sorted(f"{obj['metadata']['namespace']}/{obj['metadata']['name']}" for obj in objects)


def test_lists_everything_or_a_namespace(lister: Lister) -> None:
    assert keys(lister.list()) == ["x/a", "x/b", "y/a", "y/bare"]
    assert keys(lister.list("y")) == ["y/a", "y/bare"]
    assert lister.list("z") == []
    assert lister.list("") == lister.list()


def test_without_an_index_a_namespace_takes_a_full_scan_and_a_log_line() -> None:
    store = Store()
    store.replace([labelled("x", "a"), labelled("y", "b")], "1")
    with capture_logs() as logs:
        found = Lister(store, CONFIG_MAPS).list("x")
    assert found == [store.get("x/a")]
    assert [entry["event"] for entry in logs] == ["no_namespace_index"]
    store.add_indexers({NAMESPACE_INDEX: meta_namespace_index})
    with capture_logs() as logs:
        assert Lister(store, CONFIG_MAPS).list("x") == found
    assert logs == []


def test_an_empty_selector_selects_everything_without_a_look(lister: Lister) -> None:
    assert keys(lister.list(selector={})) == keys(lister.list())


def test_selects_by_all_labels(lister: Lister) -> None:
    assert keys(lister.list(selector={"app": "one"})) == ["x/a", "y/a"]
    assert keys(lister.list("x", {"app": "one", "tier": "back"})) == ["x/a"]
    assert lister.list("x", {"app": "two", "tier": "back"}) == []


def test_gets_one_or_tells_that_there_is_none(lister: Lister) -> None:
    assert lister.get("a", "x")["metadata"]["labels"]["tier"] == "back"
    with pytest.raises(ApiError) as caught:
        lister.get("c", "x")
    assert is_not_found(caught.value)
    assert str(caught.value) == 'configmaps "c" not found (404 NotFound)'


def test_finds_one_or_nothing(lister: Lister) -> None:
    found = lister.find("a", "x")
    assert found is lister.get("a", "x")
    assert lister.find("c", "x") is None
    assert lister.find("b", "y") is None
    assert lister.find("a") is None


def test_finds_what_lives_in_no_namespace() -> None:
    store = Store()
    store.add({"metadata": {"name": "n"}})
    found = Lister(store, CONFIG_MAPS).find("n")
    assert found == {"metadata": {"name": "n"}}


def test_an_index_that_is_not_there_is_an_error(lister: Lister) -> None:
    with pytest.raises(KeyError):
        lister.by_index("nope", "x")


def test_knows_up_to_which_version_its_answers_are_true() -> None:
    store = Store()
    lister = Lister(store, CONFIG_MAPS)
    assert lister.resource_version == ""
    store.replace([], "7")
    assert lister.resource_version == "7"
