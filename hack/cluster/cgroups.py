"""The one cgroup below which all containers of a node lie, in versions 1 and 2."""

import hashlib
import threading
import time
from collections.abc import Iterable
from pathlib import Path

REMOVAL_TIMEOUT = 10.0
"""Seconds. The kernel counts a process for a moment after it has ended."""


def name(folder: Path) -> str:
    """Return the path in every hierarchy of the cgroup of the node in `folder`."""
    return f"/etcdproxy-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def hierarchies(mounts: str) -> list[Path]:
    """Return where the text of a /proc/mounts says that cgroups are mounted."""
    fields = (line.split() for line in mounts.splitlines())
    return [Path(field[1]) for field in fields if field[2] in ("cgroup", "cgroup2")]


def make(cgroup: str, roots: Iterable[Path] | None = None) -> None:
    """Make it in every hierarchy, with all controllers: the kubelet takes no other as its root.

    Under version 2 they have to be enabled at the top. That alone stays, as it does after any
    kubelet, because others may count on it meanwhile.
    """
    for root in _roots(roots):
        (root / cgroup.lstrip("/")).mkdir(exist_ok=True)
        controllers = root / "cgroup.controllers"
        if controllers.exists():
            enabled = (root / "cgroup.subtree_control").read_text().split()
            for controller in controllers.read_text().split():
                if controller not in enabled:
                    (root / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(cgroup: str, roots: Iterable[Path] | None = None) -> list[Path]:
    """Remove it with all below it; return what is still there because processes are in it."""
    folders = [root / cgroup.lstrip("/") for root in _roots(roots)]
    deadline = time.monotonic() + REMOVAL_TIMEOUT
    pause = threading.Event()
    while (left := [f for f in folders if not _removed(f)]) and time.monotonic() < deadline:
        pause.wait(0.05)
    return left


def _roots(roots: Iterable[Path] | None) -> Iterable[Path]:
    return hierarchies(Path("/proc/mounts").read_text()) if roots is None else roots


def _removed(folder: Path) -> bool:
    """Remove the deepest first. The kernel's own files in it go with a cgroup."""
    try:
        for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
            path.rmdir()
        if folder.exists():
            folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
