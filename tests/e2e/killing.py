"""Ends of containers on the node that nobody was told of."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.e2e.product import Json


def kill(pod: Json) -> None:
    """Kill everything that runs in the containers of a pod, as a crash would."""
    found = [number for status in pod["status"]["containerStatuses"] for number in _pids(status)]
    assert found, pod["metadata"]["name"]
    for number in found:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def _pids(status: Json) -> Iterator[int]:
    """Yield the processes in the cgroup that the runtime has named after the container."""
    name = status["containerID"].rpartition("/")[2]
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(OSError):  # It has ended meanwhile.
            if name in path.read_text():
                yield int(path.parent.name)
