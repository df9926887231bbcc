"""Threads that outlive their test would be felt in another one."""

import threading
from collections.abc import Iterator


def no_stray_threads() -> Iterator[None]:
    """The body of a fixture: no thread may be left that was not there before."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
