"""Stand-ins for the images that the Dockerfile starts from, under their names.

They hold what is used of those: Debian's Python without byte code, and to build with a shell,
pip, and every wheel that will be asked for. So the same instructions are carried out without
a registry, and without the network that pip would need.
"""

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from hack.cluster import layers, needs
from hack.cluster.command import CommandError
from hack.cluster.image import Image, Layer, Tree, walk
from hack.cluster.rootfs import Rootfs

RUNTIME = "gcr.io/distroless/python3-debian12:latest"
BUILDER = "docker.io/library/python:3.11-slim-bookworm"

USERS = {
    "etc/passwd": b"root:x:0:0::/root:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n",
    "etc/group": b"root:x:0:\nnonroot:x:65532:\n",
}

_PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
_WHEELS = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
_APPLETS = ("mv", "rm", "sed", "sh")
"""What the Dockerfile's instructions run besides Python."""
_PIP_PLACE = "usr/lib/python3/dist-packages/pip"


def runtime(cache: Path, system: Rootfs) -> Image:
    """Return what the controller runs on."""
    return Image(RUNTIME, [_system_layer(cache, system)], environment=_PATH)


def builder(cache: Path, system: Rootfs, wheels: Path) -> Image:
    """Return what the controller is built on; raises CommandError where this Python has no pip."""
    made = [_system_layer(cache, system), _tools_layer(cache, wheels)]
    return Image(BUILDER, made, environment=_PATH | _WHEELS)


def wheels(cache: Path, system: Rootfs, wanted: Sequence[str]) -> Path:
    """Return a folder with wheels of all that is `wanted` and required by that, fetched once.

    They are the newest that fit the Python of `system`. Raises CommandError.
    """
    target = cache / f"wheels-{layers.key([system.path.name, *wanted])}"
    if not target.exists():
        layers.remove(cache.glob("wheels-*"))
        partial = cache / "partial-wheels"
        layers.remove(path for path in [partial] if path.exists())
        options = ("--quiet", "--disable-pip-version-check", "--only-binary=:all:")
        search = pip().parent
        system.run_python(
            "-m", "pip", "download", *options, f"--dest={partial}", *wanted, search=search
        )
        partial.rename(target)
    return target


def pip() -> Path:
    """Return the folder of the pip of the Python that runs this; raises CommandError."""
    found = importlib.util.find_spec("pip")
    if found is None or found.origin is None:
        raise CommandError(f"{sys.executable} has no pip, try: {sys.executable} -m ensurepip")
    return Path(found.origin).parent


def _system_layer(cache: Path, system: Rootfs) -> Layer:
    key = layers.key([system.path.name, *map(str, USERS.items())])
    return layers.ensure(cache, "system", key, lambda _: {**walk(system.path), **USERS})


def _tools_layer(cache: Path, wheels: Path) -> Layer:
    installer = pip()

    def tree(work: Path) -> Tree:
        shutil.copy(needs.BUSYBOX, work / "busybox")
        for applet in _APPLETS:
            (work / applet).symlink_to("busybox")
        code = {n: p for n, p in walk(installer, _PIP_PLACE).items() if "__pycache__" not in n}
        folder: Tree = {"usr/local/bin": work}
        return {**walk(work, "usr/bin"), **folder, **code, **walk(wheels, "wheels")}

    version = layers.content([installer / "__init__.py", needs.BUSYBOX])
    key = layers.key([wheels.name, *_APPLETS, _PIP_PLACE, *version])
    return layers.ensure(cache, "tools", key, tree)
