"""What images are made of, in the cache under a key: written once, however often asked for."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from hack.cluster.image import Layer, Tree, write_layer


def key(parts: Iterable[str]) -> str:
    """Return a short name for what depends on all of `parts`."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def content(paths: Iterable[Path]) -> list[str]:
    """Return what tells the contents of files from any others."""
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def ensure(cache: Path, name: str, under: str, tree: Callable[[Path], Tree]) -> Layer:
    """Return the layer of this name and key; if there is none, write what `tree` gives.

    `tree` may lay files into the folder that it is given. Layers of other keys are removed.
    """
    target = cache / f"{name}-{under}.layer.tar"
    if target.exists():
        return Layer.of(target)
    remove(cache.glob(f"{name}-*.layer.tar"))
    with tempfile.TemporaryDirectory(dir=cache) as work:
        return write_layer(target, tree(Path(work)))


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders."""
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
