"""The threads around an election, on a clock that the test moves and a lease in memory."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from controller.leaderelection.election import LeaderElectionConfig, Write
from controller.leaderelection.elector import LeaderCallbacks, LeaderElector, new_identity
from controller.leaderelection.metrics import LeaderElectionMetrics
from controller.leaderelection.record import LeaderElectionRecord, Lease
from informers import ApiError, ConnectionFailed
from tests.support.clock import FakeClock
from tests.support.eventually import eventually

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TIME = "2026-01-02T03:04:05.000000Z"
CONFLICT = ApiError(409, "Conflict", "modified")
REFUSED = ConnectionFailed("https://server", "refused", refused=True)
OF_ANOTHER = LeaderElectionRecord("it", 15, "t", "t", 0)


class FakeLock:
    """A lease; `failures` are raised by the next calls, and `hang` lets them wait."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.calls: list[str] = []
        self.events: list[str] = []
        self.failing: Callable[[str], BaseException | None] = lambda _: None
        self.go_on = threading.Event()
        self.go_on.set()
        self.closed = threading.Event()

    def put(self, record: LeaderElectionRecord) -> Lease:
        version = int(self.lease.resource_version) + 1 if self.lease else 1
        self.lease = Lease(record, str(version))
        return self.lease

    def get(self) -> Lease | None:
        self._called("get")
        return self.lease

    def create(self, record: LeaderElectionRecord) -> Lease:
        self._called("create")
        assert self.lease is None
        return self.put(record)

    def update(self, record: LeaderElectionRecord, resource_version: str) -> Lease:
        self._called("update")
        if self.lease is None or self.lease.resource_version != resource_version:
            raise CONFLICT
        return self.put(record)

    def record_event(self, message: str, now: datetime) -> None:
        if failure := self.failing("event"):
            raise failure
        assert now == NOW
        self.events.append(message)

    def close(self) -> None:
        self.closed.set()
        self.go_on.set()

    def _called(self, verb: str) -> None:
        self.calls.append(verb)
        self.go_on.wait()
        if self.closed.is_set():
            raise ConnectionFailed("https://server", "the client is closed")
        if failure := self.failing(verb):
            raise failure


class World:
    """An elector and what it has told."""

    def __init__(self) -> None:
        self.lock = FakeLock()
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        self.told: list[str] = []
        self.elector = LeaderElector(
            self.lock,
            "me",
            LeaderElectionConfig(15.0, 10.0, 2.0),
            clock=self.clock,
            rng=random.Random(1),
            now=lambda: NOW,
            metrics=LeaderElectionMetrics(self.registry, "the-lease"),
        )

    def start(self) -> None:
        def died(error: BaseException) -> None:
            self.told.append(f"died: {error!r}")

        self.elector.start(
            LeaderCallbacks(lambda: self.told.append("led"), self.told.append, died)
        )

    def lead(self) -> None:
        self.start()
        eventually(lambda: self.told == ["led"])
        self.clock.await_waiters(2)

    def step(self, seconds: float) -> None:
        """Let time pass, and both threads see it."""
        self.clock.step(seconds)
        self.clock.await_waiters(2)

    def holder(self) -> str | None:
        return self.lock.lease.record.holder if self.lock.lease else None

    def status(self) -> float | None:
        labels = {"name": "the-lease"}
        return self.registry.get_sample_value("leader_election_master_status", labels)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with capture_logs():
        yield world
        world.elector.stop(release=False, timeout=0.1)


def test_who_finds_no_lease_leads(world: World) -> None:
    world.lead()
    record = LeaderElectionRecord("me", 15, TIME, TIME, 0)
    assert world.lock.lease == Lease(record, "1")
    assert world.lock.calls == ["get", "create"]
    assert world.status() == 1


def test_a_leader_renews_from_memory(world: World) -> None:
    world.lead()
    for _ in range(10):
        world.step(2.0)
    assert world.lock.calls == ["get", "create", *["update"] * 10]
    assert world.told == ["led"]


def test_errors_of_the_network_end_nothing_before_the_deadline(world: World) -> None:
    world.lead()
    world.lock.failing = lambda _: REFUSED
    for _ in range(4):
        world.step(2.0)
    assert world.told == ["led"]
    world.lock.failing = lambda _: None
    world.step(1.9)
    assert len(world.lock.calls) == 2 + 4
    world.clock.step(0.2)
    eventually(lambda: len(world.told) == 2)
    assert world.told == ["led", "not renewed within 10 s"]
    assert world.status() == 0


def test_one_success_in_time_is_enough(world: World) -> None:
    world.lead()
    for _ in range(10):
        world.lock.failing = lambda _: REFUSED
        for _ in range(3):
            world.step(2.0)
        world.lock.failing = lambda _: None
        world.step(2.0)
    assert world.told == ["led"]
    assert world.holder() == "me"


def test_a_call_that_hangs_does_not_keep_it_leading(world: World) -> None:
    world.lead()
    world.lock.go_on.clear()
    world.clock.step(2.0)
    eventually(lambda: world.lock.calls[-1] == "update")
    world.clock.await_waiters(1)
    world.clock.step(7.9)
    world.clock.await_waiters(1)
    assert world.told == ["led"]
    world.clock.step(0.2)
    eventually(lambda: world.told == ["led", "not renewed within 10 s"])
    assert not world.lock.go_on.is_set()


def test_a_leader_that_finds_another_ends_at_once(world: World) -> None:
    world.lead()
    world.lock.put(OF_ANOTHER)
    world.clock.step(2.0)
    eventually(lambda: world.told == ["led", "held by it"])
    assert world.lock.calls[-2:] == ["update", "get"]
    labels = {"name": "the-lease"}
    slow = world.registry.get_sample_value("leader_election_slowpath_total", labels)
    assert slow == 1


def test_who_stands_by_takes_over_as_soon_as_a_watch_shows_that_it_may(world: World) -> None:
    world.lock.put(OF_ANOTHER)
    world.start()
    world.clock.await_waiters(1)
    assert world.lock.calls == ["get"]
    obj = world.lock.put(replace(OF_ANOTHER, holder=""))
    metadata = {"resourceVersion": obj.resource_version}
    world.elector.handler.on_update({}, {"metadata": metadata, "spec": obj.record.spec()})
    eventually(lambda: world.told == ["led"])
    assert world.holder() == "me"


def test_a_lease_that_is_deleted_may_be_taken(world: World) -> None:
    lease = world.lock.put(OF_ANOTHER)
    world.start()
    world.clock.await_waiters(1)
    world.lock.lease = None
    world.elector.handler.on_delete({"metadata": {}, "spec": lease.record.spec()})
    eventually(lambda: world.told == ["led"])


def test_who_stands_by_looks_by_itself_as_well(world: World) -> None:
    world.lock.put(OF_ANOTHER)
    world.start()
    for looks in range(1, 4):
        world.clock.await_waiters(1)
        assert world.lock.calls == ["get"] * looks
        world.clock.step(4.4)
    eventually(lambda: len(world.lock.calls) == 4)
    assert world.told == []
    assert world.status() == 0


def test_the_lease_of_a_dead_one_is_taken_when_it_ends_and_not_before(world: World) -> None:
    world.lock.put(OF_ANOTHER)
    world.start()
    for _ in range(100):
        world.clock.await_waiters(1)
        world.clock.step(0.149)
    world.clock.await_waiters(1)
    assert world.told == []
    world.clock.step(0.1)
    eventually(lambda: world.told == ["led"])
    assert world.lock.lease is not None
    assert world.lock.lease.record.transitions == 1


def test_a_stop_lets_another_lead(world: World) -> None:
    world.lead()
    world.elector.stop(release=True, timeout=5.0)
    assert world.lock.lease is not None
    assert world.lock.lease.record == LeaderElectionRecord("", 1, TIME, TIME, 0)
    assert (world.told, world.status()) == (["led"], 0)
    assert world.lock.closed.is_set()


def test_begin_and_end_are_told_in_events(world: World) -> None:
    world.lead()
    eventually(lambda: world.lock.events == ["me became leader"])
    world.elector.stop(release=True, timeout=5.0)
    assert world.lock.events == ["me became leader", "me stopped leading"]


def test_an_event_that_cannot_be_sent_ends_nothing(world: World) -> None:
    world.lock.failing = lambda verb: REFUSED if verb == "event" else None
    world.lead()
    world.elector.stop(release=True, timeout=5.0)
    assert (world.told, world.holder(), world.lock.events) == (["led"], "", [])


def test_a_stop_that_must_not_release_does_not(world: World) -> None:
    world.lead()
    world.elector.stop(release=False, timeout=5.0)
    assert world.holder() == "me"


def test_the_lease_of_another_is_not_released(world: World) -> None:
    world.lead()
    world.lock.put(OF_ANOTHER)
    world.elector.stop(release=True, timeout=5.0)
    assert world.holder() == "it"


def test_who_only_stood_by_releases_nothing(world: World) -> None:
    world.lock.put(OF_ANOTHER)
    world.start()
    world.clock.await_waiters(1)
    world.elector.stop(release=True, timeout=5.0)
    assert world.lock.calls == ["get"]


def test_what_was_lost_by_time_is_released_if_it_is_still_ours(world: World) -> None:
    world.lead()
    world.lock.failing = lambda _: REFUSED
    world.clock.step(10.0)
    eventually(lambda: len(world.told) == 2)
    world.lock.failing = lambda _: None
    world.elector.stop(release=True, timeout=5.0)
    assert world.holder() == ""


def test_a_conflict_does_not_keep_it_from_being_released(world: World) -> None:
    world.lead()
    conflicts: list[BaseException] = [CONFLICT, CONFLICT]
    world.lock.failing = lambda verb: conflicts.pop() if verb == "update" and conflicts else None
    world.elector.stop(release=True, timeout=5.0)
    assert world.holder() == ""


def test_a_release_that_hangs_is_cut(world: World) -> None:
    world.lead()
    world.lock.go_on.clear()
    world.elector.stop(release=True, timeout=0.05)
    assert world.lock.closed.is_set()
    assert world.holder() == "me"


def test_a_stop_before_the_start_is_a_stop(world: World) -> None:
    world.elector.stop(release=True, timeout=5.0)
    assert world.lock.calls == []


def test_a_bug_is_told(world: World) -> None:
    world.lock.failing = lambda _: KeyError("metadata")
    world.start()
    eventually(lambda: world.told == ["died: KeyError('metadata')"])


def test_a_server_that_is_away_is_asked_again_and_told_of(world: World) -> None:
    world.lock.failing = lambda _: REFUSED
    with capture_logs() as logs:
        world.start()
        world.clock.await_waiters(1)
    assert [(log["log_level"], log["event"]) for log in logs] == [
        ("warning", "lease_not_acquired")
    ]
    world.lock.failing = lambda _: None
    world.clock.step(4.4)
    eventually(lambda: world.told == ["led"])


def test_what_keeps_it_from_leading_is_told_once_until_it_is_over(world: World) -> None:
    """Reads may go on meanwhile, as for who may get the lease and not create it."""
    denied = ApiError(403, "Forbidden", "cannot create")

    def deny(verb: str) -> ApiError | None:
        return denied if verb == "create" else None

    def told() -> list[str]:
        return [log["log_level"] for log in logs if log["event"] == "lease_not_acquired"]

    world.lock.failing = deny
    with capture_logs() as logs:
        world.start()
        for _ in range(3):
            world.clock.await_waiters(1)
            world.clock.step(4.4)
        eventually(lambda: told() == ["warning", *["debug"] * 3])
        world.clock.await_waiters(1)
        world.lock.put(OF_ANOTHER)
        world.lock.failing = lambda _: None
        world.clock.step(4.4)
        eventually(lambda: any(log["event"] == "standing_by" for log in logs))
        world.clock.await_waiters(1)
        world.lock.lease = None
        world.lock.failing = deny
        world.clock.step(4.4)
        eventually(lambda: told()[4:] == ["warning"])


def test_only_a_leader_whose_lease_is_over_is_unhealthy(world: World) -> None:
    """Which the guard does not let happen: the check is for the day that it hangs."""
    assert world.elector.check() is None
    election: Any = world.elector._election
    lease = Lease(LeaderElectionRecord("me", 15, TIME, TIME, 0), "1")
    now = world.clock.monotonic()
    election.answered(lease, request=Write(lease.record, None), sent=now, now=now)
    world.clock.step(35.0)
    assert world.elector.check() is None
    world.clock.step(0.1)
    assert world.elector.check() == "the lease was not renewed for 35 s"


def test_who_stood_still_leads_no_more_before_anything_else_tells(world: World) -> None:
    assert not world.elector.leads()
    world.lead()
    assert world.elector.leads()
    with world.elector._changed:  # so that no thread of it wakes up
        world.clock.step(10.0)
        assert not world.elector.leads()


def test_no_two_identities_are_the_same() -> None:
    first, second = new_identity(), new_identity()
    assert first != second
    assert first.rpartition("_")[0] == second.rpartition("_")[0] != ""
