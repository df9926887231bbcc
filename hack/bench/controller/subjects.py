"""What is measured, each on an API server of its own that holds nothing else."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hack.bench import cpu
from hack.bench.controller import bare
from hack.bench.controller.storages import CONSUMERS, NAMESPACE, AllDeployed, create, watched
from hack.cluster import binaries, components
from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.program import Metrics, Program, install
from informers import Client, load_config
from workqueue.clock import REAL_CLOCK

CORE = "http://core.example:2379"
"""Nobody is there, and nobody asks: there are no pods."""

_REQUESTS = "rest_client_requests_total"
_VERBS = ("POST", "PATCH", "GET", "DELETE")
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
        program = Program(folder, plane, NAMESPACE, f"--etcd-core-url={CORE}")
        with watched(api, waiting), program:
            at = waiting.wait(60 + _EACH * storages)
            if at is None:
                raise SubjectError(f"{waiting.left} of {storages} storages are not deployed")
            sent = requests(program.metrics())
            used = cpu.seconds([program.process])
        began = synced(program.process.log.read_text())
        return Measured(name, storages, (at - began).total_seconds(), sent, used, _server(plane))


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


def synced(log: str) -> datetime:
    """Return when the controller's caches were there, by its own log."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines()]
    at = next(line["timestamp"] for line in lines if line["event"] == "synced")
    return datetime.fromisoformat(at)


def requests(metrics: Metrics) -> dict[str, float]:
    """Return how many requests were sent, by verb."""
    found = {verb: metrics.total(_REQUESTS, method=verb) for verb in _VERBS}
    return {verb: count for verb, count in found.items() if count}
