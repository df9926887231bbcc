"""What a node needs of this machine; each complaint is one line with its remedy."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from hack.cluster import preflight, sandbox
from hack.cluster.network import CNI_PLUGINS

Programs: TypeAlias = Mapping[str | Path, str]
"""Debian's package by program, or by path where it is in no search path."""

BUSYBOX = Path("/bin/busybox")
"""Of Debian's package busybox-static; it goes into images."""

_FOR_IMAGES: Programs = {
    "apt-get": "apt",
    "buildah": "buildah",
    "dpkg-deb": "dpkg",
    BUSYBOX: "busybox-static",
}
_FOR_A_NODE: Programs = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "unshare": "util-linux",
    CNI_PLUGINS / "ptp": "containernetworking-plugins",
}
_ADMINISTRATION = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def check() -> None:
    """Raise PreflightError unless a node can run here."""
    preflight.require(root(os.geteuid()), packages(missing({**_FOR_IMAGES, **_FOR_A_NODE})))


def check_images() -> None:
    """Raise PreflightError unless images can be built here."""
    preflight.require(packages(missing(_FOR_IMAGES)))


def check_root() -> None:
    """Raise PreflightError unless we are root, who alone sees all processes."""
    preflight.require(root(os.geteuid()))


def root(user: int) -> str | None:
    """Complain about another user than root."""
    return None if user == 0 else "a node needs root: run it with sudo, as in: sudo make demo"


def packages(names: list[str]) -> str | None:
    """Complain about Debian packages that are missing."""
    if not names:
        return None
    return (
        f"missing: {', '.join(names)}; as root: "
        f"apt-get install -y --no-install-recommends {' '.join(names)}"
    )


def place(folder: Path) -> str | None:
    """Complain about a folder that a node could not see, or not lay its images in."""
    resolved = folder.resolve()
    if not any(resolved.is_relative_to(covered) for covered in sandbox.COVERED):
        return None
    return (
        f"a node cannot live in {folder}, it has its own {', '.join(sandbox.COVERED)}: "
        "export ETCDPROXY_CACHE=/a/folder/elsewhere"
    )


def missing(wanted: Programs) -> list[str]:
    """Return the packages, sorted, of the programs that are not here."""
    return sorted({package for program, package in wanted.items() if not _is_here(program)})


def search_path() -> str:
    """Return PATH with the administrator's folders, which `su` leaves out."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_ADMINISTRATION])


def is_static(program: Path) -> bool:
    """Tell whether it exists and names no loader; Debian's other busybox needs libraries."""
    return program.exists() and b"/ld-linux" not in program.read_bytes()


def _is_here(program: str | Path) -> bool:
    if program == BUSYBOX:
        return is_static(BUSYBOX)
    return shutil.which(program, path=search_path()) is not None
