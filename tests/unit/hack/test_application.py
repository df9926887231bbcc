from pathlib import Path

import pytest

from hack.cluster import application


def test_requirements() -> None:
    text = "[options]\ninstall_requires =\n    a>=1,<2\n    b\n[other]\nx = y\n"
    assert application.requirements(text) == ["a>=1,<2", "b"]


def test_the_sources_are_what_the_wheel_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "controller/cli.py",
        "controller/__pycache__/cli.pyc",
        "informers/py.typed",
        "hack/demo.py",
        "setup.cfg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(application, "_PROJECT", tmp_path)
    assert list(application._sources()) == ["controller/cli.py", "informers/py.typed", "setup.cfg"]
