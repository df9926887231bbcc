"""The run itself: two controllers and their API server meet all that can happen to them."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from typing import Final

from controller.resources import CONFIG_MAPS, PODS, SECRETS
from hack.chaos.core import Core
from hack.chaos.edits import CONSUMERS, NAMESPACE, Editor, if_there
from hack.chaos.faults import Faults
from hack.chaos.picture import Picture, differences
from hack.chaos.proxy import FaultProxy
from hack.cluster import binaries, components, etcdapi
from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.program import Program, install
from hack.soak.fleet import say_ready
from informers import Client, load_config
from workqueue.clock import REAL_CLOCK

SETTLED: Final = 180.0
"""Seconds in which all has to be as it should, once there are no faults. A guard, no measure."""

_ELECTION: Final = (
    *("--leader-elect-lease-duration=6s", "--leader-elect-renew-deadline=4s"),
    "--leader-elect-retry-period=1s",
)
"""Shorter than by default: a run is to see many leaders."""

_DEATHS: Final = ("reconcile_broke", "worker_died", "informer_died", "thread_died", "Traceback")
"""Words of a log that no fault explains."""

_LOOK: Final = 0.3

Say = Callable[[str], None]


class ChaosError(ClusterError):
    """Something took far too long, or ended."""


class Incident(Enum):
    """What befalls the programs."""

    RESTART = "API server killed and started again"
    FREEZE = "API server frozen"
    COMPACT = "its etcd compacted"
    CUT = "all connections cut"
    KILL = "a controller killed"
    PAUSE = "a controller frozen for longer than its lease"
    CORE = "the core etcd killed and started again"


@dataclass(frozen=True, slots=True)
class Terms:
    """How much of what; times in seconds."""

    storages: int = 12
    restarts: int = 20
    freezes: int = 2
    freeze: float = 30.0
    compactions: int = 10
    cuts: int = 40
    kills: int = 30
    pauses: int = 3
    cores: int = 5
    odds: float = 0.2
    """The share of requests that meet a fault."""
    edits: int = 6
    """Before each incident."""
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(2**32))
    churn: float = 0.0
    """Instead of all that, so many seconds of edits and nothing else, by one controller."""


def incidents(terms: Terms, rng: random.Random) -> list[Incident]:
    """Return all of a run, in an order by chance."""
    counts = {
        Incident.RESTART: terms.restarts,
        Incident.FREEZE: terms.freezes,
        Incident.COMPACT: terms.compactions,
        Incident.CUT: terms.cuts,
        Incident.KILL: terms.kills,
        Incident.PAUSE: terms.pauses,
        Incident.CORE: terms.cores,
    }
    found = [incident for incident, count in counts.items() for _ in range(count)]
    rng.shuffle(found)
    return found


@dataclass(frozen=True, slots=True)
class Result:
    """What the run has shown."""

    terms: Terms
    met: Counter[Incident]
    faults: int
    """Requests that met one."""
    starts: int
    """Of controllers, after an end of theirs."""
    seconds: float
    """From the end of the last fault to the last write."""
    wrong: list[str]
    """What was not as in a calm run, or broke on the way."""


class Chaos:
    """One run, in a folder; `say` gets a line now and then."""

    def __init__(self, folder: Path, terms: Terms, say: Say) -> None:
        self._folder = folder
        self._terms = terms
        self._say = say
        self._rng = random.Random(terms.seed)  # noqa: S311 - no secret comes of it
        self._plane = ControlPlane(folder / "plane", binaries.ensure(*components.CONTROL_PLANE))
        self._core = Core(folder)
        self._starts = 0

    def run(self) -> Result:
        """Start everything, let it all happen, and compare; raises ClusterError."""
        self._say(f"seed {self._terms.seed}")
        with ExitStack() as stack:
            stack.enter_context(self._plane)
            stack.enter_context(self._core)
            install(self._plane, NAMESPACE, CONSUMERS)
            api = Client(load_config(str(self._plane.kubeconfig)), clock=REAL_CLOCK)
            stack.callback(api.close)
            self._core.install(api, NAMESPACE)
            names = tuple(f"chaos-{number}" for number in range(self._terms.storages))
            editor = Editor(api, self._rng, names, self._core)
            faults = Faults(self._rng)
            met, seconds, wrong = self._trouble(editor, faults)
            after = Picture.read(api).essence()
            # What was lost in the core is lost for a calm run as well.
            wrong = wrong or differences(self._calm(editor), after)
        wrong += self._logs()
        return Result(self._terms, met, faults.count, self._starts, seconds, wrong)

    def _trouble(
        self, editor: Editor, faults: Faults
    ) -> tuple[Counter[Incident], float, list[str]]:
        """Let it all happen, and wait until it is as if nothing had."""
        planned = incidents(self._terms, self._rng)
        with ExitStack() as stack:
            proxy = FaultProxy(self._folder, self._plane, faults)
            stack.callback(proxy.close)
            through = f"--kubeconfig={proxy.kubeconfig}"
            programs = [stack.enter_context(self._program(n, through)) for n in ("one", "two")]
            editor.create_all()
            faults.odds = self._terms.odds
            for incident in planned:
                self._say(incident.value)
                for _ in range(self._terms.edits):
                    editor.edit()
                    self._look(editor.api, programs)
                self._befall(incident, proxy, programs)
            faults.odds = 0.0
            self._forget_faults()
            began = time.monotonic()
            wrong = self._settle(editor, programs)
            return Counter(planned), time.monotonic() - began, wrong

    def _forget_faults(self) -> None:
        """Start the controller manager anew: it is not what is tried here.

        What failed while the server was away it tries again later each time, up to 1,000 s: an
        owner that its garbage collector could not see, a ReplicaSet that it could not read back.
        """
        self._plane.controller_manager.stop(grace=0)
        self._plane.controller_manager.start()

    def _program(self, name: str, *flags: str) -> Program:
        given = (*flags, *self._core.flags, *_ELECTION)
        return Program(self._folder / name, self._plane, NAMESPACE, *given)

    def _befall(self, incident: Incident, proxy: FaultProxy, programs: Sequence[Program]) -> None:
        plane, controller = self._plane, self._rng.choice(programs).process
        match incident:
            case Incident.RESTART:
                plane.stop_apiserver()
                plane.start_apiserver()
            case Incident.FREEZE:
                _freeze(plane.apiserver.pid, self._terms.freeze)
            case Incident.COMPACT:
                etcd = plane.settings.etcd
                etcdapi.compact(etcd, etcdapi.revision(etcd))
            case Incident.CUT:
                proxy.cut()
            case Incident.KILL:
                controller.stop(grace=0)
            case Incident.PAUSE:
                _freeze(controller.pid, 8.0)
            case Incident.CORE:
                self._core.restart()

    def _look(self, api: Client, programs: Sequence[Program]) -> None:
        """Do the part of the kubelets, and start controllers that have ended, and wait a bit."""
        for program in programs:
            if not program.process.alive:
                self._starts += 1
                program.process.start()
        make_ready(api)
        threading.Event().wait(_LOOK)

    def _settle(self, editor: Editor, programs: Sequence[Program]) -> list[str]:
        """Wait until all is as it should be and nothing queued; return what is not in the end."""
        deadline = time.monotonic() + SETTLED
        while True:
            self._look(editor.api, programs)
            wrong = Picture.read(editor.api).faults(editor.wanted) + busy(programs)
            wrong = wrong or self._core.faults(editor.wanted)
            if not wrong or time.monotonic() > deadline:
                return wrong

    def _calm(self, editor: Editor) -> dict[str, str]:
        """Return what comes of the same storages without any fault."""
        self._say("the same without faults")
        with self._program("calm") as program:
            wanted = {**editor.wanted}
            self._clear(editor)
            editor.restore(wanted)
            if wrong := self._settle(editor, [program]):
                raise ChaosError(f"without any fault: {wrong}")
            return Picture.read(editor.api).essence()

    def _clear(self, editor: Editor) -> None:
        """Remove all storages, and wait until all is gone that was theirs."""
        editor.delete_all()
        deadline = time.monotonic() + SETTLED
        while left := _left(Picture.read(editor.api)):
            if time.monotonic() > deadline:
                raise ChaosError(f"still there after the storages were deleted: {left}")
            threading.Event().wait(_LOOK)
        for kind in (CONFIG_MAPS, SECRETS):
            for obj in editor.api.list(kind, CONSUMERS)["items"]:
                name = obj["metadata"]["name"]
                if_there(partial(editor.api.delete, kind, name, namespace=CONSUMERS))

    def _logs(self) -> list[str]:
        """Return lines of the controllers' logs that no fault explains."""
        logs = self._folder.glob("*/controller.log")
        lines = (line for log in logs for line in log.read_text().splitlines())
        return [*islice((line for line in lines if any(word in line for word in _DEATHS)), 20)]


def _left(picture: Picture) -> list[str]:
    """Return what there is of storages that are to be gone."""
    return [*(storage["metadata"]["name"] for storage in picture.storages), *picture.leftovers]


def busy(programs: Sequence[Program]) -> list[str]:
    """Return what the one that leads has queued or in work, or that none does.

    Whoever stands by queues the names, too, for when it leads.
    """
    leading = []
    for program in programs:
        with suppress(OSError, HTTPException):
            metrics = program.metrics()
            if metrics.total("leader_election_master_status"):
                leading.append(metrics)
    if len(leading) != 1:
        return [f"{len(leading)} controllers lead"]
    series = ("workqueue_depth", "workqueue_unfinished_work_seconds")
    values = {name: leading[0].total(name) for name in series}
    return [f"{name} is {value:g}" for name, value in values.items() if value]


def make_ready(api: Client) -> None:
    """Say of every pod what its kubelet would."""
    for pod in api.list(PODS, NAMESPACE)["items"]:
        if not pod["status"].get("conditions"):
            if_there(partial(say_ready, api, pod, "127.0.0.1"))


def _freeze(pid: int | None, seconds: float) -> None:
    if pid is None:
        return
    os.kill(pid, signal.SIGSTOP)
    try:
        threading.Event().wait(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)
