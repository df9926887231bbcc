import gc

import orjson
import pytest

from informers.collector import relax_collector
from tests.support.collector import same_thresholds

LINE = orjson.dumps({"metadata": {"labels": {"a": ["b"]}}})


_same_thresholds = pytest.fixture(autouse=True)(same_thresholds)


def collections_during_a_list() -> int:
    """How many collections a list of some thousand objects starts."""
    started: list[str] = []
    gc.collect()

    def note(phase: str, _info: dict[str, int]) -> None:
        started.append(phase)

    gc.callbacks.append(note)
    try:
        kept = [orjson.loads(LINE) for _ in range(5000)]
    finally:
        gc.callbacks.remove(note)
    assert len(kept) == 5000
    return started.count("start")


def test_a_list_is_parsed_without_a_collection() -> None:
    gc.set_threshold(700, 10, 10)
    assert collections_during_a_list() > 10
    relax_collector()
    assert collections_during_a_list() == 0


def test_what_is_said_of_the_older_generations_stays() -> None:
    gc.set_threshold(1, 7, 9)
    relax_collector()
    assert gc.get_threshold()[1:] == (7, 9)
