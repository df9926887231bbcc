"""The first moments of the program, in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

LOADS_FOR_EVER = "import signal; print('loading', flush=True); signal.pause()"


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["doctor"], -signal.SIGTERM)])
def test_a_signal_that_comes_while_it_is_loaded_ends_it(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    """Minded by the program itself: by default it ends no first process of a container."""
    # In the place of what nearly every module imports.
    (tmp_path / "structlog.py").write_text(LOADS_FOR_EVER)
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    with subprocess.Popen(
        [sys.executable, "-m", "controller", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == code
