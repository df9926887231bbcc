"""Lines that tell a waiting person what is being done and for how long."""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

INTERVAL = 15.0
"""Seconds between two lines while something takes its time."""


class Progress:
    """Says at start what is done, every now and then for how long, at the end how long it took.

    A terminal gets one line that is written over, a file or a pipe gets several.
    """

    def __init__(
        self,
        what: str,
        *,
        stream: TextIO | None = None,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        # Not a default value: pytest and others replace the stream.
        self._stream = sys.stderr if stream is None else stream
        self._interval = interval
        self._clock = clock
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._started = self._clock()
        self._say("...")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._finished.set()
        self._thread.join()
        self._say(f"{'failed after' if kind else 'done in'} {self._elapsed():.1f} s", last=True)

    def _tell(self) -> None:
        while not self._finished.wait(self._interval):
            self._say(f"... {self._elapsed():.0f} s")

    def _elapsed(self) -> float:
        return self._clock() - self._started

    def _say(self, how: str, *, last: bool = False) -> None:
        line = f"{self._what}: {how}"
        if self._stream.isatty():
            # To the start of the line, erase it, and stay on it until the last word.
            line = f"\r\033[K{line}"
            end = "\n" if last else ""
        else:
            end = "\n"
        print(line, end=end, file=self._stream, flush=True)
