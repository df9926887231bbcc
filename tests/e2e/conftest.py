"""A real node, brought up once for all tests that ask for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import cache
from hack.cluster.errors import ClusterError
from hack.cluster.node import Node, prepare

_FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_FOLDER):
            item.add_marker(pytest.mark.e2e)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: in a fixture the minutes would count as that test's time."""
    wanted = any(item.path.is_relative_to(_FOLDER) for item in session.items)
    if not wanted or session.config.getoption("collectonly"):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():
            prepare(print)
    except ClusterError as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Give a node that is up; it is not the one of `make demo`, which may run beside it."""
    running = Node(cache.run() / "e2e")
    # What a run before this one left, if it was killed.
    running.down()
    running.up(print)
    yield running
    running.down()
