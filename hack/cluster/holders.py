"""Which processes keep a file open: how a node is found again, by nothing that could be stale.

A node's first process is born with the node's lock file open. So the lock is held exactly as
long as the node lives, from before its first instruction; the kernel knows who holds it and
lets go when it ends, however it ends. A record written to a file could be missing (its writer
was killed) or wrong (the pid was reused).
"""

import fcntl
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock on `path`, or None if someone has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Tell whether someone holds the lock on `path`, without taking it from anyone."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def holders(path: Path) -> list[int]:
    """Return the processes, as far as we may look at them, that have `path` open."""
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]
    return [pid for pid in pids if pid != os.getpid() and _holds(pid, path)]


def is_first(pid: int) -> bool:
    """Tell whether `pid` is the first process of a PID namespace below ours."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return len(line.split()) > 2 and line.split()[-1] == "1"
    return False


def kill(path: Path, timeout: float) -> list[int]:
    """Kill every holder of `path` and return those that have not ended after `timeout` seconds.

    When the first process of a PID namespace has ended, all others in it have.
    """
    remaining = []
    for pid in holders(path):
        with _handle(pid) as handle:
            # Once there is a handle the pid cannot pass to another: look again, then kill.
            if handle is not None and _holds(pid, path):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                if not select.select([handle], [], [], timeout)[0]:
                    remaining.append(pid)
    return remaining


def _holds(pid: int, path: Path) -> bool:
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if link.readlink() == path:
                    return True
    return False


@contextmanager
def _handle(pid: int) -> Iterator[int | None]:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)
