"""A watch that owes us a write: when it is replaced, when that is given up."""

from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from controller.consistency import CacheBehind, ConsistencyStore
from controller.resources import REPLICA_SETS, SERVICES
from controller.watchdog import GIVE_UP, PATIENCE, Watchdog
from informers import Resource
from tests.support.clock import FakeClock


@dataclass
class FakeCache:
    resource_version: str = "10"


class FakeWatch:
    """Silent since the last `message`."""

    def __init__(self, resource: Resource, clock: FakeClock, replaced: list[Resource]) -> None:
        self.resource = resource
        self.clock = clock
        self.replaced = replaced
        self.message()

    def message(self) -> None:
        self.last = self.clock.monotonic()

    def seconds_since_last_message(self) -> float:
        return self.clock.monotonic() - self.last

    def reconnect(self) -> None:
        self.replaced.append(self.resource)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        kinds = (REPLICA_SETS, SERVICES)
        self.caches = {kind: FakeCache() for kind in kinds}
        self.store = ConsistencyStore(self.caches, self.clock)
        self.replaced: list[Resource] = []
        self.watches = {kind: FakeWatch(kind, self.clock, self.replaced) for kind in kinds}
        self.dog = Watchdog(self.store, self.watches, self.clock)

    def write(self, resource: Resource, version: str = "11", name: str = "a") -> None:
        self.store.wrote_at(name, resource, version)

    def after(self, seconds: float) -> list[Resource]:
        """Let time pass and look; return the kinds whose watch was replaced."""
        self.clock.step(seconds)
        self.replaced.clear()
        self.dog.look()
        return self.replaced


@pytest.fixture
def world() -> World:
    return World()


def test_a_watch_that_brings_our_writes_is_left_alone(world: World) -> None:
    world.write(SERVICES)
    world.caches[SERVICES].resource_version = "11"
    with capture_logs() as logs:
        assert world.after(PATIENCE) == []
    assert logs == []


def test_a_write_that_does_not_come_back_in_time_costs_the_watch(world: World) -> None:
    world.write(SERVICES)
    assert world.after(PATIENCE - 0.1) == []
    with capture_logs() as logs:
        assert world.after(0.1) == [SERVICES]
    assert [(log["log_level"], log["event"], log["kind"]) for log in logs] == [
        ("warning", "write_not_seen_yet", "Service")
    ]


def test_the_next_watch_gets_its_time_as_well(world: World) -> None:
    world.write(SERVICES)
    assert world.after(PATIENCE) == [SERVICES]
    assert world.after(PATIENCE - 0.1) == []
    assert world.after(0.1) == [SERVICES]
    # However many storages wait, and whatever has been written since.
    world.write(SERVICES, "12", "b")
    assert world.after(PATIENCE) == [SERVICES]


def test_a_watch_that_is_in_the_midst_of_something_is_left_to_it(world: World) -> None:
    """A list that takes minutes, which would begin anew each time."""
    world.write(SERVICES)
    for _ in range(9):
        assert world.after(PATIENCE - 0.1) == []
        world.watches[SERVICES].message()
    assert world.after(PATIENCE - 0.1) == []
    assert world.after(0.1) == [SERVICES]


def test_each_kind_is_judged_by_itself(world: World) -> None:
    world.write(SERVICES)
    world.clock.step(PATIENCE / 2)
    world.write(REPLICA_SETS)
    assert world.after(PATIENCE / 2) == [SERVICES]
    assert world.after(PATIENCE / 2) == [REPLICA_SETS]


def test_what_never_comes_is_given_up(world: World) -> None:
    """As after a restore of etcd from a backup: its versions begin anew further below."""
    world.write(SERVICES)
    assert world.after(GIVE_UP - 0.1) == [SERVICES]
    with capture_logs() as logs:
        assert world.after(0.1) == []
    assert [log["event"] for log in logs] == ["write_never_seen"]
    world.store.ensure_ready("a")
    assert world.after(GIVE_UP) == []


def test_what_is_new_is_waited_for_when_the_old_is_given_up(world: World) -> None:
    world.write(SERVICES)
    world.clock.step(GIVE_UP - 0.1)
    world.write(SERVICES, "12", "b")
    assert world.after(0.1) == []
    world.store.ensure_ready("a")
    with pytest.raises(CacheBehind):
        world.store.ensure_ready("b")
