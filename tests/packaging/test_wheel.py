"""The wheel, in an environment of its own, from another folder: nothing of the checkout helps."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent.parent


def _run(*argv: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy of what git tracks, so that no stale build folder gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    files = _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, files.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    built = _run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, source, cwd=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "venv")
    # Our pip: one of its own would be installed first. What is hardly run need not be compiled.
    pip = (sys.executable, "-m", "pip", "--python", folder / "venv", "install", "--no-compile")
    installed = _run(*pip, "--quiet", wheel, cwd=folder)
    assert installed.returncode == 0, installed.stderr
    return folder


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "controller",
        "informers",
        "workqueue",
    }
    assert {f"{package}/py.typed" for package in ("controller", "informers", "workqueue")} <= set(
        names
    )


@pytest.mark.timeout(300)
def test_the_console_script_and_the_module_are_the_same_program(environment: Path) -> None:
    bin_ = environment / "venv" / "bin"
    script = _run(bin_ / "etcdproxy-controller", "--version", cwd=environment)
    module = _run(bin_ / "python", "-m", "controller", "--version", cwd=environment)
    assert script.returncode == module.returncode == 0, script.stderr + module.stderr
    assert script.stdout == module.stdout
    assert script.stdout.startswith("etcdproxy-controller 0.")


@pytest.mark.timeout(300)
def test_a_wrong_flag_is_one_line_and_code_2(environment: Path) -> None:
    script = environment / "venv" / "bin" / "etcdproxy-controller"
    answer = _run(script, "--etcd-core-url=ftp://core", cwd=environment)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "--etcd-core-url" in answer.stderr
