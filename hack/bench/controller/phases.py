"""What a controller does while nothing happens, or little: its time, requests and memory."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hack.bench import cpu
from hack.bench.controller.counted import WRITES, requests
from hack.bench.measured import resident
from hack.cluster.errors import ClusterError
from hack.program import Program

_RECONCILES = "controller_runtime_reconcile_total"

_LOOK = 0.1
"""Seconds between two looks at the processor time, which the kernel counts in hundredths."""
QUIET = 3.0
"""Seconds that a program has to rest."""
_BUSY = 0.3
"""The share of a processor that one that rests may use: some reads are due at any time."""
_LONGEST = 600.0
"""Seconds until that is given up. A guard, no measure."""


class BusyError(ClusterError):
    """It found no rest in ten minutes."""


@dataclass(frozen=True, slots=True)
class Phase:
    """So long in the life of a controller."""

    name: str
    seconds: float
    processor: float = 0.0
    """Seconds of it that were used; 0 where nobody looked, as with the rest."""
    reconciles: float = 0.0
    requests: Mapping[str, float] = field(default_factory=dict)
    """By verb, events among them."""
    memory: int = 0
    """Resident bytes at the end."""

    @property
    def writes(self) -> float:
        return sum(self.requests.get(verb, 0) for verb in WRITES)


@dataclass(frozen=True, slots=True)
class _Moment:
    processor: float
    reconciles: float
    requests: Mapping[str, float]


def measured(program: Program, name: str, happens: Callable[[], object]) -> Phase:
    """Let something happen, and return what the program made of it.

    The time is that of what happens, or what that returns if it is a number. What it takes to
    ask the program is left out.
    """
    before = _look(program)
    began = time.monotonic()
    given = happens()
    seconds = given if isinstance(given, float) else time.monotonic() - began
    used = cpu.seconds([program.process]) - before.processor
    return _phase(name, seconds, used, before, program)


def since_start(program: Program, name: str, seconds: float) -> Phase:
    """Return what a program has made of its life, of so many seconds."""
    used = cpu.seconds([program.process])
    return _phase(name, seconds, used, _Moment(0.0, 0.0, {}), program)


def await_sync(program: Program) -> None:
    """Wait until the program says in its log that its caches are there."""
    deadline = time.monotonic() + _LONGEST
    while '"synced"' not in program.process.log.read_text():
        program.process.check()
        if time.monotonic() > deadline:
            raise BusyError(f"the caches are not there after {_LONGEST:.0f} s")
        threading.Event().wait(_LOOK)


def rest(program: Program) -> float:
    """Wait until the program rests; return how many seconds it was until that began."""
    began = busy = seen = time.monotonic()
    used = cpu.seconds([program.process])
    while seen - busy < QUIET:
        program.process.check()
        if seen - began > _LONGEST:
            raise BusyError(f"the controller is still busy after {_LONGEST:.0f} s")
        threading.Event().wait(_LOOK)
        before, used = used, cpu.seconds([program.process])
        last, seen = seen, time.monotonic()
        if used - before > _BUSY * (seen - last):
            busy = seen
    return busy - began


def _look(program: Program) -> _Moment:
    metrics = program.metrics()
    # What the answer cost is of the time before.
    return _Moment(cpu.seconds([program.process]), metrics.total(_RECONCILES), requests(metrics))


def _phase(
    name: str, seconds: float, processor: float, before: _Moment, program: Program
) -> Phase:
    memory = resident(program.process.pid)
    after = _look(program)
    sent = {verb: n - before.requests.get(verb, 0) for verb, n in after.requests.items()}
    return Phase(
        name,
        seconds,
        processor,
        after.reconciles - before.reconciles,
        {verb: count for verb, count in sent.items() if count},
        memory,
    )
