"""Storages that change all the time, and what that costs a controller in memory and threads."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.chaos.core import Core
from hack.chaos.edits import CONSUMERS, NAMESPACE, Editor
from hack.chaos.picture import Picture
from hack.chaos.run import SETTLED, ChaosError, Terms, make_ready
from hack.cluster import binaries, components
from hack.cluster.controlplane import ControlPlane
from hack.program import Program, install
from informers import Client, load_config
from workqueue.clock import REAL_CLOCK

SAMPLES: Final = 20
"""Of a run."""

_PAUSE: Final = 0.02
"""Seconds between two edits."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of the controller at one moment."""

    seconds: float
    memory: int
    """Resident bytes."""
    threads: int
    edits: int
    """So far."""


class Churn:
    """One run, in a folder; `say` gets a line for each sample."""

    def __init__(self, folder: Path, terms: Terms, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._terms = terms
        self._say = say
        self._rng = random.Random(terms.seed)  # noqa: S311 - no secret comes of it

    def run(self) -> list[Sample]:
        """Edit for as long as the terms have it; raises ClusterError."""
        plane = ControlPlane(self._folder / "plane", binaries.ensure(*components.CONTROL_PLANE))
        with ExitStack() as stack:
            stack.enter_context(plane)
            core = stack.enter_context(Core(self._folder))
            install(plane, NAMESPACE, CONSUMERS)
            api = Client(load_config(str(plane.kubeconfig)), clock=REAL_CLOCK)
            stack.callback(api.close)
            names = tuple(f"churn-{number}" for number in range(self._terms.storages))
            core.install(api, NAMESPACE)
            editor = Editor(api, self._rng, names, core)
            program = Program(self._folder / "controller", plane, NAMESPACE, *core.flags)
            stack.enter_context(program)
            return self._edit(editor, program)

    def _edit(self, editor: Editor, program: Program) -> list[Sample]:
        editor.create_all()
        self._settle(editor, program)
        began, edits = time.monotonic(), 0
        samples: list[Sample] = []
        while len(samples) <= SAMPLES:
            program.process.check()
            seconds = time.monotonic() - began
            if seconds >= self._terms.churn * len(samples) / SAMPLES:
                sample = sampled(program.process.pid or 0, seconds, edits)
                samples.append(sample)
                self._say(str(sample))
            editor.edit()
            edits += 1
            make_ready(editor.api)
            threading.Event().wait(_PAUSE)
        return samples

    def _settle(self, editor: Editor, program: Program) -> None:
        """Wait until all storages are deployed: pools and threads that last are there by then."""
        deadline = time.monotonic() + SETTLED
        while wrong := Picture.read(editor.api).faults(editor.wanted):
            program.process.check()
            if time.monotonic() > deadline:
                raise ChaosError(f"before any edit: {wrong}")
            make_ready(editor.api)
            threading.Event().wait(_PAUSE)


def sampled(pid: int, seconds: float, edits: int) -> Sample:
    """Look at a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    told = dict(line.split(":", 1) for line in status.splitlines())
    memory = 1024 * int(told["VmRSS"].split()[0])
    return Sample(seconds, memory, int(told["Threads"]), edits)
