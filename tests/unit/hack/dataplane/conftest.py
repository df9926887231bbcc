"""Programs that note how they are called and do nothing."""

from pathlib import Path

import pytest

from hack.cluster import components
from hack.cluster.process import Process
from hack.dataplane.programs import Programs
from tests.support.eventually import eventually

_NAMES = (*components.DATA_PLANE, "sample-apiserver")


@pytest.fixture
def noting(tmp_path: Path) -> Programs:
    """Give programs that write their arguments, a line each, into their log and stay."""
    programs = {name: tmp_path / "bin" / name for name in _NAMES}
    for path in programs.values():
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\" .\nexec sleep 60\n")
        path.chmod(0o755)
    return programs


def given(process: Process) -> list[str]:
    """Return the arguments that one of them was started with."""
    eventually(lambda: process.tail(1) == ".", what=f"{process.name} to have started")
    return process.tail(100).splitlines()[:-1]
