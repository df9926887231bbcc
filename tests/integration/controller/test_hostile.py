"""Storages that nobody should make, many of them: refused by the server, or told of what is wrong.

HOSTILE_STORAGES is how many; `make chaos` has more of them than `make test`.
"""

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from controller.api.conditions import find_condition
from controller.api.storage import CORE_FINALIZER
from controller.controller import EtcdStorageController
from controller.options import PROGRAM
from controller.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ETCD_STORAGES,
    EVENTS,
    NETWORK_POLICIES,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from hack.cluster.controlplane import ControlPlane
from informers import ApiError, Client, load_config
from tests.integration.controller.conftest import (
    CRD,
    Storages,
    await_crd,
    manifest,
    options,
    suppress_not_found,
)
from tests.integration.controller.tlsstorages import Delivered, listing
from tests.support.eventually import PATIENCE, eventually, none_left
from tests.support.hostile import TAME, loose_specs
from tests.support.hostile import storages as hostile_storages
from workqueue import RealClock

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

COUNT: Final = int(os.environ.get("HOSTILE_STORAGES", "50"))
_TOGETHER: Final = 50
"""Storages that there are at a time."""

_WRITTEN: Final = (
    *(REPLICA_SETS, SERVICES, DISRUPTION_BUDGETS, NETWORK_POLICIES),
    *(CONFIG_MAPS, SECRETS),
)
_REFUSALS: Final = {400, 404, 409, 413, 422}
"""What the server may say of an object: that it is a bad one."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Running:
    """A controller that runs."""

    controller: EtcdStorageController
    registry: CollectorRegistry

    def check(self) -> None:
        """Assert that no thread of it has died, and that none is stuck."""
        told = {name: check() for name, check in self.controller.live_checks.items()}
        assert not any(told.values()), told

    def idle(self) -> bool:
        """Whether nothing is queued or worked at."""
        queue = {"name": "etcdstorage"}
        of = self.registry.get_sample_value
        series = ("workqueue_depth", "workqueue_unfinished_work_seconds")
        return {of(name, queue) for name in series} == {0.0}


@dataclass(slots=True)
class World:
    """One namespace with a controller and a storage that no other may touch."""

    plane: ControlPlane
    api: Client
    namespace: str
    victims: list[Json]
    """References to what is somebody else's."""
    uids: set[str] = field(default_factory=set)
    """Of all storages that the server took."""
    listed: set[tuple[str, str]] = field(default_factory=set)
    """Namespace and name of what those list as consumers' objects."""
    refused: Counter[int] = field(default_factory=Counter)
    before: dict[tuple[str, str, str], list[Json]] = field(default_factory=dict)
    """What controllers had written before, in other tests: the entries of its managed fields."""

    def create(self, body: Json) -> str | None:
        """Return the name of the storage, or None where the server refused it."""
        try:
            made = self.api.create(ETCD_STORAGES, body)
        except ApiError as error:
            if error.code not in _REFUSALS:
                raise
            self.refused[error.code] += 1
            return None
        self.uids.add(made["metadata"]["uid"])
        self.listed |= set(_listed(made.get("spec")))
        return str(made["metadata"]["name"])

    def remove(self) -> None:
        """Remove all storages but the one that was there first, whoever else holds them."""

        def gone() -> bool:
            left = [s for s in self.all() if s["metadata"]["name"] != "bystander"]
            for storage in left:
                self._remove(storage)
            return not left

        eventually(gone, every=0.2, what="all to be gone")

    def _remove(self, storage: Json) -> None:
        """Delete one, or take off it what nobody here takes off.

        That is ours as well where keys are to go with it: there is no core to be reached.
        """
        metadata, spec = storage["metadata"], storage.get("spec")
        reclaims = isinstance(spec, Mapping) and spec.get("reclaimPolicy") == "Delete"
        finalizers = metadata.get("finalizers", ())
        ours = [f for f in finalizers if f == CORE_FINALIZER and not reclaims]
        with suppress_not_found():
            if "deletionTimestamp" not in metadata:
                self.api.delete(ETCD_STORAGES, metadata["name"])
            elif len(ours) < len(finalizers):
                body = {"metadata": {"finalizers": ours or None}}
                self.api.patch(ETCD_STORAGES, metadata["name"], body)

    def all(self) -> list[Json]:
        found: list[Json] = self.api.list(ETCD_STORAGES)["items"]
        return found

    def unhandled(self, names: Sequence[str]) -> list[Any]:
        """Return those of the storages of which the status says nothing that is true now.

        One with an owner that is not there may be gone, or held by others alone: the collector
        takes it. Of one whose status the server refuses, for what an older CRD let in, an event
        tells.
        """
        there = {s["metadata"]["name"]: s for s in self.all() if not _is_left_to_others(s)}
        left = [there[name] for name in names if name in there and not _is_told(there[name])]
        events = self.api.list(EVENTS, "default")["items"] if left else []
        told = {event["involvedObject"].get("uid") for event in events if _is_refusal(event)}
        left = [storage for storage in left if storage["metadata"]["uid"] not in told]
        return [(s["metadata"], s.get("spec"), s.get("status")) for s in left]

    def written(self) -> dict[tuple[str, str, str], Json]:
        """Return all objects that the controller has written to, by kind, namespace and name."""
        return {
            (kind.kind, obj["metadata"]["namespace"], obj["metadata"]["name"]): obj
            for kind in _WRITTEN
            for obj in self.api.list(kind)["items"]
            if _entries(obj)
        }

    def settle(self, names: Sequence[str]) -> None:
        """Wait until all of these are handled, look at what was written, and remove them."""
        none_left(lambda: self.unhandled(names), what="to be told of", every=0.2)
        self.check_writes()
        self.remove()

    def check_writes(self) -> None:
        """Assert that it wrote to nothing but its own objects, and what it was told to."""
        for (kind, namespace, name), obj in self.written().items():
            if self.before.get((kind, namespace, name)) == _entries(obj):
                continue
            owners = [o["uid"] for o in obj["metadata"].get("ownerReferences", ())]
            own = namespace == self.namespace and {*owners} & self.uids
            assert own or (namespace, name) in self.listed, (kind, namespace, name, owners)


def _listed(spec: object) -> Iterator[tuple[str, str]]:
    if not isinstance(spec, Mapping):
        return
    for name in ("caCertConfigMap", "clientCertSecret"):
        items = spec.get(name)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, Mapping):
                yield str(item.get("namespace")), str(item.get("name"))


def _entries(obj: Json) -> list[Json]:
    """Return what an object notes of our writes, with the time of the last one."""
    return [m for m in obj["metadata"].get("managedFields", ()) if m["manager"] == PROGRAM]


def _is_told(storage: Json) -> bool:
    status = storage.get("status")
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    if not isinstance(conditions, list):
        return False
    told = find_condition({"conditions": conditions}, "Deployed") or {}
    return bool(told.get("observedGeneration") == storage["metadata"]["generation"])


def _is_left_to_others(storage: Json) -> bool:
    """Whether it is deleted and somebody else's finalizer all that holds it."""
    metadata = storage["metadata"]
    return "deletionTimestamp" in metadata and CORE_FINALIZER not in metadata.get("finalizers", ())


def _is_refusal(event: Json) -> bool:
    return "status is refused" in event.get("message", "")


@contextmanager
def running(plane: ControlPlane, namespace: str) -> Iterator[Running]:
    """Let a controller run in this process."""
    clock, registry = RealClock(), CollectorRegistry()
    client = Client(load_config(str(plane.kubeconfig)), clock=clock, user_agent=PROGRAM)
    controller = EtcdStorageController(
        client,
        options(plane, namespace, "https://core.example:2379"),
        clock=clock,
        rng=random.Random(1),
        now=lambda: datetime.now(UTC),
        registry=registry,
    )
    stop, healthy = threading.Event(), []
    thread = threading.Thread(target=lambda: healthy.append(controller.run(stop)))
    thread.start()
    try:
        yield Running(controller, registry)
    finally:
        stop.set()
        thread.join(PATIENCE)
        client.close()
    assert healthy == [True]


@pytest.fixture
def world(
    control_plane: ControlPlane, storages: Storages, namespace: str, core_credentials: None
) -> Iterator[World]:
    """Give a namespace with what is somebody else's."""
    client = Client(
        load_config(str(control_plane.kubeconfig)), clock=RealClock(), user_agent="test"
    )
    data = {"tls.crt": "bWluZQ==", "tls.key": "bWluZQ=="}
    foreign = (
        {"kind": "ConfigMap", "data": {"serving-ca.crt": "mine"}},
        {"kind": "Secret", "data": data, "type": "kubernetes.io/tls"},
    )
    for obj in foreign:
        metadata = {"name": "foreign", "namespace": namespace}
        body = {"apiVersion": "v1", "metadata": metadata, **obj}
        control_plane.kubectl("create", "-f", "-", stdin=body)
    names = (
        *("foreign", "etcd-ca-bystander", "etcd-serving-bystander", "etcd-user-bystander"),
        *("bystander-ca", "bystander-pair"),
    )
    victims = [{"namespace": namespace, "name": name} for name in names]
    world = World(control_plane, client, namespace, victims)
    world.before = {key: _entries(obj) for key, obj in world.written().items()}
    yield world
    client.close()


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Return so many examples, others each time; the seed is in the output of a failure."""
    found: list[Any] = []
    start = random.randrange(2**32)
    print(f"seed {start}")

    @seed(start)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(strategy)
    def draw(example: Any) -> None:
        found.append(example)

    draw()
    return found


def bystander(world: World) -> dict[str, int]:
    """Return the serials of the storage that nobody may touch, of which all is as it should be."""

    def delivered() -> bool:
        storage = world.api.get(ETCD_STORAGES, "bystander")
        told = find_condition(storage.get("status", {}), "CertificatesReady") or {}
        return told.get("status") == "True"

    eventually(delivered)
    found = Delivered.read(world.api, "bystander", world.namespace)
    found.check(datetime.now(UTC))
    return found.serials


def test_hostile_storages_are_refused_or_told_what_is_wrong(world: World) -> None:
    examples = drawn(hostile_storages(st.sampled_from(world.victims)), COUNT)
    bodies = [_named(body, f"tame-{number}") for number, body in enumerate(examples)]
    with running(world.plane, world.namespace) as controller:
        spec = listing("bystander", [world.namespace])
        world.create(manifest("bystander", spec))
        serials = bystander(world)
        for at in range(0, len(bodies), _TOGETHER):
            made = [world.create(body) for body in bodies[at : at + _TOGETHER]]
            names = [name for name in made if name]
            world.settle(names)
            controller.check()
        eventually(controller.idle)
        assert bystander(world) == serials
        controller.check()
    print(f"{len(bodies)} bodies, {len(world.uids) - 1} taken, refused {dict(world.refused)}")
    assert len(world.uids) > len(bodies) / 3
    assert world.refused


def test_what_an_older_crd_let_in_is_told_what_is_wrong(world: World) -> None:
    """Those stored while the CRD had no schema."""
    specs = drawn(loose_specs(), max(COUNT // 3, _TOGETHER))
    bodies = [{**manifest(f"loose-{n}", {}), "spec": spec} for n, spec in enumerate(specs)]
    for at in range(0, len(bodies), _TOGETHER):
        with loosened(world):
            made = [world.create(body) for body in bodies[at : at + _TOGETHER]]
        names = [name for name in made if name]
        assert names
        with running(world.plane, world.namespace) as controller:
            world.settle(names)
            controller.check()
            eventually(controller.idle)


def _named(body: Json, name: str) -> Json:
    if body["metadata"].get("name") != TAME:
        return body
    return {**body, "metadata": {**body["metadata"], "name": name}}


@contextmanager
def loosened(world: World) -> Iterator[None]:
    """Let the CRD take everything, as that of the first release did."""
    crd = yaml.safe_load(CRD.read_text())
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    }
    world.plane.kubectl("replace", "-f", "-", stdin=crd)
    try:
        probe = manifest("probe", {"mode": 1})
        eventually(lambda: world.create(probe), every=0.2)
        world.api.delete(ETCD_STORAGES, "probe")
        yield
    finally:
        world.plane.kubectl("apply", "-f", str(CRD))
        # Until it is in force what the old one lets in would be told by the old one's rules.
        await_crd(world.api)
