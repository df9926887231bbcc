"""A folder whose files change all at once, as the kubelet changes those of its volumes."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

_DATA = "..data"


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Let `folder` hold these files and no others, by one rename of the link `..data`.

    Each name is a link into `..data`, which leads to a folder that nobody has written to since.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / _DATA
    old = data.resolve() if data.is_symlink() else None
    new = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    for name, content in files.items():
        (new / name).write_bytes(content)
    partial = folder / f"{_DATA}_tmp"
    partial.symlink_to(new.name)
    partial.replace(data)
    _link(folder, files)
    if old:
        shutil.rmtree(old)


def _link(folder: Path, files: Mapping[str, bytes]) -> None:
    for path in folder.iterdir():
        if not path.name.startswith("..") and path.name not in files:
            path.unlink()
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"{_DATA}/{name}")
