"""An hour of storages that come, change and go, on a fake clock, and what is left of them.

The controller is the whole one, with its threads and informers. Its server, its core and the
consumers' objects are in memory, the garbage collector and kubelets are this test.
"""

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from controller import controller as module
from controller.consumers.consumer import NAMESPACES
from controller.controller import EtcdStorageController
from controller.core.errors import UnreachableError
from controller.dataplane.names import object_name
from controller.handlers import by_label
from controller.options import parse_options
from controller.resources import (
    CONFIG_MAPS,
    ETCD_STORAGES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from controller.watches import OF_EVERY_STORAGE
from informers import Resource
from tests.support.applyserver import ApplyServer
from tests.support.authstore import AuthStore
from tests.support.clock import FakeClock
from tests.support.eventually import PATIENCE, eventually, none_left
from tests.support.objects import CORE, NAMESPACE, core_config_map, core_secret, etcd_storage, pod
from tests.support.sizes import sizes
from tests.support.watchserver import WatchServer
from workqueue import DelayingQueue

Json = dict[str, Any]

STORAGES: Final = 6
"""About."""
BEGAN: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

STEP: Final = 20.0
STEPS: Final = 180
"""An hour."""
REST: Final = 4 * 3600.0
"""Seconds after which nothing waits any more: a gate that does not answer is asked for an hour."""

BOUNDED: Final = (
    *("Correlator.", "_Group.", "History."),
    *("_WaitingItems._heap", "Keys._line"),
    "MutationDetector.",
)
"""The first three keep a number of entries, however old, the heaps twice those that count, which
are looked at; the last is there in tests alone."""


class Cluster(WatchServer):
    """Objects of other namespaces are on a server of their own, which knows who owns a field."""

    def __init__(self) -> None:
        super().__init__()
        self.others = ApplyServer()
        self.put(CONFIG_MAPS, core_config_map())
        self.put(SECRETS, core_secret())
        self.others.put(NAMESPACES, {"metadata": {"name": "team"}})

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        elsewhere = resource == NAMESPACES or (resource.namespaced and namespace != NAMESPACE)
        found = self.others.get if elsewhere else super().get
        return found(resource, name, namespace)

    def patch(self, resource: Resource, name: str, body: Any, **options: Any) -> Json:
        if resource.namespaced and options.get("namespace") != NAMESPACE:
            self.others.calls.clear()
            return self.others.patch(resource, name, body, **options)
        return super().patch(resource, name, body, **options)

    def work(self) -> None:
        """Do what controllers and kubelets of a cluster do with what they find."""
        for obj in self.all(ETCD_STORAGES):
            meta = obj["metadata"]
            if "deletionTimestamp" in meta and not meta.get("finalizers"):
                self.remove(ETCD_STORAGES, meta["name"])
        self._collect_garbage()
        asked = {name: rs for rs in self.all(REPLICA_SETS) for name in _pods_of(rs)}
        for obj in self.all(PODS):
            meta = obj["metadata"]
            if "deletionTimestamp" in meta or meta["name"] not in asked:
                self.remove(PODS, meta["name"])
            else:
                del asked[meta["name"]]
        for name, replica_set in asked.items():
            self.put(PODS, _made(name, replica_set))
        for replica_set in self.all(REPLICA_SETS):
            self.put(REPLICA_SETS, {**replica_set, "status": _counted(replica_set)})

    def _collect_garbage(self) -> None:
        for resource in (*OF_EVERY_STORAGE, SECRETS):
            for obj in self.all(resource):
                owners = obj["metadata"].get("ownerReferences") or ()
                if owners and not any(map(self._lives, owners)):
                    self.remove(resource, obj["metadata"]["name"])

    def _lives(self, owner: Mapping[str, Any]) -> bool:
        storages = self.all(ETCD_STORAGES)
        return any(obj["metadata"]["uid"] == owner["uid"] for obj in storages)


def _pods_of(replica_set: Json) -> set[str]:
    uid = replica_set["metadata"]["uid"]
    return {f"{uid}-{n}" for n in range(replica_set["spec"]["replicas"])}


def _counted(replica_set: Json) -> Json:
    """Return the status of a ReplicaSet that has all its pods."""
    count = replica_set["spec"]["replicas"]
    seen = replica_set["metadata"]["generation"]
    return {"observedGeneration": seen, "replicas": count, "readyReplicas": count}


def _made(name: str, replica_set: Json) -> Json:
    """Return a pod that is ready, whose gate nobody can ask."""
    made = pod(name, status={"podIP": "127.0.0.254"})
    made["metadata"]["labels"] = replica_set["spec"]["template"]["metadata"]["labels"]
    uid = replica_set["metadata"]["uid"]
    made["metadata"]["ownerReferences"][0].update(kind=REPLICA_SETS.kind, uid=uid)
    return made


class Editor:
    """Does to storages what people do, drawn at random. Each new one has a new name."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self._made = 0

    def edit(self) -> None:
        there = self._there()
        if self._rng.random() > len(there) / STORAGES:
            self._create(self._drawn())
        elif there:
            deed = self._rng.choice((self._delete, self._scale, self._spoil, self._kill))
            deed(self._rng.choice(there))

    def bring_the_same(self) -> None:
        """Let there be a number of storages, with one consumer of each kind."""
        for name in self._there():
            self._change(name, number=0, replicas=2)
        for _ in range(STORAGES - len(self._there())):
            self._create(number=0)

    def delete_all(self) -> None:
        for name in self._there():
            self._delete(name)

    def _there(self) -> list[str]:
        metas = [obj["metadata"] for obj in self._cluster.all(ETCD_STORAGES)]
        return [meta["name"] for meta in metas if "deletionTimestamp" not in meta]

    def _delete(self, name: str) -> None:
        meta = {"deletionTimestamp": f"{BEGAN:%Y-%m-%dT%H:%M:%SZ}"}
        self._cluster.edit(ETCD_STORAGES, name, lambda obj: obj["metadata"].update(meta))

    def _create(self, number: int | None) -> None:
        self._made += 1
        name, policy = f"storage-{self._made}", self._rng.choice(("Retain", "Delete"))
        lists = _lists(name, number)
        self._cluster.put(ETCD_STORAGES, etcd_storage(name, reclaimPolicy=policy, **lists))

    def _scale(self, name: str) -> None:
        self._change(name, self._drawn(), self._rng.randint(1, 3))

    def _change(self, name: str, number: int | None, replicas: int) -> None:
        def change(obj: Json) -> None:
            obj["spec"].update(_lists(name, number), replicas=replicas)
            obj["metadata"]["generation"] += 1

        self._cluster.edit(ETCD_STORAGES, name, change)

    def _drawn(self) -> int | None:
        """Draw who gets something: now and then nobody, and hardly ever the same ones."""
        return self._rng.randrange(1000) if self._rng.random() < 0.8 else None

    def _spoil(self, name: str) -> None:
        """Change an object that is ours, or delete it."""
        service = object_name(SERVICES, name)
        with contextlib.suppress(KeyError):
            if self._rng.random() < 0.5:
                self._cluster.remove(SERVICES, service)
            else:
                nonsense = {"selector": {"nobody": "has-it"}}
                self._cluster.edit(SERVICES, service, lambda obj: obj["spec"].update(nonsense))

    def _kill(self, name: str) -> None:
        mine = [o for o in self._cluster.all(PODS) if [*by_label(o)] == [name]]
        if mine:
            self._cluster.remove(PODS, self._rng.choice(mine)["metadata"]["name"])


def _lists(name: str, number: int | None) -> Json:
    kinds = {"caCertConfigMap": "ca", "clientCertSecret": "pair", "restartDeployments": "api"}
    if number is None:
        return {kind: [] for kind in kinds}
    names = {kind: f"{name}-{stem}-{number}" for kind, stem in kinds.items()}
    return {kind: [{"namespace": "team", "name": each}] for kind, each in names.items()}


class World:
    """The controller on its own, by a clock that the test moves."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        self.stop = threading.Event()
        self.controller = EtcdStorageController(
            self.cluster.client,
            parse_options(["-u", CORE.urls[0], "-n", NAMESPACE], environment={}),
            clock=self.clock,
            rng=random.Random(1),
            now=lambda: BEGAN + timedelta(seconds=self.clock.monotonic()),
            registry=self.registry,
        )

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass, and the controller do what is to be done then."""
        self.cluster.work()
        # A look that finds a cache behind is repeated some milliseconds later.
        for step in (seconds, 0.05, 0.05, 0.05):
            self.clock.step(step)
            self._await_idle()

    def _await_idle(self) -> None:
        served = self.controller._served._queue
        queues: tuple[DelayingQueue[Any], ...] = (self.controller._queue, served)

        def is_idle(queue: DelayingQueue[Any]) -> bool:
            with queue._lock:
                due = queue._waiting.next_ready_at()
                waits = due is None or due > self.clock.monotonic()
                return waits and not queue._dirty and not queue._processing

        def idle() -> bool:
            return all(map(is_idle, queues))

        eventually(lambda: idle() and self._heard() and idle(), every=0.001)

    def _heard(self) -> bool:
        for informer in self.controller._factory.informers():
            newest = [e["object"] for e in self.cluster.history[informer.resource][-1:]]
            reached = int(informer.store.resource_version)
            seen = all(int(obj["metadata"]["resourceVersion"]) <= reached for obj in newest)
            if not seen or informer.handler_queued_items:
                return False
        return True

    def held(self) -> Counter[str]:
        """Return how much is remembered, and how many series and threads there are."""
        found = sizes(self.controller)
        for path in [*found]:
            if path.startswith(BOUNDED):
                del found[path]
        families = [*self.registry.collect()]
        found["metrics"] = sum(len(family.samples) for family in families)
        found["threads"] = threading.active_count()
        return found

    def more_than(self, before: Counter[str]) -> Counter[str]:
        return self.held() - before

    def rest(self) -> None:
        """Let all that waits come up."""
        for seconds in (*[STEP] * 12, *[REST / 8] * 8, 0.0):
            self.pass_by(seconds)


class Always(list[Exception | None]):
    """Failures without an end."""

    def __init__(self, failure: Exception) -> None:
        super().__init__([failure])

    def pop(self, _index: object = 0) -> Exception | None:
        return self[0]


@contextmanager
def running(world: World) -> Iterator[None]:
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(world.controller.run, world.stop)
        try:
            eventually(lambda: world.controller._workers._threads)
            yield
        finally:
            world.stop.set()
            assert run.result(timeout=PATIENCE)


def test_an_hour_of_churn_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it without the core, so that nothing is counted or removed there."""
    core = AuthStore(enabled=False)
    monkeypatch.setattr(module, "connect", lambda *_: core)
    world = World()
    editor = Editor(world.cluster, random.Random(7))

    def churn(steps: int) -> None:
        for _ in range(steps):
            editor.edit()
            world.pass_by(STEP)

    with running(world), capture_logs():
        churn(20)
        states = {"the same": editor.bring_the_same, "none": editor.delete_all}
        before = {}
        for state, bring in states.items():
            bring()
            world.rest()
            before[state] = world.held()
        churn(STEPS // 2)
        core.failures = Always(UnreachableError("away"))
        churn(STEPS // 2)
        core.failures = []
        for state, bring in states.items():
            bring()
            world.rest()
            none_left(partial(world.more_than, before[state]), what=f"more with {state}")
