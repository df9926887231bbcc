"""The command line `python -m hack.bench.controller`."""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from controller.log import configure_logging
from hack.bench.controller import subjects
from hack.bench.controller.phases import Phase
from hack.bench.controller.subjects import RESTART, RESYNC, STEADY_STATE, SYNC, Measured
from hack.bench.table import aligned, mebibytes, seconds
from hack.cluster import cache
from hack.cluster.errors import ClusterError

STORAGES = 1000
BUDGETS = {"plain": ("bare writes", 1.15), "TLS": ("plain", 2.0)}
"""How many times as long as what."""
PHASES = {
    STEADY_STATE: "0 writes, 1 %, 150 MiB",
    RESYNC: "0 writes",
    SYNC: "1 s",
    RESTART: "0 writes",
}
"""Of what comes later: the processor's share is of one, the memory that of 3,000 storages."""

NOTE = (
    "No controller manager ran: each storage has two pods by the bench, ready and without a gate."
)

Subject = Callable[[Path, int], Measured]
SUBJECTS: tuple[Subject, ...] = (subjects.yardstick, subjects.plain, subjects.tls)


def main(arguments: Sequence[str]) -> int:
    """Measure all, one after the other, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m hack.bench.controller", description=__doc__)
    parser.add_argument("--storages", type=int, default=STORAGES, help="(%(default)s)")
    storages: int = parser.parse_args(arguments).storages
    configure_logging("warning", "console")
    measured: dict[str, Measured] = {}
    try:
        for subject in SUBJECTS:
            with cache.scratch("bench-controller") as folder:
                one = subject(folder, storages)
            measured[one.name] = one
            sys.stderr.write(f"{one.name}: {seconds(one.seconds)}\n")
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(render(measured))
    print(f"\n{NOTE}\n")
    print(later(measured.values()))
    return 0


def render(measured: Mapping[str, Measured]) -> str:
    """Return the table for a person."""
    figures = ("storages", "time", "ratio", "budget", "processor", "API server's")
    title = ("subject", *figures, "requests for each storage")
    return aligned([title, *(_row(one, measured) for one in measured.values())])


def _row(one: Measured, measured: Mapping[str, Measured]) -> tuple[str, ...]:
    to, budget = BUDGETS.get(one.name, ("", 0.0))
    ratio = f"{one.seconds / measured[to].seconds:.2f} x {to}" if to in measured else ""
    counts = (f"{count / one.storages:.2f} {verb}" for verb, count in one.requests.items())
    figures = (f"{one.storages:,}", seconds(one.seconds), ratio, f"{budget:g}" if to else "")
    used = seconds(one.processor) if one.processor else "", seconds(one.server)
    return (one.name, *figures, *used, ", ".join(counts))


def later(measured: Iterable[Measured]) -> str:
    """Return the table of what the controllers did once all was deployed."""
    figures = ("time", "budget", "reconciles", "writes", "reads/s", "processor", "memory")
    rows = [
        (f"{one.name}: {phase.name}", *_cells(phase)) for one in measured for phase in one.later
    ]
    return aligned([("once all are deployed", *figures), *rows])


def _cells(phase: Phase) -> tuple[str, ...]:
    budget = PHASES.get(phase.name, "")
    if not phase.memory:
        return (seconds(phase.seconds), budget, "", "", "", "", "")
    reads = f"{phase.requests.get('GET', 0) / phase.seconds:.1f}" if phase.seconds else ""
    share = f"{phase.processor / phase.seconds:.1%}" if phase.name == STEADY_STATE else ""
    used = share or seconds(phase.processor)
    counts = f"{phase.reconciles:,.0f}", f"{phase.writes:,.0f}", reads
    return (seconds(phase.seconds), budget, *counts, used, mebibytes(phase.memory))
