"""Loopback ports that stay free."""

import fcntl
import functools
import os
import random
import socket
import threading
from collections.abc import Sequence

from hack.cluster import cache
from hack.cluster.errors import ClusterError

# Below the range that Linux gives to outgoing connections (32768 and up) and below node ports
# (30000 and up): a server that goes away for a while finds its port free when it comes back.
CANDIDATES = range(20000, 30000)


_given: set[int] = set()
"""To this process: its own locks keep it from nothing."""
_lock = threading.Lock()


class NoFreePortError(ClusterError):
    """Hardly any candidate is free."""


def free(count: int, candidates: Sequence[int] = CANDIDATES) -> list[int]:
    """Return `count` different ports on which nobody listens, drawn by chance.

    They are given to nobody else before this process ends, itself included: what is to listen
    there may take its time, and go away for a while.
    """
    found: list[int] = []
    for port in random.sample(candidates, len(candidates)):
        if len(found) == count:
            break
        if _take(port):
            found.append(port)
    if len(found) < count:
        raise NoFreePortError(f"fewer than {count} of {len(candidates)} ports are free")
    return found


def _take(port: int) -> bool:
    with _lock:
        taken = port not in _given and _reserved(port) and _is_free(port)
        if taken:
            _given.add(port)
        return taken


def _reserved(port: int) -> bool:
    """Take the port for this process unless another one has it."""
    reservations = _reservations()
    try:
        # A lock of the process, so one open file holds those of all its ports.
        fcntl.lockf(reservations, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    return True


@functools.cache
def _reservations() -> int:
    """Open the file whose bytes stand for ports; it is never closed, as that would give all up."""
    path = cache.root() / "ports.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: connections that were closed just now do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # All addresses at once: loopback has more than one that a server may listen on.
            probe.bind(("", port))
        except OSError:
            return False
        return True
