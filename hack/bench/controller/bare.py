"""The yardstick: the same writes, in a loop that looks at nothing and decides nothing."""

import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controller import events
from controller.api.storage import EtcdStorage, read_storage
from controller.dataplane import CoreEtcd, Facts, GatedDataPlane, Images
from controller.options import DEFAULT_GATE_IMAGE, DEFAULT_PROXY_IMAGE, PROGRAM
from controller.ownership import with_controller
from controller.recorder import EventRecorder
from controller.resources import ETCD_STORAGES, REPLICA_SETS
from controller.status import Observed, desired_status
from hack.bench.controller.storages import NAMESPACE, THREADS
from informers import Client, Resource
from workqueue import RealClock

Json = dict[str, Any]

_TOKEN = "0" * 32


@dataclass(frozen=True, slots=True)
class Writes:
    """What is written for one plain storage: each object, the status, and an event."""

    storage: EtcdStorage
    objects: Sequence[tuple[Resource, Json]]
    status: Json


def planned(obj: Mapping[str, Any], core_url: str, now: datetime) -> Writes:
    """Return the writes that the controller makes for this storage, in its order."""
    storage = read_storage(obj)
    core = CoreEtcd((core_url,), "etcd-coreserving-ca", "etcd-coreserving-cert")
    images = Images(DEFAULT_GATE_IMAGE, DEFAULT_PROXY_IMAGE)
    facts = Facts(auth=False, users=False, tls=False, drain_token=_TOKEN)
    desired = GatedDataPlane(NAMESPACE, images, core).desired(storage, facts)
    objects = {**desired.objects, REPLICA_SETS: desired.replica_set}
    seen = Observed(None, served=True, endpoint=desired.endpoint, revision=desired.revision)
    return Writes(
        storage,
        [(kind, with_controller(each, storage)) for kind, each in objects.items()],
        desired_status(storage, seen, now=now),
    )


def written(api: Client, stored: Sequence[Mapping[str, Any]], core_url: str) -> float:
    """Make the writes for all of these, by the controller's number of threads; return seconds."""
    now = datetime.now(UTC)
    plans = [planned(obj, core_url, now) for obj in stored]
    rng = random.Random(1)  # noqa: S311 - it is load
    recorder = EventRecorder(api, PROGRAM, lambda: datetime.now(UTC), clock=RealClock(), rng=rng)
    began = time.monotonic()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            # The list raises what a write has raised.
            list(pool.map(lambda plan: _write(api, recorder, plan), plans))
        return time.monotonic() - began
    finally:
        recorder.stop()


def _write(api: Client, recorder: EventRecorder, plan: Writes) -> None:
    for resource, obj in plan.objects:
        api.create(resource, obj, NAMESPACE)
    name, status = plan.storage.name, plan.status
    api.patch(ETCD_STORAGES, name, {"status": status}, subresource="status")
    recorder.record(plan.storage, events.normal(events.ETCD_STORAGE_DEPLOYED, "all is there"))
