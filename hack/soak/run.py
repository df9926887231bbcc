"""The run itself: storages are made, live, and are asked for new authorities, all under load."""

import math
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from controller.ownership import STORAGE_LABEL
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, PODS, SECRETS
from hack.bench import cpu
from hack.cluster import binaries, components
from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.cluster.process import Process
from hack.dataplane import CoreEtcd, programs
from hack.program import Metrics, Program, install
from hack.soak.fleet import (
    CONSUMERS,
    NAMESPACE,
    Fleet,
    Terms,
    authority_of,
    leaves_of,
    read_through,
    rotate,
    say_ready,
)
from hack.soak.gate import SoakGate
from hack.soak.history import History
from hack.soak.kubelet import Kubelet
from hack.soak.load import Load, Shaken
from informers import Client, SharedInformerFactory, load_config
from workqueue.clock import REAL_CLOCK

START = 180.0
EACH = 3.0
"""Seconds in which storages have to be there: in all, and more for each. A guard, no measure."""
_LOOK = 0.5

Say = Callable[[str], None]


class SoakError(ClusterError):
    """Something took far too long, or ended."""


@dataclass(frozen=True, slots=True)
class Result:
    """What the run has shown."""

    terms: Terms
    shaken: Shaken
    seconds: float
    """Under load."""
    renewals: int
    """By time, summed over the storages: of each the leaf that had fewer."""
    rotations: int
    fewest: tuple[int, int]
    """Renewals and rotations of the storage with the fewest."""
    metrics: Metrics
    processors: Mapping[str, float]
    """Seconds of processor time by what used them, from the start."""
    broken: list[str]
    """What of the harness broke."""


class Soak:
    """One run, in a folder; `say` gets a line now and then."""

    def __init__(self, folder: Path, terms: Terms, say: Say) -> None:
        self._folder = folder
        self._terms = terms
        self._say = say
        self._rng = random.Random()  # noqa: S311 - it spreads load, no more
        self._fleet = Fleet(folder / "fleet", terms)
        self._history = History()
        self._before: dict[str, tuple[int, int]] = {}
        """What there was of renewals and rotations before the load, by storage."""
        self._gates: list[Process] = []

    def run(self) -> Result:
        """Start everything, wait for the last renewal, and end it; raises ClusterError."""
        parts = programs.ensure()
        plane = ControlPlane(self._folder / "plane", binaries.ensure(*components.CONTROL_PLANE))
        with ExitStack() as stack:
            core = stack.enter_context(CoreEtcd(self._folder / "core", parts))
            stack.enter_context(plane)
            install(plane, NAMESPACE, CONSUMERS)
            api = Client(load_config(str(plane.kubeconfig)), clock=REAL_CLOCK)
            stack.callback(api.close)
            kubelet = Kubelet(self._fleet.volumes, self._terms.late, self._rng)
            stack.callback(kubelet.stop)
            stack.enter_context(self._watching(api, kubelet))
            program = stack.enter_context(self._controller(plane, core))
            self._make(api, kubelet)
            gates = stack.enter_context(self._fleet.gates(parts, core.urls))
            self._gates = [gate.process for gate in gates.values()]
            self._ready(api, gates)
            running = {
                "controller": [program.process],
                "API server and its etcd": [plane.apiserver, plane.etcd],
                "gates": self._gates,
            }
            return self._live(api, gates, kubelet, program, running)

    def _controller(self, plane: ControlPlane, core: CoreEtcd) -> Program:
        return Program(
            self._folder / "controller", plane, NAMESPACE, f"--etcd-core-url={core.url}"
        )

    @contextmanager
    def _watching(self, api: Client, kubelet: Kubelet) -> Iterator[None]:
        factory = SharedInformerFactory(api, REAL_CLOCK, self._rng)
        for resource, namespace in (
            (SECRETS, NAMESPACE),
            (SECRETS, CONSUMERS),
            (CONFIG_MAPS, CONSUMERS),
        ):
            informer = factory.informer(resource, namespace)
            informer.add_event_handler(kubelet)
            if resource == SECRETS:
                informer.add_event_handler(self._history)
        factory.start()
        try:
            yield
        finally:
            factory.shutdown()

    def _make(self, api: Client, kubelet: Kubelet) -> None:
        """Create the storages and wait until all has come that their pods and clients need."""
        self._say(f"making {self._terms.storages} storages")
        for name in self._fleet.names:
            api.create(ETCD_STORAGES, self._fleet.manifest(name))
        left = {*self._fleet.volumes}

        def brought() -> bool:
            left.difference_update([key for key in left if kubelet.has_brought(key)])
            return not left

        self._await(brought, lambda: f"volumes still to be filled: {shown(left)}")

    def _ready(self, api: Client, gates: Mapping[str, SoakGate]) -> None:
        """Say of each pod where its gate is, and wait until the controller has taken it in."""
        self._say("gates run; pods are ready")
        left = {*gates}

        def told() -> bool:
            for pod in api.list(PODS, NAMESPACE)["items"]:
                name = pod["metadata"]["labels"].get(STORAGE_LABEL)
                if name in left:
                    say_ready(api, pod, gates[name].address)
                    left.remove(name)
            return not left

        self._await(told, lambda: f"storages without a pod: {shown(left)}")
        self._await_served(api)

    def _live(
        self,
        api: Client,
        gates: Mapping[str, SoakGate],
        kubelet: Kubelet,
        program: Program,
        running: Mapping[str, list[Process]],
    ) -> Result:
        read = {name: partial(read_through, gate) for name, gate in gates.items()}
        load = Load(
            self._fleet.clients(),
            lambda storage, client: read[storage](storage, client),
            self._terms.rate,
            self._rng,
        )
        began = time.monotonic()
        self._before = {name: self._counts(name) for name in self._fleet.names}
        load.start()
        try:
            self._grow_old(api)
            self._await_served(api)
        finally:
            shaken = load.stop()
        seconds = time.monotonic() - began
        lived = self._lived()
        return Result(
            self._terms,
            shaken,
            seconds,
            sum(renewals for renewals, _ in lived),
            sum(rotations for _, rotations in lived),
            self._fewest(),
            program.metrics(),
            {name: cpu.seconds(processes) for name, processes in running.items()},
            kubelet.failures,
        )

    def _grow_old(self, api: Client) -> None:
        """Wait for all renewals, and ask for the rotations evenly between them."""
        terms = self._terms
        limit = 1.5 * terms.leaf * (terms.renewals + terms.rotations + 1)
        deadline = time.monotonic() + limit
        asked, told = 0, (-1, -1)
        while True:
            renewals, rotated = fewest = self._fewest()
            if fewest != told:
                self._say(f"of each storage: {renewals} renewals, {rotated} rotations")
                told = fewest
            if renewals >= terms.renewals and rotated >= terms.rotations:
                break
            if asked < terms.rotations and renewals >= due(terms, asked):
                asked += 1
                rotate(api, self._fleet.names, f"token-{asked}")
            if time.monotonic() > deadline:
                raise SoakError(f"not done in {limit:.0f} s: of each storage {told}")
            threading.Event().wait(_LOOK)
        # What was renewed last is still on its way to gates and clients.
        threading.Event().wait(terms.late)

    def _await_served(self, api: Client) -> None:
        """Wait until the status of each has said that its gate was seen with the present leaf."""
        left = {*self._fleet.names}

        def seen() -> bool:
            storages = api.list(ETCD_STORAGES)["items"]
            left.difference_update(s["metadata"]["name"] for s in storages if has_served(s))
            return not left

        self._await(seen, lambda: f"not seen with what they should serve: {shown(left)}")

    def _fewest(self) -> tuple[int, int]:
        lived = self._lived()
        return min(renewals for renewals, _ in lived), min(rotated for _, rotated in lived)

    def _lived(self) -> list[tuple[int, int]]:
        """Return renewals and rotations of each storage under the load."""
        found = ((self._counts(name), before) for name, before in self._before.items())
        return [(now[0] - before[0], now[1] - before[1]) for now, before in found]

    def _counts(self, name: str) -> tuple[int, int]:
        """Return the renewals of the leaf that had fewer, and the rotations."""
        renewals = min(self._history.of(*secret).renewals for secret in leaves_of(name))
        return renewals, self._history.of(*authority_of(name)).changes

    def _await(self, holds: Callable[[], bool], what: Callable[[], str]) -> None:
        limit = START + EACH * self._terms.storages
        deadline = time.monotonic() + limit
        while not holds():
            for gate in self._gates:
                gate.check()
            if time.monotonic() > deadline:
                raise SoakError(f"after {limit:.0f} s {what()}")
            threading.Event().wait(_LOOK)


def due(terms: Terms, asked: int) -> int:
    """Return the renewals after which one more rotation is asked for than there were."""
    return math.ceil((asked + 1) * terms.renewals / (terms.rotations + 1))


def shown(left: Collection[object]) -> str:
    """Return how many there are, and the first of them."""
    return f"{len(left)}, such as {', '.join(map(str, [*left][:3]))}"


def has_served(storage: Mapping[str, Any]) -> bool:
    """Whether the status says that the gates were seen with what they are to serve."""
    certificates = (storage.get("status") or {}).get("certificates") or {}
    serving = certificates.get("serving") or {}
    return bool(serving) and serving.get("servedSerial") == serving.get("serial")
