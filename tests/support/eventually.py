"""Wait for a condition instead of sleeping."""

import threading
import time
from collections.abc import Callable, Sized
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 120.0
"""Seconds that anything may take on a machine that is busy with something else: only what fails
takes that long."""


def eventually(
    probe: Callable[[], T], *, within: float = PATIENCE, what: str = "", every: float = 0.01
) -> T:
    """Return the first truthy answer of `probe`; fail with its last one after `within` seconds.

    `every` is the pause between two of them, longer for what costs others something.
    """
    deadline = time.monotonic() + within
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"not within {within} s: {what or probe}: {answer!r}"
        threading.Event().wait(every)
    return answer


def none_left(
    find: Callable[[], Sized], *, within: float = PATIENCE, what: str = "", every: float = 0.01
) -> None:
    """Return once `find` finds nothing; fail with what it found last after `within` seconds."""
    deadline = time.monotonic() + within
    while found := find():
        assert time.monotonic() < deadline, f"not within {within} s: {what or find}: {found!r}"
        threading.Event().wait(every)
