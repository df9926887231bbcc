"""Let a test's own sockets be in another network, as a node's."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
"""As linux/sched.h has it."""


@contextmanager
def inside(network: Path) -> Iterator[None]:
    """Have this thread and those that it starts in a network namespace meanwhile; takes root.

    Sockets stay in the namespace in which they were made.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(network)
        try:
            yield
        finally:
            _set(home)
    finally:
        os.close(home)


def _enter(network: Path) -> None:
    descriptor = os.open(network, os.O_RDONLY)
    try:
        _set(descriptor)
    finally:
        os.close(descriptor)


def _set(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "setns")
