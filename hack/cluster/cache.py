"""Where the local cluster keeps what it built and what it runs: one folder, safe to delete."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def root(environment: Mapping[str, str] = os.environ) -> Path:
    """Return $ETCDPROXY_CACHE, or `etcdproxy-controller` in the user's cache folder."""
    if own := environment.get("ETCDPROXY_CACHE"):
        return Path(own).absolute()
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "etcdproxy-controller"


def binaries(key: str) -> Path:
    """Return the folder of the binaries built under one component's key."""
    return root() / "bin" / key


def toolchain(version: str) -> Path:
    return root() / f"go-{version}"


def run() -> Path:
    """Return the folder under which running clusters keep their state."""
    return root() / "run"


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Give a new folder under `run()` and remove it in the end.

    Those of the same name whose makers were killed are removed first. A name has no underscore,
    so that of two none is taken for a folder of the other.
    """
    with locked(run() / f"{name}.lock"):
        for abandoned in run().glob(f"{name}_*"):
            _remove_unless_held(abandoned)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}_", dir=run()))
        hold = os.open(folder, os.O_RDONLY)
        fcntl.flock(hold, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(hold)


def _remove_unless_held(folder: Path) -> None:
    hold = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    except BlockingIOError:
        pass
    finally:
        os.close(hold)


def _wait_in_silence() -> None:
    pass


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None] = _wait_in_silence) -> Iterator[None]:
    """Hold the file lock `path` against other processes; call `waiting` before waiting for one.

    The kernel releases the lock when its holder ends, however it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
