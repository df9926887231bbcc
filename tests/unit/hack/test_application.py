from pathlib import Path

import pytest

from hack.cluster import application


def test_requirements() -> None:
    text = "[options]\ninstall_requires =\n    a>=1,<2\n    b\n[other]\nx = y\n"
    assert application.requirements(text) == ["a>=1,<2", "b"]


def test_the_sources_are_what_the_build_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "controller/cli.py",
        "controller/__pycache__/cli.pyc",
        "informers/py.typed",
        "hack/demo.py",
        "setup.cfg",
        "Dockerfile",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    ignore = "# What is needed.\n*\n!controller\n!informers\n!setup.cfg\n**/__pycache__\n"
    (tmp_path / ".dockerignore").write_text(ignore)
    monkeypatch.setattr(application, "_PROJECT", tmp_path)
    assert list(application._sources()) == [
        ".dockerignore",
        "Dockerfile",
        "controller/cli.py",
        "informers/py.typed",
        "setup.cfg",
    ]
