"""The programs of the local cluster: found in the cache, or built into it."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.cluster import cache, preflight, toolchain
from hack.cluster.components import (
    BUILD_ENVIRONMENT,
    BUILD_FLAGS,
    WITHOUT_ROOT,
    Component,
    by_component,
)
from hack.cluster.errors import ClusterError
from hack.cluster.process import Process
from hack.cluster.progress import Progress

DISK_CONTROL_PLANE = 6 * 10**9
"""Bytes that Go's caches and the binaries of the control plane take, measured with slack."""
DISK_EVERYTHING = 12 * 10**9
"""The same for all binaries."""


class BuildError(ClusterError):
    """A build failed; the message carries the end of its log and where that is."""


def ensure(*names: str) -> dict[str, Path]:
    """Return the path of each program, building what is missing.

    Programs in the folder $KUBEBUILDER_ASSETS, the convention of envtest, come first.
    Raises PreflightError, ToolchainError or BuildError.
    """
    groups = by_component(names)
    paths = _assets(names, os.environ)
    missing = [
        (component, absent)
        for component, group in groups
        if (absent := [n for n in group if n not in paths and not _cached(component, n).exists()])
    ]
    if missing:
        _check_machine([name for _, absent in missing for name in absent])
        go = toolchain.ensure()
        for component, absent in missing:
            _build(go, component, absent)
    built = {n: _cached(component, n) for component, group in groups for n in group}
    return built | paths


def _check_machine(missing: Sequence[str]) -> None:
    needed = DISK_CONTROL_PLANE if set(missing) <= set(WITHOUT_ROOT) else DISK_EVERYTHING
    preflight.require(
        preflight.disk(toolchain.build_cache(), needed, variable="GOCACHE"),
        preflight.tool("setpriv", "util-linux"),
        toolchain.complaint(),
    )


def _assets(names: Sequence[str], environment: Mapping[str, str]) -> dict[str, Path]:
    folder = environment.get("KUBEBUILDER_ASSETS")
    if not folder:
        return {}
    if not Path(folder).is_dir():
        raise BuildError(f"KUBEBUILDER_ASSETS names no folder: {folder}; unset KUBEBUILDER_ASSETS")
    found = {name: Path(folder).absolute() / name for name in names}
    return {name: path for name, path in found.items() if path.exists()}


def _cached(component: Component, name: str) -> Path:
    return cache.binaries(component.key) / name


def _build(go: Path, component: Component, names: Sequence[str]) -> None:
    folder = cache.binaries(component.key)
    what = f"building {component.name} {component.version} ({', '.join(names)})"

    def waiting() -> None:
        print(f"{what}: another run builds it, waiting", flush=True)

    with cache.locked(folder.with_name(f"{folder.name}.lock"), waiting=waiting):
        # Whoever held the lock before may have built some of them.
        absent = [name for name in names if not (folder / name).exists()]
        if absent:
            folder.mkdir(exist_ok=True)
            with Progress(what):
                _build_into(folder, go, component, absent)


def _build_into(folder: Path, go: Path, component: Component, names: Sequence[str]) -> None:
    """Build beside, then move: a name in the folder is a whole binary. Call it under the lock."""
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for arguments in build_arguments(component, names, partial):
        build = Process(
            "build",
            [go, "build", *BUILD_FLAGS, "-ldflags", component.ldflags, *arguments],
            folder,
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
    for name in names:
        (partial / name).replace(folder / name)
    partial.rmdir()


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
