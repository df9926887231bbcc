"""What make runs, with programs in place of the real ones that only tell of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = """#!/bin/sh
echo "$*" >> "$LOG"
for i in 1 2 3 4 5 6 7 8; do /bin/true; done
echo end >> "$LOG"
"""


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A finished environment of programs that note how they were called, and their end."""
    (tmp_path / "bin").mkdir()
    for name in ("ruff", "mypy", "pytest"):
        tool = tmp_path / "bin" / name
        tool.write_text(TOOL)
        tool.chmod(0o755)
    (tmp_path / ".ready").touch()
    return tmp_path


def test_nothing_runs_beside_the_suites_whose_reports_are_read(venv: Path) -> None:
    log = venv / "log"
    make = shutil.which("make")
    assert make
    subprocess.run(
        [make, "--jobs=8", "test", f"VENV={venv}"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "LOG": str(log)},
        check=True,
        capture_output=True,
    )
    lines = log.read_text().splitlines()
    assert lines[1::2] == ["end"] * (len(lines) // 2)
    assert lines[-2] == "tests/conformance"
