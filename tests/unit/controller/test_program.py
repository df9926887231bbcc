"""The first moments of the program, in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controller import cli
from controller.inspection.commandline import inspect
from controller.program import load

ROOT = Path(__file__).parents[3]

LOADS_FOR_EVER = "import signal; print('loading', flush=True); signal.pause()"


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        ([], signal.SIGTERM, 0),
        ([], signal.SIGINT, 130),
        (["doctor"], signal.SIGTERM, -signal.SIGTERM),
        (["doctor"], signal.SIGINT, 130),
    ],
)
def test_a_signal_that_comes_while_it_is_loaded_ends_it(
    tmp_path: Path, arguments: list[str], number: int, code: int
) -> None:
    """Minded by the program itself: by default it ends no first process of a container."""
    # In the place of what nearly every module imports.
    (tmp_path / "structlog.py").write_text(LOADS_FOR_EVER)
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    with subprocess.Popen(
        # As a shell has its background jobs do, who started the tests may ignore Ctrl-C.
        ["env", "--default-signal=INT", sys.executable, "-m", "controller", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(number)
        assert process.communicate() == (b"", b"")
        assert process.returncode == code


def test_what_stands_in_front_of_the_flags_says_what_is_run() -> None:
    assert load(["status", "--watch"]) is load(["doctor"]) is inspect
    assert load([]) is load(["--workers=4", "status"]) is cli.main
