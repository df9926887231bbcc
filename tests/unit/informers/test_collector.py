import gc
from collections.abc import Iterator

import orjson
import pytest

from informers.collector import relax_collector

LINE = orjson.dumps({"metadata": {"labels": {"a": ["b"]}}})


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    threshold = gc.get_threshold()
    gc.collect()
    yield
    gc.set_threshold(*threshold)


def collections_during_a_list() -> int:
    """How many collections a list of some thousand objects starts."""
    started: list[str] = []

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
