"""The machinery around a reconcile: what comes back, what ends the program, what is told."""

import math
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from controller import controller as module
from controller import watchdog
from controller.api.conditions import find_condition
from controller.api.storage import CORE_FINALIZER, CORE_USER_OWNER
from controller.consistency import CacheBehind
from controller.controller import EtcdStorageController
from controller.core import Access
from controller.dataplane.interface import REVISION_LABEL
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
from controller.watchdog import LOOK, PATIENCE
from informers import ApiError, ConnectionFailed, Resource, SharedIndexInformer
from informers.shared import STOP_TIMEOUT
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.objects import (
    CORE,
    NAMESPACE,
    core_config_map,
    core_secret,
    desired_of,
    etcd_storage,
    owned_by,
    pod,
    read,
)
from tests.support.watchserver import WatchServer
from workqueue import Clock, RealClock


def options(*flags: str) -> Options:
    return parse_options(["-u", CORE.urls[0], "-n", NAMESPACE, *flags], environment={})


MODIFIED = ApiError(409, "Conflict", "modified", details={"name": "a", "kind": "services"})


def controller_of(
    server: WatchServer, clock: Clock, *flags: str, registry: CollectorRegistry | None = None
) -> EtcdStorageController:
    return EtcdStorageController(
        server.client,
        options(*flags),
        clock=clock,
        rng=random.Random(1),
        now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        registry=registry or CollectorRegistry(),
    )


class FakeReconciler:
    """Does what it is told and remembers for whom."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.failure: BaseException | None = None
        self.again: float | None = None

    def reconcile(self, name: str) -> float | None:
        self.names.append(name)
        if self.failure is not None:
            raise self.failure
        return self.again


class World:
    """A controller that is not running and reconciles nothing: only its queue is at work."""

    def __init__(self) -> None:
        self.server = WatchServer()
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        self.controller = controller_of(self.server, self.clock, registry=self.registry)
        self.controller._served.stop()  # Its queue would wait for the clock as well.
        self.reconciler = FakeReconciler()
        fake: Any = self.reconciler
        self.controller._workers._reconciler = fake
        self.controller._workers._stop = self.controller._stop
        self.queue = self.controller._queue
        self.stop = self.controller._stop

    def process(self, name: str = "a") -> None:
        self.queue.add(name)
        assert self.controller._workers.process_next()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.queue.shut_down()
    world.controller._recorder._sender.shutdown()


def test_a_success_is_forgotten(world: World) -> None:
    world.process()
    assert world.reconciler.names == ["a"]
    assert (world.queue.num_requeues("a"), len(world.queue)) == (0, 0)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (MODIFIED, ("debug", "cache_was_behind")),
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
        with capture_logs([merge_contextvars]) as logs:
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


def test_a_cache_that_was_behind_ten_times_in_a_row_is_told_aloud(world: World) -> None:
    """Somebody's object that our cache never shows, or a server that is never content."""
    world.reconciler.failure = MODIFIED
    with capture_logs([merge_contextvars]) as logs:
        for _ in range(11):
            world.process()
            world.clock.step_under(world.queue._lock, 6.0)
            world.queue.done(world.queue.get())
    levels = [(log["attempt"], log["log_level"]) for log in logs]
    quiet = [(attempt, "debug") for attempt in range(1, 10)]
    assert levels == [*quiet, (10, "warning"), (11, "warning")]


def test_a_storage_that_is_worth_another_look_gets_it(world: World) -> None:
    world.reconciler.again = 15.0
    world.queue.add_rate_limited("a")
    world.clock.step_under(world.queue._lock, 0.005)
    assert world.controller._workers.process_next()
    world.clock.step_under(world.queue._lock, 14.9)
    assert len(world.queue) == 0
    world.clock.step_under(world.queue._lock, 0.1, waiters=0)
    assert world.queue.get() == "a"
    world.queue.done("a")
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
        assert world.controller._workers.process_next()
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


def test_a_wait_for_a_cache_leaves_the_name_behind_changes(world: World) -> None:
    world.reconciler.failure = CacheBehind(SERVICES, waited=0.02)
    world.queue.add("first", priority=LOW_PRIORITY)
    assert world.controller._workers.process_next()
    world.clock.step_under(world.queue._lock, 0.02)
    world.queue.add("changed")
    assert [world.queue.get(), world.queue.get()] == ["changed", "first"]


def test_a_list_that_does_not_come_is_told_of_again_and_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [["secrets", "pods"], ["secrets"], ["secrets"], []]

    def wait(timeout: float, stop: threading.Event) -> list[str]:
        assert stop is world.stop
        world.clock.step(timeout if len(answers) > 1 else 1.0)
        return answers.pop(0)

    monkeypatch.setattr(world.controller._factory, "wait_for_cache_sync", wait)
    with capture_logs() as logs:
        assert world.controller._await_sync()
    assert [(log["log_level"], log["event"], log["kinds"], log["seconds"]) for log in logs] == [
        ("warning", "waiting_for_lists", ["secrets", "pods"], 10),
        ("warning", "waiting_for_lists", ["secrets"], 20),
        ("warning", "waiting_for_lists", ["secrets"], 30),
    ]


@pytest.mark.parametrize(("silent", "replaced"), [(True, [SERVICES]), (False, [])])
def test_the_informers_themselves_say_which_watch_is_silent(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    silent: bool,  # noqa: FBT001 - a column of the table
    replaced: list[Resource],
) -> None:
    found: list[Resource] = []
    monkeypatch.setattr(
        SharedIndexInformer, "reconnect", lambda informer: found.append(informer.resource)
    )
    seconds = PATIENCE if silent else PATIENCE - 0.1
    monkeypatch.setattr(SharedIndexInformer, "seconds_since_last_message", lambda _: seconds)
    world.controller._factory.informer(SERVICES, NAMESPACE).store.replace([], "10")
    world.controller._watchdog._consistency.wrote_at("a", SERVICES, "11")
    world.clock.step(PATIENCE)
    with capture_logs():
        world.controller._watchdog.look()
    assert found == replaced


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
        work = pool.submit(world.controller._watch_over)
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
    assert not world.controller._workers.process_next()


def test_a_worker_that_breaks_ends_the_program(world: World) -> None:
    world.reconciler.failure = SystemExit()
    world.queue.add("a")
    with capture_logs() as logs:
        world.controller._workers._work(0)
    assert [log["event"] for log in logs] == ["worker_died"]
    assert world.stop.is_set()
    assert world.controller._failure


def test_the_workers_end_with_the_stop_and_none_has_a_name_twice(world: World) -> None:
    workers = world.controller._workers
    workers.start(4, world.stop)
    for name in "abcabc":
        world.queue.add(name)
    eventually(lambda: len(world.queue) == 0)
    world.stop.set()
    world.queue.shut_down()
    assert workers.join(5.0)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("worker-")]
    assert set(world.reconciler.names) == {"a", "b", "c"}


class Running:
    """The whole controller on a server in memory, with real informers, queue and workers."""

    def __init__(self, *flags: str) -> None:
        self.server = WatchServer()
        self.stop = threading.Event()
        self._flags = flags
        self.controllers: list[EtcdStorageController] = []

    def start(self) -> bool:
        self.controllers.append(controller_of(self.server, RealClock(), *self._flags))
        return self.controllers[-1].run(self.stop)

    def await_reason(self, reason: str, type_: str = "Deployed", name: str = "a") -> None:
        def now() -> bool:
            status = self.server.peek(ETCD_STORAGES, name).get("status", {})
            return (find_condition(status, type_) or {}).get("reason") == reason

        eventually(now, what=f"{type_} of {name}: {reason}")

    def quiet(self) -> bool:
        """Whether all that happened so far was heard of and worked on, and nothing waits."""
        (controller,) = self.controllers
        queue = controller._queue

        def idle() -> bool:
            with queue._lock:
                # What comes back in minutes, as a storage without a ready pod does, is no work.
                waiting = queue._waiting.next_ready_at() or math.inf
                later = waiting > controller._clock.monotonic() + 60
                return not queue._dirty and not queue._processing and later

        def heard(informer: SharedIndexInformer) -> bool:
            newest = [e["object"] for e in self.server.history[informer.resource][-1:]]
            reached = int(informer.store.resource_version)
            seen = all(int(obj["metadata"]["resourceVersion"]) <= reached for obj in newest)
            return seen and informer.handler_queued_items == 0

        return idle() and all(map(heard, controller._factory.informers())) and idle()

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


def test_every_write_is_told_once_in_a_line_of_its_reconcile(credentials: Running) -> None:
    server = credentials.server
    for name in ("a", "b"):
        server.put(ETCD_STORAGES, etcd_storage(name))
    with capture_logs([merge_contextvars]) as logs, running(credentials):
        for name in ("a", "b"):
            credentials.await_reason("EtcdProxyDeployed", name=name)
        eventually(credentials.quiet)
    lines = [log for log in logs if "key" in log and log["log_level"] != "debug"]
    assert {log["event"] for log in lines} == {"reconciled"}
    told = [write for log in lines for write in log["writes"]]
    assert sorted(told) == sorted(w for w in server.writes if not w.startswith("create Event"))
    about = {"uid", "resourceVersion", "worker", "attempt", "conditions"}
    assert [about - log.keys() for log in lines] == [set()] * len(lines)


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


def test_what_keeps_users_from_being_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """That something was never there is no news that a watch would bring."""

    def refuse(_access: Access, _may_change: object) -> Any:
        raise ValueError("these are no URLs")

    monkeypatch.setattr(module, "connect", refuse)
    found = Running("--etcd-core-root-secret=root-pair", "--etcd-core-client-ca-secret=clients")
    found.server.put(ETCD_STORAGES, etcd_storage("a"))
    going = {"deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": [CORE_FINALIZER]}
    claimed = {CORE_USER_OWNER: "uid-going"}
    found.server.put(ETCD_STORAGES, etcd_storage("going", meta=going, status=claimed))
    with running(found):
        for name in ("a", "going"):
            found.await_reason("CoreCAMissing", "Degraded", name)
        found.server.put(CONFIG_MAPS, core_config_map())
        found.await_reason("CoreRootMissing", "Degraded")
        found.server.put(SECRETS, core_secret(name="root-pair"))
        found.await_reason("CoreAccessUnusable", "Degraded")


class Shared:
    """The caches of the shared objects: `versions` of what each of them holds now."""

    def __init__(self, **versions: str) -> None:
        self.versions = versions

    def find_shared(self, resource: Resource, _name: str, _namespace: str) -> dict[str, Any]:
        version = self.versions[resource.kind]
        if resource == CONFIG_MAPS:
            return core_config_map({"ca.pem": version})
        return core_secret({"client.pem": version, "client-key.pem": "key"})


def test_two_news_at_once_do_not_leave_the_older_pair_in_use() -> None:
    """`kubectl apply` of CA and root pair: each is told of by a thread of its own."""
    flags = ("--etcd-core-root-secret=root-pair", "--etcd-core-client-ca-secret=clients")
    controller = controller_of(WatchServer(), FakeClock(), *flags)
    caches: Any = Shared(ConfigMap="new", Secret="old")
    told: list[Any] = []
    second = threading.Thread(target=controller._refresh_access)

    class Keeper:
        def use(self, access: Any) -> None:
            if not told and second.ident is None:
                # The pair comes while the first thread is on its way with what it has seen.
                caches.versions["Secret"] = "new"
                second.start()
                second.join(0.1)
            told.append((access.ca_pem, access.cert_pem))

    keeper: Any = Keeper()
    controller._listers, controller._keeper = caches, keeper
    controller._refresh_access()
    second.join(10)
    controller._queue.shut_down()
    controller._served.stop()
    controller._recorder._sender.shutdown()
    assert told == [(b"new", b"old"), (b"new", b"new")]


def test_a_keeper_that_dies_ends_the_program_as_failed(world: World) -> None:
    with capture_logs() as logs:
        world.controller._keeper_died(RuntimeError("a bug"))
    assert [log["event"] for log in logs] == ["core_users_died"]
    assert world.stop.is_set()
    assert world.controller._failure


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

        eventually(credentials.quiet)
        before = names.count("a")
        server.edit(ETCD_STORAGES, "a", lambda obj: obj["status"].update(replicas=7))
        server.put(ETCD_STORAGES, etcd_storage("later"))
        credentials.await_reason("EtcdProxyDeployed", name="later")
        assert names.count("a") == before
        server.edit(ETCD_STORAGES, "a", lambda obj: obj["spec"].update(replicas=3))
        eventually(lambda: names.count("a") > before)


def test_what_somebody_else_says_in_a_status_is_put_right(
    credentials: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.handlers.STATUS_PAUSE", 0.01)
    server = credentials.server
    server.put(ETCD_STORAGES, etcd_storage("a"))
    with running(credentials):
        credentials.await_reason("EtcdProxyDeployed")
        eventually(credentials.quiet)
        server.edit(ETCD_STORAGES, "a", lambda obj: obj["status"].update(replicas=7))
        eventually(lambda: server.peek(ETCD_STORAGES, "a")["status"]["replicas"] == 0)


def test_who_is_in_the_middle_of_a_roll_comes_first_after_a_start(credentials: Running) -> None:
    server, names = credentials.server, "abcdefg"
    for name in names:
        server.put(ETCD_STORAGES, etcd_storage(name))
        made = owned_by(read(name), desired_of(read(name)).replica_set)
        template = "old" if name in "ab" else "middle"
        made["spec"]["template"]["metadata"]["labels"][REVISION_LABEL] = template
        owner = server.put(REPLICA_SETS, made)["metadata"]["uid"]
        server.put(PODS, pod(f"pod-{name}", "old", storage=name, owner_uid=owner))
    with running(credentials):
        for name in names:
            reason = "RolloutQueued" if name in "ab" else "RollingPods"
            credentials.await_reason(reason, "Progressing", name)


def test_an_informer_that_dies_ends_the_program_as_failed(credentials: Running) -> None:
    controller = controller_of(credentials.server, RealClock())
    with ThreadPoolExecutor(1) as pool, capture_logs():
        run = pool.submit(controller.run, credentials.stop)
        (informer, *_) = controller._factory.informers()
        eventually(informer.has_synced)
        controller._informer_died(informer, RuntimeError("a bug"))
        assert run.result(timeout=10) is False


class Hanging(WatchServer):
    """Answers lists and watches, and no write before it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()

    def create(self, *_: Any, **__: Any) -> dict[str, Any]:
        self.asked += 1
        self.closed.wait()
        raise ConnectionFailed("https://server", "cut", dropped=True)


def test_a_stop_waits_for_calls_for_a_while_and_then_cuts_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert module._DRAIN + module._KEEPER + module._RELEASE + STOP_TIMEOUT < 10
    monkeypatch.setattr(module, "_DRAIN", 0.05)
    found = Running()
    server = found.server = Hanging()
    server.put(CONFIG_MAPS, core_config_map())
    server.put(SECRETS, core_secret())
    for number in range(8):
        server.put(ETCD_STORAGES, etcd_storage(f"s{number}"))
    before = set(threading.enumerate())
    with ThreadPoolExecutor(1) as pool, capture_logs():
        run = pool.submit(found.start)
        try:
            eventually(lambda: server.asked == options().workers)
            assert not server.closed.is_set()
            found.stop.set()
            assert run.result(timeout=5)
            assert server.closed.is_set()
        finally:
            server.close()
    eventually(lambda: set(threading.enumerate()) <= before, what="all threads to end")
    # What was queued meanwhile is left to the next start.
    assert server.asked == options().workers


def test_a_cache_that_stalls_is_mended_and_the_storage_goes_on(
    credentials: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.02)
    monkeypatch.setattr(watchdog, "PATIENCE", 0.2)
    server = credentials.server
    server.put(ETCD_STORAGES, etcd_storage("a"))
    with capture_logs() as logs, running(credentials):
        credentials.await_reason("EtcdProxyDeployed")
        server.stall(SERVICES)
        server.put(ETCD_STORAGES, etcd_storage("b"))
        credentials.await_reason("EtcdProxyDeployed", name="b")
        # It waits for its Service to come back, and so for a new watch.
        server.edit(ETCD_STORAGES, "b", lambda obj: obj["spec"].update(replicas=5))
        eventually(lambda: server.peek(REPLICA_SETS, "etcd-rs-b")["spec"]["replicas"] == 5)
    told = [(log["event"], log["kind"]) for log in logs if log["event"].startswith("write_n")]
    assert told == [("write_not_seen_yet", "Service")]
    assert len(server.writes) == len(set(server.writes)) + 1  # the second status of b


def test_the_checks_name_what_is_dead_or_not_ready(world: World) -> None:
    controller = world.controller

    def live() -> dict[str, str]:
        return {name: why for name, check in controller.live_checks.items() if (why := check())}

    assert live() == {}
    assert {"threads", "workers", "informers", "queue"} <= controller.live_checks.keys()
    (check,) = controller.ready_checks.values()
    behind = check()
    assert behind is not None
    assert "etcdstorages" in behind
    for informer in controller._factory.informers():
        informer._queue.replace([], "1")
        informer._queue.pop(lambda *_: None, 0.0)
    assert check() is None
    informer = controller._factory.informers()[0]
    informer._failures.append(RuntimeError("a private detail"))
    assert live() == {"informers": f"{informer!r}: RuntimeError"}
    controller.fail("worker-1 died")
    controller.fail("another died of that")
    assert live()["threads"] == "worker-1 died"


def test_all_parts_have_metrics_in_the_registry(world: World) -> None:
    world.queue.add("a")
    told = {family.name: family for family in world.registry.collect()}
    (depth,) = told["workqueue_depth"].samples
    assert (depth.labels, depth.value) == ({"name": "etcdstorage"}, 1)
    queued = told["informer_queued_items"].samples
    assert {sample.labels["name"] for sample in queued} == {"etcdproxy-controller"}
    assert "etcdstorages" in {sample.labels["resource"] for sample in queued}
    (workers,) = told["controller_runtime_max_concurrent_reconciles"].samples
    assert (workers.labels, workers.value) == ({"controller": "etcdstorage"}, options().workers)
    assert {"etcdproxy_certificate_seconds_left", "etcdproxy_storage_ready"} <= told.keys()
