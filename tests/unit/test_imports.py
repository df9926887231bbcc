"""What is not loaded where it is not used: memory and time that nobody has to spend."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LISTS = "import sys; {}; print(*sys.modules)"


def loaded(code: str) -> set[str]:
    """The packages, ours and others', that an interpreter has loaded after `code`."""
    command = [sys.executable, "-c", LISTS.format(code)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "other"), [(["status"], "controller.controller"), ([], "controller.inspection")]
)
def test_the_command_line_loads_what_it_is_asked_for(arguments: list[str], other: str) -> None:
    modules = loaded(f"from controller import program; program.load({arguments})")
    assert "controller.options" in modules
    assert other not in modules
