"""Processor time of processes, as the kernel counts it."""

import os
from collections.abc import Iterable
from pathlib import Path

from hack.cluster.process import Process


def seconds(processes: Iterable[Process]) -> float:
    """Return what those that run have used since they were started."""
    pids = (process.pid for process in processes)
    return sum(of(Path(f"/proc/{pid}/stat").read_text()) for pid in pids if pid)


def of(stat: str) -> float:
    """Read utime and stime."""
    # The second field, the name, may hold blanks and brackets: count from its end.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
