"""The table that is the reason for the gate: what a tenant reaches, and how long it waits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hack.bench.dataplane import latency, memory, reach
from hack.bench.dataplane.latency import Asked, Created, Times
from hack.bench.dataplane.memory import Memory
from hack.bench.dataplane.ways import DIRECT, PROXY, STRAIGHT, Way, opened
from hack.bench.table import aligned, mebibytes, milliseconds
from hack.cluster import binaries, components
from hack.cluster.controlplane import ControlPlane
from hack.dataplane import SampleApiserver, programs
from hack.dataplane.flunders import Flunders
from hack.dataplane.keyvalue import KeyValue, access_of_core

BUDGET = "1.5"
"""Times straight to the core, for a consistent list after a foreign write."""
LISTS = 40
CREATES = 150

Row = tuple[str, ...]
"""The figure's name, one for each way, the budget."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One way."""

    way: Way
    snapshot: str
    members: str
    foreign_write: str
    lists: Times
    creates: Created
    full_lists: Times
    """With what was created."""
    busy_lists: Times
    """The same, one right after another."""
    streams: Times
    fresh: dict[str, Memory]
    """Of the pod's programs before all this, by what they are."""
    used: dict[str, Memory]
    """The same after it."""


def measure(folder: Path) -> list[Measured]:
    """Start everything, ask it, and end it."""
    plane = ControlPlane(folder / "plane", binaries.ensure(*components.CONTROL_PLANE))
    data_plane = programs.ensure()
    with plane, opened(folder / "ways", data_plane) as ways, ExitStack() as stack:
        # It would only take processor time now and then.
        plane.controller_manager.stop(grace=0)
        fresh = [_memory(way) for way in ways]
        asked = [
            stack.enter_context(_asked(folder / f"server-{at}", plane, way))
            for at, way in enumerate(ways)
        ]
        figures = (
            latency.by_turns(asked, latency.listed, LISTS),
            latency.creates([one.flunders for one in asked], CREATES),
            latency.by_turns(asked, latency.listed, LISTS),
            latency.one_after_another(asked, latency.listed, LISTS // 2),
            latency.by_turns(asked, latency.streamed, LISTS),
        )
        # Last, as a snapshot disturbs whoever comes after it.
        reached = [_reached(folder, way) for way in ways]
        used = [_memory(way) for way in ways]
    each = zip(ways, reached, *figures, fresh, used, strict=True)
    return [Measured(way, *words, *rest) for way, words, *rest in each]


@contextmanager
def _asked(folder: Path, plane: ControlPlane, way: Way) -> Iterator[Asked]:
    prefix = None if way.prefixed else way.prefix.rstrip("/")
    with (
        SampleApiserver(folder, programs.ensure(), plane, way.storage, prefix=prefix) as server,
        Flunders.of(server) as flunders,
        KeyValue(access_of_core(way.core)) as other,
    ):
        yield Asked(flunders, other)


def _reached(folder: Path, way: Way) -> tuple[str, str, str]:
    return (
        reach.outcome(lambda: reach.snapshot(way, folder / "snapshot")),
        reach.outcome(lambda: reach.members(way)),
        reach.outcome(lambda: reach.foreign_write(way)),
    )


def _memory(way: Way) -> dict[str, Memory]:
    return {name: memory.of(process.pid or 0) for name, process in way.parts.items()}


def render(measured: Sequence[Measured]) -> str:
    """Return the table for a person."""
    return aligned([_header(measured), _titles(measured), *_rows(measured)])


def _header(measured: Sequence[Measured]) -> Row:
    cores = ["core with users, TLS" if one.way.core.auth else "plain core" for one in measured]
    # Each above the first of its columns only.
    shown = [core if core not in cores[:at] else "" for at, core in enumerate(cores)]
    return ("", *shown, "")


def _titles(measured: Sequence[Measured]) -> Row:
    return ("figure", *(one.way.name for one in measured), "budget")


def _rows(measured: Sequence[Measured]) -> list[Row]:
    def row(figure: str, cell: Callable[[Measured], str], budget: str = "") -> Row:
        return (figure, *(cell(one) for one in measured), budget)

    straight = {one.way.core: one for one in measured if one.way.name == STRAIGHT}

    def lists(figure: str, of: Callable[[Measured], Times]) -> list[Row]:
        def times_straight(one: Measured) -> str:
            yardstick = median(of(straight[one.way.core]).taken)
            return f"{median(of(one).taken) / yardstick:.2f}"

        return [
            row(f"consistent list of {figure}, p50", lambda one: _p50(of(one).taken)),
            row("    times straight", times_straight, BUDGET),
        ]

    objects = str(len(measured[0].creates.returned))
    return [
        row("snapshot save", lambda one: one.snapshot),
        row("member list", lambda one: one.members),
        row("write outside the prefix", lambda one: one.foreign_write),
        *lists("0", lambda one: one.lists),
        *lists(objects, lambda one: one.full_lists),
        *lists(f"{objects}, without a pause", lambda one: one.busy_lists),
        row("streaming list of these, p50", lambda one: _p50(one.streams.taken)),
        row("    its answer", lambda one: answer(one.streams.refusal)),
        row("create, p50", lambda one: _p50(one.creates.returned)),
        row("create to watch event, p50", lambda one: _p50(one.creates.seen)),
    ]


def _p50(taken: Sequence[float]) -> str:
    return milliseconds(median(taken))


def answer(refusal: str) -> str:
    """Shorten what an API server says instead of the end of a streaming list."""
    if "RequestWatchProgress is disabled" in refusal:
        return "refused: LIST"
    return refusal.partition(":")[2].partition(":")[0].strip() or refusal or "bookmark"


def render_memory(measured: Sequence[Measured]) -> str:
    """Return what the pods take, and what that makes for a storage of two."""
    rows: list[Row] = [("memory", "resident", "private", "shared", "private at start")]
    for one in measured:
        if one.way.core.auth and one.way.pod:
            rows += [
                _memory_row(f"{one.way.name}: {name}", used, one.fresh[name].private)
                for name, used in one.used.items()
            ]
    for name in (PROXY, DIRECT):
        rows.append(_storage_row(name, next(m for m in reversed(measured) if m.way.name == name)))
    return aligned(rows)


def _memory_row(title: str, used: Memory, fresh: int) -> Row:
    figures = (used.resident, used.private, used.shared, fresh)
    return (title, *map(mebibytes, figures))


def _storage_row(name: str, one: Measured) -> Row:
    used, fresh = (sum(2 * m.private for m in each.values()) for each in (one.used, one.fresh))
    return (f"{name}: storage of 2 pods", "", mebibytes(used), "", mebibytes(fresh))
