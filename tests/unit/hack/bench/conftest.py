"""A replay server in this process, and the collector as it was."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.bench.replay import Recording, ReplayServer
from hack.bench.subjects import kubeconfig_of
from tests.support.collector import same_thresholds

_same_thresholds = pytest.fixture(autouse=True)(same_thresholds)

OBJECTS = 20
EVENTS = 150


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer(Recording(EVENTS, OBJECTS)) as replaying:
        thread = threading.Thread(target=replaying.serve_forever, args=(0.01,))
        thread.start()
        yield replaying
        replaying.shutdown()
        thread.join()


@pytest.fixture
def kubeconfig(server: ReplayServer, tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig_of(server.url))
    return path
