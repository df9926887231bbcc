"""What only a person at a terminal gets: colour, and a word about what takes its time."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TextIO

from controller.inspection.finding import Level
from workqueue import Clock

PATIENCE: Final = 2.0
"""Seconds that nobody has to be told anything in."""

_AGAIN: Final = 1.0
_ERASE: Final = "\r\033[K"
_COLOURS: Final = {Level.OK: 32, Level.WARN: 33, Level.FAIL: 31, Level.UNKNOWN: 36}


def painted(level: Level, text: str, *, colour: bool) -> str:
    """Return `text` in the colour of the level."""
    return f"\033[{_COLOURS[level]}m{text}\033[0m" if colour else text


def wants_colour(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `stream` is a terminal, and nobody asked for none (no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR")


class Progress:
    """Tells on a terminal what is being done, once that takes longer than `PATIENCE`.

    One line, written over and erased in the end: nothing of it stays between the results.
    """

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Tell of `what` as long as the block lasts."""
        if not self._stream.isatty():
            yield
            return
        done = threading.Event()
        teller = threading.Thread(target=self._tell, args=(what, done), name="progress")
        teller.start()
        try:
            yield
        finally:
            done.set()
            teller.join()

    def _tell(self, what: str, done: threading.Event) -> None:
        began = self._clock.monotonic()
        if self._clock.wait(done, PATIENCE):
            return
        while True:
            seconds = self._clock.monotonic() - began
            self._write(f"{_ERASE}{what} ... {seconds:.0f} s")
            if self._clock.wait(done, _AGAIN):
                self._write(_ERASE)
                return

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
