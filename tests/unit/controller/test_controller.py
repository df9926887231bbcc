"""The machinery around a reconcile: what comes back, what ends the program, what is told."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.api.conditions import find_condition
from controller.consistency import CacheBehind
from controller.controller import EtcdStorageController
from controller.handlers import LOW_PRIORITY
from controller.options import Options, parse_options
from controller.reconcile import Reconciler
from controller.resources import (
    CONFIG_MAPS,
    ETCD_STORAGES,
    EVENTS,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from controller.watchdog import LOOK
from informers import ApiError, ConnectionFailed, Resource, SharedIndexInformer
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.objects import (
    CORE,
    NAMESPACE,
    core_config_map,
    core_secret,
    etcd_storage,
    pod,
)
from tests.support.watchserver import WatchServer
from workqueue import Clock, RealClock


def options(*flags: str) -> Options:
    return parse_options(["-u", CORE.urls[0], "-n", NAMESPACE, *flags], environment={})


def controller_of(server: WatchServer, clock: Clock) -> EtcdStorageController:
    return EtcdStorageController(
        server.client,
        options(),
        clock=clock,
        rng=random.Random(1),
        now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


class FakeReconciler:
    """Does what it is told and remembers for whom."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.failure: BaseException | None = None

    def reconcile(self, name: str) -> None:
        self.names.append(name)
        if self.failure is not None:
            raise self.failure


class World:
    """A controller that is not running and reconciles nothing: only its queue is at work."""

    def __init__(self) -> None:
        self.server = WatchServer()
        self.clock = FakeClock()
        self.controller = controller_of(self.server, self.clock)
        self.reconciler = FakeReconciler()
        fake: Any = self.reconciler
        self.controller._reconciler = fake
        self.queue = self.controller._queue
        self.stop = self.controller._stop

    def process(self, name: str = "a") -> None:
        self.queue.add(name)
        assert self.controller._process_next()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.queue.shut_down()
    world.controller._recorder.stop()


def test_a_success_is_forgotten(world: World) -> None:
    world.process()
    assert world.reconciler.names == ["a"]
    assert (world.queue.num_requeues("a"), len(world.queue)) == (0, 0)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (ApiError(409, "Conflict", "modified"), ("debug", "cache_was_behind")),
        (ApiError(403, "Forbidden", "may not"), ("warning", "reconcile_failed")),
        (ConnectionFailed("https://server", "refused"), ("warning", "reconcile_failed")),
        (KeyError("metadata"), ("error", "reconcile_broke")),
    ],
)
def test_a_failure_comes_back_with_growing_delay(
    world: World, failure: Exception, told: tuple[str, str]
) -> None:
    world.reconciler.failure = failure
    delays = []
    for attempt in range(1, 4):
        with capture_logs() as logs:
            world.process()
        assert [(log["log_level"], log["event"], log["attempt"]) for log in logs] == [
            (*told, attempt)
        ]
        delays.append(0.005 * 2 ** (attempt - 1))
        world.clock.step_under(world.queue._lock, delays[-1] / 2)
        assert len(world.queue) == 0
        world.clock.step_under(world.queue._lock, delays[-1] / 2)
        assert world.queue.get() == "a"
        world.queue.done("a")
    assert world.queue.num_requeues("a") == 3

    world.reconciler.failure = None
    world.process()
    assert world.queue.num_requeues("a") == 0


def test_the_failures_of_many_do_not_delay_each_other(world: World) -> None:
    world.reconciler.failure = ApiError(403, "Forbidden", "may not")
    names = [f"storage-{number}" for number in range(150)]
    with capture_logs():
        for name in names:
            world.process(name)
    assert len(world.queue) == 0
    world.clock.step_under(world.queue._lock, 0.005, waiters=0)
    eventually(lambda: len(world.queue) == len(names))


def test_a_failure_that_lasts_comes_back_every_1000_seconds(world: World) -> None:
    for _ in range(40):
        world.queue.add_rate_limited("a")
    world.clock.step_under(world.queue._lock, 1.0)
    world.queue.done(world.queue.get())
    world.queue.add_rate_limited("a")
    world.clock.step_under(world.queue._lock, 999.0)
    assert len(world.queue) == 0
    world.clock.step_under(world.queue._lock, 1.0)
    assert len(world.queue) == 1


def test_a_failure_at_the_start_comes_back_behind_changes(world: World) -> None:
    world.reconciler.failure = ApiError(403, "Forbidden", "may not")
    world.queue.add("first", priority=LOW_PRIORITY)
    with capture_logs():
        assert world.controller._process_next()
    world.clock.step_under(world.queue._lock, 0.005)
    world.queue.add("changed")
    assert [world.queue.get(), world.queue.get()] == ["changed", "first"]


def test_a_cache_that_is_behind_is_waited_for_and_that_counts_as_no_failure(world: World) -> None:
    world.reconciler.failure = ApiError(403, "Forbidden", "may not")
    with capture_logs():
        world.process()
    world.reconciler.failure = CacheBehind(SERVICES, waited=0.02)
    with capture_logs() as logs:
        world.process()
    assert [(log["log_level"], log["event"], log["kind"]) for log in logs] == [
        ("debug", "cache_is_behind", "Service")
    ]
    # The failure is still the first of its run, and its delay the shorter one.
    assert world.queue.num_requeues("a") == 1
    world.clock.step_under(world.queue._lock, 0.005)
    assert world.queue.get() == "a"
    world.queue.done("a")
    assert len(world.queue) == 0


def test_a_name_whose_cache_is_behind_comes_back_by_itself(world: World) -> None:
    world.reconciler.failure = CacheBehind(SERVICES, waited=0.02)
    world.process()
    world.clock.step_under(world.queue._lock, 0.019)
    assert len(world.queue) == 0
    world.clock.step_under(world.queue._lock, 0.001, waiters=0)
    assert world.queue.get() == "a"
    world.queue.done("a")


def test_a_watch_that_owes_us_a_write_is_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced: list[Resource] = []
    monkeypatch.setattr(
        SharedIndexInformer, "reconnect", lambda informer: replaced.append(informer.resource)
    )
    world.controller._factory.informer(SERVICES, NAMESPACE).store.replace([], "10")
    consistency = world.controller._watchdog._consistency
    consistency.wrote_at("a", SERVICES, "11")
    with ThreadPoolExecutor(1) as pool, capture_logs():
        work = pool.submit(world.controller._work)
        try:
            for _ in range(4):
                # That of the queue, and the one that is meant.
                world.clock.await_waiters(2)
                world.clock.step(LOOK)
            eventually(lambda: replaced == [SERVICES])
        finally:
            world.stop.set()
        work.result(timeout=5)


def test_an_error_of_our_own_is_told_in_an_event(world: World) -> None:
    world.controller._factory.informer(ETCD_STORAGES).store.add(etcd_storage("a"))
    world.reconciler.failure = KeyError("private detail")
    with capture_logs():
        world.process()
    world.controller._recorder._sender.submit(int).result(timeout=5)
    (event,) = world.server.all(EVENTS)
    assert (event["type"], event["reason"]) == ("Warning", "ErrUnknown")
    assert "KeyError" in event["message"]
    assert "private detail" not in event["message"]


def test_after_the_stop_what_is_queued_is_left_for_the_next_start(world: World) -> None:
    world.stop.set()
    world.process()
    assert world.reconciler.names == []
    world.queue.shut_down()
    assert not world.controller._process_next()


def test_a_worker_that_breaks_ends_the_program(world: World) -> None:
    world.reconciler.failure = SystemExit()
    world.queue.add("a")
    with capture_logs() as logs:
        world.controller._worker()
    assert [log["event"] for log in logs] == ["worker_died"]
    assert world.stop.is_set()
    assert world.controller._failed.is_set()


def test_the_workers_end_with_the_stop_and_none_has_a_name_twice(world: World) -> None:
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(world.controller._work)
        for name in "abcabc":
            world.queue.add(name)
        while len(world.queue):
            threading.Event().wait(0.001)
        world.stop.set()
        work.result(timeout=5)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("worker-")]
    assert set(world.reconciler.names) == {"a", "b", "c"}


class Running:
    """The whole controller on a server in memory, with real informers, queue and workers."""

    def __init__(self) -> None:
        self.server = WatchServer()
        self.stop = threading.Event()

    def start(self) -> bool:
        return controller_of(self.server, RealClock()).run(self.stop)

    def await_reason(self, reason: str, type_: str = "Deployed", name: str = "a") -> None:
        def now() -> bool:
            status = self.server.peek(ETCD_STORAGES, name).get("status", {})
            return (find_condition(status, type_) or {}).get("reason") == reason

        eventually(now, what=f"{type_} of {name}: {reason}")

    def exists(self, resource: Resource, name: str) -> bool:
        return any(obj["metadata"]["name"] == name for obj in self.server.all(resource))


@contextmanager
def running(running: Running) -> Iterator[None]:
    before = set(threading.enumerate())
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(running.start)
        try:
            yield
        finally:
            running.stop.set()
            assert run.result(timeout=10)
    eventually(lambda: set(threading.enumerate()) <= before, what="all threads to end")


@pytest.fixture
def credentials() -> Running:
    """A server with the core's credentials."""
    found = Running()
    found.server.put(CONFIG_MAPS, core_config_map())
    found.server.put(SECRETS, core_secret())
    return found


def test_from_the_first_list_to_deployed_and_ready(credentials: Running) -> None:
    server = credentials.server
    for name in ("a", "b"):
        server.put(ETCD_STORAGES, etcd_storage(name))
    with running(credentials):
        for name in ("a", "b"):
            credentials.await_reason("EtcdProxyDeployed", name=name)
        # One that comes later, and a pod that gets ready.
        server.put(ETCD_STORAGES, etcd_storage("c"))
        credentials.await_reason("EtcdProxyDeployed", name="c")
        owner = server.peek(REPLICA_SETS, "etcd-rs-b")["metadata"]["uid"]
        server.put(PODS, pod("p", storage="b", owner_uid=owner))
        credentials.await_reason("PodsReady", "Ready", "b")
        credentials.await_reason("NoPodReady", "Ready", "a")


def test_what_is_deleted_comes_back_at_once(credentials: Running) -> None:
    server = credentials.server
    server.put(ETCD_STORAGES, etcd_storage("a"))
    with running(credentials):
        credentials.await_reason("EtcdProxyDeployed")
        for resource, name in ((REPLICA_SETS, "etcd-rs-a"), (SERVICES, "etcd-a")):
            server.remove(resource, name)
            eventually(lambda r=resource, n=name: credentials.exists(r, n))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("resource", "obj", "reason"),
    [
        (CONFIG_MAPS, core_config_map(), "CoreCAMissing"),
        (SECRETS, core_secret(), "CoreCertsMissing"),
    ],
)
def test_credentials_that_come_later_are_seen_by_every_storage(
    credentials: Running, resource: Resource, obj: dict[str, Any], reason: str
) -> None:
    server = credentials.server
    server.remove(resource, obj["metadata"]["name"])
    for name in ("a", "b"):
        server.put(ETCD_STORAGES, etcd_storage(name))
    with running(credentials):
        for name in ("a", "b"):
            credentials.await_reason(reason, name=name)
        server.put(resource, obj)
        for name in ("a", "b"):
            credentials.await_reason("EtcdProxyDeployed", name=name)


def test_a_foreign_object_that_goes_makes_room(credentials: Running) -> None:
    server = credentials.server
    spec = {"ports": [{"port": 80}]}
    foreign = {"metadata": {"name": "etcd-a", "namespace": NAMESPACE}, "spec": spec}
    server.put(SERVICES, foreign)
    server.put(ETCD_STORAGES, etcd_storage("a"))
    with running(credentials):
        credentials.await_reason("NameConflict")
        server.remove(SERVICES, "etcd-a")
        credentials.await_reason("EtcdProxyDeployed")


def test_a_write_that_fails_is_tried_again_until_it_goes_through(credentials: Running) -> None:
    server = credentials.server
    server.failures["create Service etcd-a"] = ApiError(403, "Forbidden", "no quota left")
    server.put(ETCD_STORAGES, etcd_storage("a"))
    with running(credentials):
        credentials.await_reason("WriteFailed")
        server.failures.clear()
        credentials.await_reason("EtcdProxyDeployed")


def test_a_stop_before_the_first_list_is_a_stop() -> None:
    found = Running()
    found.stop.set()
    assert found.start()


def test_what_the_controller_says_in_a_status_is_no_news_to_it(
    credentials: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure whose text varies would otherwise be tried again at once, for ever."""
    names: list[str] = []
    original = Reconciler.reconcile

    def counted(self: Reconciler, name: str) -> float | None:
        names.append(name)
        return original(self, name)

    monkeypatch.setattr(Reconciler, "reconcile", counted)
    server = credentials.server
    server.put(ETCD_STORAGES, etcd_storage("a"))
    with running(credentials):
        credentials.await_reason("EtcdProxyDeployed")
        server.put(ETCD_STORAGES, etcd_storage("marker"))
        credentials.await_reason("EtcdProxyDeployed", name="marker")
        before = names.count("a")
        server.edit(ETCD_STORAGES, "a", lambda obj: obj["status"].update(replicas=7))
        server.put(ETCD_STORAGES, etcd_storage("later"))
        credentials.await_reason("EtcdProxyDeployed", name="later")
        assert names.count("a") == before
        server.edit(ETCD_STORAGES, "a", lambda obj: obj["spec"].update(replicas=3))
        eventually(lambda: names.count("a") > before)


def test_an_informer_that_dies_ends_the_program_as_failed(credentials: Running) -> None:
    controller = controller_of(credentials.server, RealClock())
    with ThreadPoolExecutor(1) as pool, capture_logs():
        run = pool.submit(controller.run, credentials.stop)
        (informer, *_) = controller._factory.informers()
        eventually(informer.has_synced)
        controller._informer_died(informer, RuntimeError("a bug"))
        assert run.result(timeout=10) is False
