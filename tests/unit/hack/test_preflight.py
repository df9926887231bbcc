import subprocess
import sys
from pathlib import Path

import pytest

from hack.cluster import preflight


def test_nothing_to_complain_about() -> None:
    preflight.require(None, None)


def test_all_complaints_are_told_at_once() -> None:
    with pytest.raises(preflight.PreflightError) as caught:
        preflight.require("no Go: install it", None, "no disk: buy one")
    assert str(caught.value) == "no Go: install it\nno disk: buy one"


def test_python() -> None:
    assert preflight.python((3, 11, 0)) is None
    assert preflight.python((4, 0, 0)) is None
    assert preflight.python((3, 9, 2)) == (
        "Python 3.11 or newer is needed, this is 3.9.2: apt-get install python3.11 python3.11-venv"
    )


@pytest.mark.parametrize("found", [(1, 26, 0), (1, 26, 8), (1, 27), None, (1, 19, 8)])
def test_a_go_that_is_new_enough_or_can_be_fetched(found: tuple[int, ...] | None) -> None:
    new_enough = found is not None and found >= (1, 26, 0)
    assert preflight.go(found, (1, 26, 0), pip=not new_enough) is None


def test_no_go() -> None:
    assert preflight.go(None, (1, 26, 0), pip=False) == (
        "Go 1.26.0 or newer is needed, there is none on PATH, and this Python has no pip "
        "to fetch one: apt-get install python3-pip python3-venv"
    )
    old = preflight.go((1, 19, 8), (1, 26, 0), pip=False)
    assert old is not None
    assert "`go` on PATH is 1.19.8" in old


def test_a_program_that_only_pip_can_fetch() -> None:
    assert preflight.fetched("envoy", "v1.2.3", pip=True) is None
    assert preflight.fetched("envoy", "v1.2.3", pip=False) == (
        "envoy v1.2.3 is fetched by pip, which this Python lacks: "
        "apt-get install python3-pip python3-venv"
    )


def test_disk(tmp_path: Path) -> None:
    absent = tmp_path / "not" / "yet" / "there"
    assert preflight.disk(absent, 1, variable="GOCACHE") is None
    complaint = preflight.disk(absent, 10**18, variable="GOCACHE")
    assert complaint is not None
    assert complaint.startswith(f"1000000000 GB of free disk are needed in {absent}, there are ")
    assert complaint.endswith(": export GOCACHE=/a/folder/on/a/larger/disk")
    assert "\n" not in complaint


def test_tool() -> None:
    assert preflight.tool("sh", "dash") is None
    missing = "no-such-program is missing: apt-get install its-package"
    assert preflight.tool("no-such-program", "its-package") == missing


def test_an_old_python_is_told_so_before_it_reads_anything_else() -> None:
    pretend = (
        "import sys; sys.version_info = (3, 9, 2); import hack.cluster.__main__ as m;"
        "code = m.main(); assert 'hack.cluster.cli' not in sys.modules; sys.exit(code)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", pretend], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("Python 3.11 or newer is needed, this is 3.9.2")
