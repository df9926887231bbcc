"""Wait for a condition instead of sleeping."""

import threading
import time
from collections.abc import Callable, Iterator, Sized
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 120.0
"""Seconds that anything may take on a machine that is busy with something else: only what fails
takes that long."""

_SHORTEST: Final = 0.01
_LONGEST: Final = 0.1
"""Seconds between two looks, of which each may cost a server as much as what it waits for."""


def eventually(
    probe: Callable[[], T],
    *,
    within: float = PATIENCE,
    what: str = "",
    every: float | None = None,
) -> T:
    """Return the first truthy answer of `probe`; fail with its last one after `within` seconds.

    `every` is the pause between two of them: by default a short one, and then ever longer ones.
    """
    deadline = time.monotonic() + within
    pauses = _pauses(every)
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"not within {within} s: {what or probe}: {answer!r}"
        threading.Event().wait(next(pauses))
    return answer


def none_left(
    find: Callable[[], Sized],
    *,
    within: float = PATIENCE,
    what: str = "",
    every: float | None = None,
) -> None:
    """Return once `find` finds nothing; fail with what it found last after `within` seconds."""
    deadline = time.monotonic() + within
    pauses = _pauses(every)
    while found := find():
        assert time.monotonic() < deadline, f"not within {within} s: {what or find}: {found!r}"
        threading.Event().wait(next(pauses))


def _pauses(every: float | None) -> Iterator[float]:
    pause = _SHORTEST if every is None else every
    while True:
        yield pause
        if every is None:
            pause = min(1.5 * pause, _LONGEST)
