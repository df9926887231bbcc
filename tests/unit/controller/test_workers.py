"""What is told of each reconcile: one line if it changed something, its metrics, its checks."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from controller import workers
from controller.changes import became, wrote
from controller.consistency import CacheBehind
from controller.log import FORMATS, configure_logging
from controller.pki import Authority
from controller.reconcilemetrics import RESULTS, ReconcileMetrics
from controller.resources import ETCD_STORAGES, SERVICES
from controller.workers import STUCK, Workers
from informers import ApiError, Lister
from informers.store import Store
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.objects import etcd_storage
from workqueue import ItemExponentialFailureRateLimiter, RateLimitingQueue

FORBIDDEN = ApiError(403, "Forbidden", "may not")
STALE = ApiError(409, "Conflict", "modified", details={"name": "a", "kind": "services"})


class World:
    """Workers whose reconciles are `work`, on a queue with a clock that stands."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stop = threading.Event()
        self.work: Callable[[str], float | None] = lambda _: None
        self.registry = CollectorRegistry()
        self.queue: RateLimitingQueue[str] = RateLimitingQueue(
            ItemExponentialFailureRateLimiter(0.005, 1000.0), clock=self.clock
        )
        self.storages = Store()
        self.told: list[str] = []
        self.deaths: list[None] = []
        self.workers = Workers(
            self.queue,
            reconciler=self,
            storages=Lister(self.storages, ETCD_STORAGES),
            recorder=self,
            metrics=ReconcileMetrics(self.registry, "etcdstorage", workers=2, clock=self.clock),
            clock=self.clock,
            on_death=lambda: self.deaths.append(None),
        )

    def reconcile(self, name: str) -> float | None:
        return self.work(name)

    def record(self, _storage: Any, event: Any) -> None:
        self.told.append(event.reason)

    def process(self, name: str = "a") -> list[Any]:
        """Reconcile a name; return the lines about it."""
        self.queue.add(name)
        with capture_logs([merge_contextvars]) as logs:
            assert self.workers.process_next()
        return [log for log in logs if log["log_level"] != "debug"]

    def results(self) -> dict[str, float]:
        return {
            result: value
            for result in RESULTS
            if (value := self.read("reconcile_total", result=result))
        }

    def read(self, name: str, **labels: str) -> float | None:
        labels["controller"] = "etcdstorage"
        return self.registry.get_sample_value(f"controller_runtime_{name}", labels)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.queue.shut_down()
    world.workers.join(5)


def failing(error: BaseException, *, after_a_write: bool = False) -> Callable[[str], None]:
    def work(_: str) -> None:
        if after_a_write:
            wrote("create", "Service", "etcd-a")
        raise error

    return work


def test_a_right_that_is_missing_is_named_once_and_a_try_that_wrote_is_told(world: World) -> None:
    what = 'cannot create resource "services" in API group "" in the namespace "n"'
    missing = ApiError(403, "Forbidden", f'services "s" is forbidden: User "u" {what}')
    world.work = failing(missing)
    lines = [world.process(name) for name in ("a", "b", "a")]
    assert [[line["event"] for line in told] for told in lines] == [["right_missing"], [], []]
    assert lines[0][0]["verb"] == "create"
    world.work = failing(missing, after_a_write=True)
    assert [line["event"] for line in world.process("c")] == ["reconcile_failed"]


def test_a_reconcile_that_changed_something_is_one_line(world: World) -> None:
    def work(_: str) -> None:
        wrote("create", "Service", "etcd-a")
        wrote("patch", "EtcdStorage/status", "a")
        became({"ready": "False/NoPodReady"})

    world.work = work
    world.storages.add(etcd_storage("a"))
    (line,) = world.process()
    metadata = etcd_storage("a")["metadata"]
    assert line == {
        "event": "reconciled",
        "log_level": "info",
        "key": "a",
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "attempt": 1,
        "writes": ["create Service etcd-a", "patch EtcdStorage/status a"],
        "conditions": {"ready": "False/NoPodReady"},
    }


def test_a_reconcile_that_changed_nothing_is_no_line(world: World) -> None:
    assert world.process() == []
    world.work = failing(CacheBehind(SERVICES, waited=0.02))
    assert world.process() == []
    world.work = failing(STALE)
    assert world.process() == []


@pytest.mark.parametrize(
    ("error", "level", "event"),
    [
        (STALE, "info", "cache_was_behind"),
        (FORBIDDEN, "warning", "reconcile_failed"),
        (KeyError("any"), "error", "reconcile_broke"),
    ],
)
def test_a_failure_tells_what_was_written_before_it_in_the_same_line(
    world: World, error: Exception, level: str, event: str
) -> None:
    world.work = failing(error, after_a_write=True)
    (line,) = world.process()
    assert (line["log_level"], line["event"]) == (level, event)
    assert line["writes"] == ["create Service etcd-a"]


def test_the_attempts_are_counted_until_one_succeeds(world: World) -> None:
    def attempt() -> int:
        (line,) = world.process()
        world.queue.add("a")
        return int(line["attempt"])

    world.work = failing(FORBIDDEN)
    assert [attempt(), attempt()] == [1, 2]
    world.work = lambda _: wrote("create", "Service", "etcd-a")
    assert [attempt(), attempt()] == [3, 1]


def test_a_worker_says_which_it_is(world: World) -> None:
    world.work = lambda _: wrote("create", "Service", "etcd-a")
    with capture_logs([merge_contextvars]) as logs:
        world.workers.start(2, world.stop)
        for name in "abcd":
            world.queue.add(name)
        eventually(lambda: len([log for log in logs if log["event"] == "reconciled"]) == 4)
    assert {log["worker"] for log in logs} <= {0, 1}


def test_every_result_is_counted(world: World) -> None:
    for again in (None, 0.0, 5.0):
        world.work = lambda _, again=again: again  # type: ignore[misc]
        world.process("a")
    for number, error in enumerate((CacheBehind(SERVICES, waited=0.02), FORBIDDEN, KeyError())):
        world.work = failing(error)
        world.process(f"failing-{number}")
    assert world.results() == {"success": 1, "requeue": 1, "requeue_after": 2, "error": 2}
    assert world.read("reconcile_errors_total") == 2
    assert world.read("reconcile_panics_total") == 1
    assert world.read("reconcile_time_seconds_count") == 6


class Held:
    """A reconcile that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.over = threading.Event()

    def __call__(self, _: str) -> None:
        self.begun.set()
        assert self.over.wait(10)


def test_a_storage_that_a_worker_has_for_too_long_is_named(world: World) -> None:
    world.work = held = Held()
    with ThreadPoolExecutor(1) as pool:
        process = pool.submit(world.process, "a")
        assert held.begun.wait(10)
        assert (world.workers.have("a"), world.workers.have("b")) == (True, False)
        world.clock.step(STUCK - 1)
        assert world.workers.stuck() is None
        world.clock.step(1)
        assert world.workers.stuck() == f"a for {STUCK:.0f} s"
        assert world.read("active_workers") == 1
        held.over.set()
        process.result(timeout=10)
    assert world.workers.stuck() is None
    assert not world.workers.have("a")


def test_a_worker_that_died_is_named_until_the_stop(world: World) -> None:
    world.work = failing(SystemExit())
    with capture_logs([merge_contextvars]) as logs:
        world.workers.start(2, world.stop)
        assert world.workers.dead() is None
        world.queue.add("a")
        eventually(lambda: world.workers.dead() is not None)
    assert world.workers.dead() in {"worker-0", "worker-1"}
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["worker_died"]
    assert world.deaths == [None]
    world.stop.set()
    world.queue.shut_down()
    world.workers.join(5)
    assert world.workers.dead() is None


def test_a_worker_that_is_not_started_yet_is_not_taken_for_dead(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    start = threading.Thread.start

    def watched(thread: threading.Thread) -> None:
        seen.append(world.workers.dead())
        start(thread)
        seen.append(world.workers.dead())

    monkeypatch.setattr(threading.Thread, "start", watched)
    world.workers.start(2, world.stop)
    world.queue.shut_down()
    assert world.workers.join(5)
    assert seen == [None] * 4


@pytest.fixture
def _log_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.usefixtures("_log_as_it_was")
def test_a_reconcile_that_breaks_with_a_key_at_hand_does_not_tell_it(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    format_: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    authority = Authority.create("ca", validity=timedelta(days=1), now=datetime.now(UTC))
    key = authority.pair.key_pem.decode()

    def work(_: str) -> None:
        secret = {"tls.key": key}
        if secret["tls.key"]:
            raise ValueError(f"not what it should be: {key}")

    configure_logging("debug", format_)
    # A logger keeps the configuration of its first line.
    monkeypatch.setattr(workers, "_log", structlog.get_logger("test"))
    world.work = work
    world.queue.add("a")
    assert world.workers.process_next()
    told = capsys.readouterr().err
    assert "reconcile_broke" in told
    assert "not what it should be" in told
    assert [line for line in key.split() if len(line) > 20 and line in told] == []
    assert world.told == []
