"""What every measured program reports: one line of JSON on its standard output."""

import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """What client-go's program reports as well; see `hack/components/clientgo/main.go`."""

    objects: int
    """How many the store held at the end."""
    synced: float
    """Seconds from the start until they were all there."""
    events: float
    """Seconds from the first change that the handler saw to the last one."""
    peak: int
    """Bytes of the resident set at its largest."""
    imported: int = 0
    """Bytes of the resident set before anything was done: the price of the imports."""

    def print(self) -> None:
        print(json.dumps(asdict(self)), flush=True)

    @classmethod
    def parse(cls, output: str) -> "Measured":
        """Read the last line; the logs of the measured go before it."""
        return cls(**json.loads(output.splitlines()[-1]))


class Counter:
    """Notes when the first and the last of `wanted` changes came, as far as any is wanted."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._seen = 0
        self._first = self._last = 0.0
        self._complete = threading.Event()

    def add(self) -> None:
        """Count one; for one thread."""
        self._seen += 1
        if self._seen == 1:
            self._first = time.monotonic()
        if self._seen == self._wanted:
            self._last = time.monotonic()
            self._complete.set()

    def seconds(self) -> float:
        """Wait for the last and return the seconds between, 0 if none is wanted."""
        if not self._wanted:
            return 0.0
        self._complete.wait()
        return self._last - self._first


class CountingHandler:
    """A handler that leaves out the initial list."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def on_add(self, _obj: Any, is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's
        if not is_in_initial_list:
            self._counter.add()

    def on_update(self, _old: Any, _new: Any) -> None:
        self._counter.add()

    def on_delete(self, _obj: Any) -> None:
        self._counter.add()


def resident(pid: int | None = None) -> int:
    """Bytes of a process's resident set now, by default of this one."""
    return _of_status("VmRSS", pid)


def peak() -> int:
    """The same at its largest."""
    return _of_status("VmHWM")


def _of_status(field: str, pid: int | None = None) -> int:
    lines = Path(f"/proc/{pid or 'self'}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
