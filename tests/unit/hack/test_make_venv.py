import subprocess
import sys
import venv
from pathlib import Path

import pytest

from hack import make_venv

PIP = "-m pip install --quiet --disable-pip-version-check --editable .[dev]"


def install_python(folder: Path, code: int) -> None:
    """Put a program in the place of the environment's Python that notes its arguments."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\nexit {code}\n')
    python.chmod(0o755)
    python.with_name("pip").touch()


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bool]]:
    """Environments made, each with whether it has pip; what they install succeeds."""
    made: list[tuple[Path, bool]] = []

    def create(folder: Path, *, with_pip: bool) -> None:
        made.append((folder, with_pip))
        install_python(folder, 0)

    monkeypatch.setattr(venv, "create", create)
    return made


def test_a_new_environment_has_pip_and_the_packages(
    tmp_path: Path, created: list[tuple[Path, bool]]
) -> None:
    folder = tmp_path / "env"
    assert make_venv.main(folder) == 0
    assert created == [(folder, True)]
    assert (folder / "asked").read_text() == f"{PIP}\n"
    assert (folder / ".ready").exists()


def test_one_that_is_there_is_brought_up_to_date(
    tmp_path: Path, created: list[tuple[Path, bool]]
) -> None:
    install_python(tmp_path, 0)
    assert [make_venv.main(tmp_path), make_venv.main(tmp_path)] == [0, 0]
    assert created == []
    assert (tmp_path / "asked").read_text() == f"{PIP}\n" * 2


def test_one_that_was_broken_off_is_made_again(
    tmp_path: Path, created: list[tuple[Path, bool]]
) -> None:
    folder = tmp_path / "env"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    assert make_venv.main(folder) == 0
    assert created == [(folder, True)]


def test_one_whose_packages_are_not_all_there_is_not_ready(tmp_path: Path) -> None:
    install_python(tmp_path, 3)
    assert make_venv.main(tmp_path) == 3
    assert (tmp_path / "asked").exists()
    assert not (tmp_path / ".ready").exists()


def test_a_python_without_venv_is_told_how_to_get_it(
    tmp_path: Path,
    created: list[tuple[Path, bool]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert make_venv.main(tmp_path / "env") == 1
    assert capsys.readouterr() == (
        "",
        "this Python cannot make virtual environments: apt-get install -y python3-venv\n",
    )
    assert created == []
    assert not (tmp_path / "env").exists()


def test_an_old_python_is_told_so_and_nothing_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "env"
    pretend = (
        "import sys; sys.version_info = (3, 9, 2); import pathlib, hack.make_venv as m;"
        "sys.exit(m.main(pathlib.Path(sys.argv[1])))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", pretend, folder], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("Python 3.11 or newer is needed, this is 3.9.2")
    assert not folder.exists()
