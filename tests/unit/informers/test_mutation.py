"""Who changes what is shared is found, with the place of the change."""

import threading
from typing import Any

import pytest

from informers import mutation
from informers.listener import Added, Deleted, Updated
from informers.mutation import MutationDetector, MutationError, difference, is_wanted
from informers.store import Object
from tests.support.eventually import eventually
from tests.support.listerwatcher import config_map


@pytest.fixture
def detector() -> MutationDetector:
    return MutationDetector("configmaps")


def added(*objects: Object) -> list[Added]:
    return [Added(obj, initial=False) for obj in objects]


class TestDetector:
    def test_names_each_object_and_the_place(
        self, detector: MutationDetector, mutations: list[str]
    ) -> None:
        a, b, c = config_map("a", 1, key="secret"), config_map("b", 1), config_map("c", 1)
        detector.add([*added(a, b), Updated(a, c)])
        detector.compare()
        a["data"]["key"] = "changed"
        c["metadata"]["labels"] = {}
        message = (
            "configmaps changed by a reader: default/a at .data.key, default/c at .metadata.labels"
        )
        with pytest.raises(MutationError) as caught:
            detector.compare()
        assert str(caught.value) == message
        assert mutations == [message]
        mutations.clear()

    def test_tells_of_a_change_once(
        self, detector: MutationDetector, mutations: list[str]
    ) -> None:
        a = config_map("a", 1)
        detector.add(added(a))
        del a["data"]
        with pytest.raises(MutationError):
            detector.compare()
        detector.compare()
        mutations.clear()

    def test_is_content_with_what_was_replaced_or_deleted(
        self, detector: MutationDetector
    ) -> None:
        a, b = config_map("a", 1), config_map("a", 2)
        detector.add([*added(a), Updated(a, b), Updated(b, b), Deleted(b)])
        detector.compare()
        assert detector.copies == 3

    def test_watches_over_an_object_for_two_generations(
        self, detector: MutationDetector, mutations: list[str]
    ) -> None:
        first, second = config_map("a", 1), config_map("b", 1)
        detector.add(added(first))
        for _ in range(120):
            detector.compare()
        detector.add(added(second))
        for _ in range(119):
            detector.compare()
        assert detector.copies == 2
        detector.compare()
        assert detector.copies == 1
        first["data"] = None
        detector.compare()
        second["data"] = None
        with pytest.raises(MutationError, match="default/b"):
            detector.compare()
        mutations.clear()

    def test_keeps_no_more_than_that_under_churn(self, detector: MutationDetector) -> None:
        for n in range(600):
            detector.add(added(config_map("a", n)))
            detector.compare()
        assert detector.copies <= 240

    def test_compares_every_second(self, detector: MutationDetector) -> None:
        waits: list[float | None] = []

        class ThirdTime(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                waits.append(timeout)
                return len(waits) == 3

        detector.run(ThirdTime())
        assert (waits, detector._comparisons) == ([1.0] * 3, 2)

    def test_compares_until_it_is_stopped(
        self, detector: MutationDetector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mutation, "PERIOD", 0.001)
        stop = threading.Event()
        thread = threading.Thread(target=detector.run, args=(stop,))
        detector.add(added(config_map("a", 1)))
        thread.start()
        eventually(lambda: detector._comparisons > 2)
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("found", "expected", "path"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": 2}, {"a": 1}, ".a"),
        ({}, {"a": None}, ".a"),
        ({"a": 1, "b": None}, {"a": 1}, ".b"),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}, {"b": 3}]}, ".a[1].b"),
        ({"a": [1, 2]}, {"a": [1]}, ".a[1]"),
        ({"a": []}, {"a": {}}, ".a"),
        ("x", "y", ""),
    ],
)
def test_the_difference_is_a_path(found: Any, expected: Any, path: str | None) -> None:
    assert difference(found, expected) == path


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("1", True), ("true", True), ("T", True), ("0", False), ("", False), ("yes", False)],
)
def test_the_environment_turns_it_on(value: str, *, wanted: bool) -> None:
    assert is_wanted({"KUBE_CACHE_MUTATION_DETECTOR": value}) is wanted
    assert not is_wanted({})
