import sys
from pathlib import Path

import pytest

from hack.cluster import wheels
from hack.cluster.wheels import FetchError, Wheel

WHEEL = Wheel("a-package", "1.2.3", "4 MB", "write one")


def python(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Stand in for the Python that runs us; `$TARGET` is where pip was told to unpack."""
    script = folder / "python"
    target = "for TARGET; do case $last in --target) break ;; esac; last=$TARGET; done"
    script.write_text(f"#!/bin/sh\n{target}\n{text}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


def test_a_wheel_becomes_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = tmp_path / "noted"
    python(
        tmp_path, monkeypatch, f'echo "$*" > {noted}; mkdir "$TARGET"; echo it > "$TARGET/file"'
    )
    target = tmp_path / "wheels" / "here"
    target.parent.mkdir()
    WHEEL.fetch(target)
    assert (target / "file").read_text() == "it\n"
    assert noted.read_text().endswith(" a-package==1.2.3\n")
    assert "--only-binary=:all:" in noted.read_text()
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_another_run_put_there_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "wheels" / "here"
    target.parent.mkdir()
    python(tmp_path, monkeypatch, f'mkdir "$TARGET" {target}; echo theirs > {target}/file')
    WHEEL.fetch(target)
    assert (target / "file").read_text() == "theirs\n"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_tells_what_pip_said_and_what_else_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python(tmp_path, monkeypatch, 'mkdir "$TARGET"; echo no network >&2; exit 1')
    target = tmp_path / "here"
    with pytest.raises(
        FetchError,
        match=r"^a-package 1\.2\.3 could not be fetched by pip; write one or .*:\nno network$",
    ):
        WHEEL.fetch(target)
    assert [path.name for path in tmp_path.iterdir()] == ["python"]


def test_whether_there_is_a_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wheels.obtainable()
    monkeypatch.setattr(wheels, "find_spec", lambda _name: None)
    assert not wheels.obtainable()
