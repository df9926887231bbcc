"""What the suites on real components share: their marker, and that building comes first."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from hack.cluster.errors import ClusterError


def mark(
    items: Iterable[pytest.Item], folder: Path, marker: pytest.MarkDecorator, unless: str = ""
) -> None:
    """Mark every test under `folder`, but for those with the marker `unless`."""
    for item in items:
        if item.path.is_relative_to(folder) and not (unless and item.get_closest_marker(unless)):
            item.add_marker(marker)


def build_first(session: pytest.Session, folder: Path, build: Callable[[], object]) -> None:
    """Build before the first test: in a fixture the minutes would count as that test's time."""
    wanted = any(item.path.is_relative_to(folder) for item in session.items)
    if wanted and not session.config.getoption("collectonly"):
        build_visibly(session.config, build)


def build_visibly(config: pytest.Config, build: Callable[[], object]) -> None:
    """Build, for all to see how far it is; what is missing on the machine ends the run."""
    capture = config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():
            build()
    except ClusterError as error:
        pytest.exit(str(error), returncode=1)
