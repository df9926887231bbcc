"""The parts of the benchmark: each measures and gives the rows of the table."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hack.bench import queues, subjects
from hack.bench.load import populate
from hack.bench.measured import Measured
from hack.bench.table import Row, kilobytes, mebibytes, per_second, seconds
from hack.cluster import binaries, components
from hack.cluster.controlplane import ControlPlane
from informers import Client, load_config
from workqueue.clock import REAL_CLOCK


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything: the defaults are what the budgets are for."""

    objects: int = 10_000
    events: int = 50_000
    slow_events: int = 5_000
    """For the official watch, which takes ten times as long for each."""
    rounds: int = 300_000
    changes: int = 100_000
    runs: int = 5
    """Of which the median is taken. The official ones, far slower, run once."""


def start(sizes: Sizes, folder: Path) -> list[Row]:
    """From the start of an informer until it has synced, on the real API server."""
    paths = binaries.ensure(*components.CONTROL_PLANE, "clientgo-informer")
    with ControlPlane(folder, paths) as plane:
        # It would touch every ReplicaSet once more.
        plane.controller_manager.stop(grace=0)
        client = Client(load_config(str(plane.kubeconfig)), clock=REAL_CLOCK)
        populate(client, plane.settings.etcd, sizes.objects)
        client.close()
        go_command = subjects.client_go(paths["clientgo-informer"], plane.kubeconfig)
        ours, go = _in_turn(sizes.runs, subjects.ours(plane.kubeconfig), go_command)
        official = subjects.run(subjects.official(plane.kubeconfig, sizes.objects))
    _expect(sizes.objects, ours + go)
    what = f"start on {sizes.objects:,} ReplicaSets"
    return [
        Row(
            f"{what}: synced after",
            seconds(median(one.synced for one in ours)),
            "0.60 s",
            seconds(median(one.synced for one in go)),
            seconds(official.synced),
        ),
        Row(
            f"{what}: peak of the process",
            mebibytes(median(one.peak for one in ours)),
            "80 MiB",
            mebibytes(median(one.peak for one in go)),
            mebibytes(official.peak),
        ),
        Row(
            "    of it by the imports",
            mebibytes(median(one.imported for one in ours)),
            python=mebibytes(official.imported),
        ),
    ]


def watch(sizes: Sizes, folder: Path) -> list[Row]:
    """Events per second of one processor, from the socket to the handler."""
    program = binaries.ensure("clientgo-informer")["clientgo-informer"]
    other, own = subjects.processors()
    with subjects.replayed(sizes.events, folder, other) as kubeconfig:
        go_command = subjects.client_go(program, kubeconfig, sizes.events)
        ours_command = subjects.ours(kubeconfig, sizes.events)
        ours, go = _in_turn(sizes.runs, ours_command, go_command, processor=own)
        slow = subjects.official(kubeconfig, 0, sizes.slow_events)
        official = subjects.run(slow, processor=own)
    return [
        Row(
            "watch events on one processor",
            per_second(sizes.events / median(one.events for one in ours)),
            "40,000/s",
            per_second(sizes.events / median(one.events for one in go)),
            per_second(sizes.slow_events / official.events),
        )
    ]


def queue(sizes: Sizes, _folder: Path) -> list[Row]:
    """Add, get and done of the work queue, in one thread."""
    ours = median(queues.ours(sizes.rounds) for _ in range(sizes.runs))
    simple = median(queues.simple(sizes.rounds) for _ in range(sizes.runs))
    figure = "queue: add, get, done (SimpleQueue: put, get)"
    return [Row(figure, per_second(ours), python=per_second(simple))]


def churn(sizes: Sizes, _folder: Path) -> list[Row]:
    """What an object takes in memory, after the first list and after each tenth of an hour."""
    command = [sys.executable, "-m", "hack.bench.churn", str(sizes.objects), str(sizes.changes)]
    figures = json.loads(subjects.output(command).splitlines()[-1])
    return [
        Row(
            f"memory per object after {tenth}/{len(figures) - 1} of {sizes.changes:,} changes",
            kilobytes(held["resident"]),
            "flat",
            python=f"{held['blocks']:.1f} blocks",
        )
        for tenth, held in enumerate(figures)
    ]


Part = Callable[[Sizes, Path], list[Row]]
ALL: dict[str, Part] = {"start": start, "watch": watch, "queue": queue, "churn": churn}


def _in_turn(
    runs: int, first: Sequence[str], second: Sequence[str], processor: int | None = None
) -> tuple[list[Measured], list[Measured]]:
    """Run both by turns: whatever else slows the machine down meets both."""
    pairs = [
        (subjects.run(first, processor=processor), subjects.run(second, processor=processor))
        for _ in range(runs)
    ]
    return [one for one, _ in pairs], [other for _, other in pairs]


def _expect(objects: int, measured: Sequence[Measured]) -> None:
    if wrong := {one.objects for one in measured} - {objects}:
        raise subjects.SubjectError(f"{wrong} objects were seen and not {objects}")
