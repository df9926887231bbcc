"""A real node, brought up once for all tests that ask for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import cache
from hack.cluster.node import Node, prepare
from tests.support.suites import build_first, mark

_FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items, _FOLDER, pytest.mark.e2e)


def pytest_collection_finish(session: pytest.Session) -> None:
    build_first(session, _FOLDER, lambda: prepare(print))


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Give a node that is up; it is not the one of `make demo`, which may run beside it."""
    running = Node(cache.run() / "e2e")
    # What a run before this one left, if it was killed.
    running.down()
    running.up(print)
    yield running
    running.down()
