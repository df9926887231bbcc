"""This project as layers of an image: what it depends on, and its own code."""

import configparser
import importlib.util
import shutil
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.cluster import layers
from hack.cluster.command import CommandError, run
from hack.cluster.image import Layer, Tree, walk
from hack.cluster.rootfs import Rootfs

COMMAND = "etcdproxy-controller"

_PROJECT = Path(__file__).parent.parent.parent
_PIP = ("--quiet", "--disable-pip-version-check")
_BUILD_FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
_PACKAGES = ("controller", "informers", "workqueue")

_UNUSED = (
    # What pip would uninstall by; it differs with the folder that pip ran in.
    "*.dist-info/RECORD",
    # The asyncio half of the package kubernetes, never imported here, is half of its size.
    "kubernetes/aio",
    "aiohappyeyeballs*",
    "aiohttp*",
    "aiosignal*",
    "bin",
    "frozenlist*",
    "multidict*",
    "propcache*",
    "yarl*",
)

# Its generated models: 23 MB of byte code that objects as plain JSON never load.
_NOT_COMPILED = "kubernetes/client/(api|models)/"

# A console script as pip writes it names the interpreter that ran pip.
_SCRIPT = """\
#!/usr/bin/python3
import sys

from controller.cli import main

sys.exit(main())
"""


def requirements(setup_cfg: str) -> list[str]:
    """Return `install_requires` of the text of a setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read_string(setup_cfg)
    return parser["options"]["install_requires"].split()


def dependencies(cache: Path, system: Rootfs) -> Layer:
    """Return the layer of what the project requires, for the Python of `system`.

    The newest releases that fit are taken when it is first built; it is built again when the
    requirements or the system change. Raises CommandError.
    """
    wanted = requirements((_PROJECT / "setup.cfg").read_text())

    def tree(work: Path) -> Tree:
        _install(system, wanted, work)
        layers.remove(path for pattern in _UNUSED for path in work.glob(pattern))
        system.compile(work, system.site_packages, skipping=_NOT_COMPILED)
        return walk(work, system.site_packages)

    key = layers.key([system.path.name, *wanted, *_UNUSED, _NOT_COMPILED])
    return layers.ensure(cache, "dependencies", key, tree)


def code(cache: Path, system: Rootfs) -> Layer:
    """Return the layer of the project itself: its packages, their metadata and the command.

    Raises CommandError.
    """
    sources = _sources()

    def tree(work: Path) -> Tree:
        unpacked = work / "unpacked"
        with zipfile.ZipFile(_wheel(cache, work, sources)) as wheel:
            wheel.extractall(unpacked)
        system.compile(unpacked, system.site_packages)
        script = work / COMMAND
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        return walk(unpacked, system.site_packages) | {f"usr/local/bin/{COMMAND}": script}

    contents = layers.content(sources.values())
    key = layers.key([system.path.name, _SCRIPT, *sources, *contents])
    return layers.ensure(cache, "code", key, tree)


def _sources() -> dict[str, Path]:
    """Return what the wheel is built from, by name inside the project."""
    code = [path for name in _PACKAGES for path in (_PROJECT / name).rglob("*") if path.is_file()]
    files = [path for path in map(_PROJECT.joinpath, _BUILD_FILES) if path.exists()]
    kept = [path for path in code + files if "__pycache__" not in path.parts]
    return {str(path.relative_to(_PROJECT)): path for path in sorted(kept)}


def _install(system: Rootfs, wanted: Sequence[str], folder: Path) -> None:
    """Let the Python of `system` choose and unpack wheels, with the pip of the one running us."""
    pip = importlib.util.find_spec("pip")
    if pip is None or pip.origin is None:
        raise CommandError(f"{sys.executable} has no pip, try: {sys.executable} -m ensurepip")
    options = (*_PIP, "--no-compile", "--only-binary=:all:", "--target", folder)
    search = Path(pip.origin).parent.parent
    system.run_python("-m", "pip", "install", *options, *wanted, search=search)


def _wheel(cache: Path, work: Path, sources: Mapping[str, Path]) -> Path:
    """Build the project's wheel from a copy: setuptools leaves files beside what it builds."""
    source = work / "source"
    for name, path in sources.items():
        copy = source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    options = (*_PIP, "--no-deps", "--no-build-isolation", "--wheel-dir", work)
    search = {"PYTHONPATH": str(_build_system(cache))}
    run([sys.executable, "-m", "pip", "wheel", *options, source], environment=search)
    return next(work.glob("*.whl"))


def _build_system(cache: Path) -> Path:
    """Return a folder with what pyproject.toml builds with, fetched once instead of each time."""
    wanted = tomllib.loads((_PROJECT / "pyproject.toml").read_text())["build-system"]["requires"]
    target = cache / f"build-system-{layers.key(wanted)}"
    if not target.exists():
        layers.remove(cache.glob("build-system-*"))
        with tempfile.TemporaryDirectory(dir=cache) as work:
            folder = Path(work, "installed")
            run([sys.executable, "-m", "pip", "install", *_PIP, "--target", folder, *wanted])
            folder.rename(target)
    return target
