"""This project as an image, by the instructions of its Dockerfile."""

import configparser
import tomllib
from collections.abc import Callable
from pathlib import Path

from hack.cluster import bases, buildah, layers
from hack.cluster.image import Image, write_archive
from hack.cluster.rootfs import Rootfs

_PROJECT = Path(__file__).parent.parent.parent


def requirements(setup_cfg: str) -> list[str]:
    """Return `install_requires` of the text of a setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read_string(setup_cfg)
    return parser["options"]["install_requires"].split()


def ensure(cache: Path, system: Rootfs, reference: str, log: Callable[[str], None]) -> Path:
    """Return the file of the image, built anew when anything changed that it is made of.

    Raises CommandError.
    """
    wheels = bases.wheels(cache, system, _wanted())
    made = [bases.runtime(cache, system), bases.builder(cache, system, wheels)]
    sources = _sources()
    contents = layers.content(sources.values())
    key = layers.key([reference, *map(repr, made), *sources, *contents])
    name = reference.rpartition("/")[2].partition(":")[0]
    target = cache / f"{name}-{key}.tar"
    if not target.exists():
        log(f"building {reference}")
        _build(target, reference, made)
        layers.remove(set(cache.glob(f"{name}-*.tar")) - {target})
    return target


def _build(target: Path, reference: str, made: list[Image]) -> None:
    archives = [target.with_name(f"base-{number}.tar") for number, _ in enumerate(made)]
    try:
        for archive, image in zip(archives, made, strict=True):
            write_archive(archive, image)
        buildah.build(target, reference, _PROJECT, archives)
    finally:
        for archive in archives:
            archive.unlink(missing_ok=True)


def _wanted() -> list[str]:
    """Return what pip will look for: what the project requires, and what it is built with."""
    pyproject = tomllib.loads((_PROJECT / "pyproject.toml").read_text())
    build_system: list[str] = pyproject["build-system"]["requires"]
    return requirements((_PROJECT / "setup.cfg").read_text()) + build_system


def _sources() -> dict[str, Path]:
    """Return what the image is made from, by name inside the project."""
    ignore = _PROJECT / ".dockerignore"
    kept = [line[1:] for line in ignore.read_text().splitlines() if line.startswith("!")]
    tops = [ignore, _PROJECT / "Dockerfile", *map(_PROJECT.joinpath, kept)]
    files = [file for top in tops for file in (top.rglob("*") if top.is_dir() else [top])]
    found = [path for path in files if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(_PROJECT)): path for path in sorted(found)}
