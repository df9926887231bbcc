"""What is measured, each on an API server of its own that holds nothing else."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.resources import CONFIG_MAPS
from hack.bench import cpu
from hack.bench.controller import bare, phases, pods
from hack.bench.controller.counted import requests
from hack.bench.controller.phases import Phase
from hack.bench.controller.storages import CONSUMERS, NAMESPACE, AllDeployed, create, watched
from hack.cluster import binaries, components
from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.program import Program, install
from informers import Client, load_config
from workqueue.clock import REAL_CLOCK

CORE = "http://core.example:2379"
"""Nobody is there: no pod runs, and the controller counts no keys."""
BUNDLE = "etcd-coreserving-ca"
"""The ConfigMap with the core's CAs, by default."""

STEADY_STATE = "nothing changes"
RESYNC = "every storage looked at"
SYNC = "start to sync"
RESTART = "start to rest"

STEADY = 60.0
"""Seconds that are looked at while nothing changes."""

_EACH = 1.0
"""Seconds for each storage, after which it is given up. A guard, no measure."""


class SubjectError(ClusterError):
    """It was not done in time."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One subject."""

    name: str
    storages: int
    seconds: float
    requests: Mapping[str, float] = field(default_factory=dict)
    """By verb, events among them; empty where nobody counted."""
    processor: float = 0.0
    """Seconds of the controller's."""
    server: float = 0.0
    """The same of the API server and its etcd, from their start."""
    later: Sequence[Phase] = ()
    """What the controller did once all were deployed."""


def plain(folder: Path, storages: int) -> Measured:
    """Storages without TLS, from the controller's first sync to the last one deployed."""
    return _controlled(folder, "plain", storages, tls=False)


def tls(folder: Path, storages: int) -> Measured:
    """The same with TLS, until the last certificate is delivered."""
    return _controlled(folder, "TLS", storages, tls=True)


def yardstick(folder: Path, storages: int) -> Measured:
    """The writes of the plain ones, and nothing else."""
    with _api(folder) as (plane, api):
        stored = create(api, storages, tls=False)
        taken = bare.written(api, stored, CORE)
        return Measured("bare writes", storages, taken, server=_server(plane))


def _controlled(folder: Path, name: str, storages: int, *, tls: bool) -> Measured:
    with _api(folder) as (plane, api):
        stored = create(api, storages, tls=tls)
        waiting = AllDeployed(obj["metadata"]["name"] for obj in stored)
        with _program(folder / "first", plane) as program:
            with watched(api, waiting):
                at = waiting.wait(60 + _EACH * storages)
            if at is None:
                raise SubjectError(f"{waiting.left} of {storages} storages are not deployed")
            sent = requests(program.metrics())
            used = cpu.seconds([program.process])
            server = _server(plane)
            pods.make(api)
            later = [steady(program), resynced(program, api)]
        began = _time_of(program, "synced")
        later += restarted(folder / "second", plane)
        taken = (at - began).total_seconds()
        return Measured(name, storages, taken, sent, used, server, later)


def steady(program: Program) -> Phase:
    """Look at a controller that has nothing to do."""
    phases.rest(program)
    return phases.measured(program, STEADY_STATE, lambda: threading.Event().wait(STEADY))


def resynced(program: Program, api: Client) -> Phase:
    """Let every storage be looked at: the core's bundle, on which all hang, is made."""
    bundle = {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {"name": BUNDLE},
    }

    def resync() -> float:
        api.create(CONFIG_MAPS, bundle, NAMESPACE)
        return phases.rest(program)

    return phases.measured(program, RESYNC, resync)


def restarted(folder: Path, plane: ControlPlane) -> list[Phase]:
    """Start a controller where everything is as it should be."""
    began = datetime.now(UTC)
    with _program(folder, plane) as program:
        phases.await_sync(program)
        phases.rest(program)
        rested = datetime.now(UTC) - timedelta(seconds=phases.QUIET)
        phase = phases.since_start(program, RESTART, (rested - began).total_seconds())
    synced = (_time_of(program, "synced") - began).total_seconds()
    return [Phase(SYNC, synced), phase]


def _program(folder: Path, plane: ControlPlane) -> Program:
    # A leader would renew its Lease all the time, which is no work for storages.
    return Program(folder, plane, NAMESPACE, f"--etcd-core-url={CORE}", "--leader-elect=false")


def _server(plane: ControlPlane) -> float:
    return cpu.seconds([plane.apiserver, plane.etcd])


@contextmanager
def _api(folder: Path) -> Iterator[tuple[ControlPlane, Client]]:
    plane = ControlPlane(folder / "plane", binaries.ensure(*components.CONTROL_PLANE))
    with plane:
        install(plane, NAMESPACE, CONSUMERS)
        # It would make pods, and touch each ReplicaSet once more.
        plane.controller_manager.stop(grace=0)
        api = Client(load_config(str(plane.kubeconfig)), clock=REAL_CLOCK)
        try:
            yield plane, api
        finally:
            api.close()


def _time_of(program: Program, event: str) -> datetime:
    return first(program.process.log.read_text(), event)


def first(log: str, event: str) -> datetime:
    """Return when something happened first, by the controller's own log."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines()]
    at = next(line["timestamp"] for line in lines if line["event"] == event)
    return datetime.fromisoformat(at)
