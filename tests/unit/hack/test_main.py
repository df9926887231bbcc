import subprocess
import sys

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hack.cluster", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_mistake_is_one_line() -> None:
    answer = run("build", "kubectx")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith("nothing builds kubectx; known: ")
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [(), ("no-such-command",)])
def test_a_wrong_command_line_tells_the_commands(arguments: tuple[str, ...]) -> None:
    answer = run(*arguments)
    assert answer.returncode == 2
    assert "COMMAND" in answer.stderr
