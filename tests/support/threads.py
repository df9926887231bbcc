"""Threads that outlive their test would be felt in another one."""

import threading
from collections.abc import Iterator

from tests.support.eventually import none_left


def no_stray_threads() -> Iterator[None]:
    """The body of a fixture: no thread may be left that was not there before."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def threads_soon_ended() -> Iterator[None]:
    """The same where a program runs in this process: what it cuts off ends a moment later."""
    before = set(threading.enumerate())
    yield
    none_left(lambda: set(threading.enumerate()) - before, what="threads ended")
