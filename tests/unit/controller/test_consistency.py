"""What a storage waits for: the versions of our own writes, cache by cache."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from controller.consistency import LATEST, SOONEST, CacheBehind, ConsistencyStore
from controller.resources import ETCD_STORAGES, PODS, REPLICA_SETS, SERVICES
from informers import Resource
from tests.support.clock import FakeClock


@dataclass
class FakeCache:
    resource_version: str = "10"


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.caches = {kind: FakeCache() for kind in (ETCD_STORAGES, REPLICA_SETS, SERVICES)}
        self.store = ConsistencyStore(self.caches, self.clock)

    def reaches(self, resource: Resource, version: str) -> None:
        self.caches[resource].resource_version = version

    def behind(self, name: str = "a") -> str:
        """Return the kind that `name` has to wait for, "" if none."""
        try:
            self.store.ensure_ready(name)
        except CacheBehind as behind:
            return behind.resource.kind
        return ""


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("reached", "written", "ready"),
    [
        ("10", "9", True),
        ("10", "10", True),
        ("10", "11", False),
        # As numbers: as text each of these would be the other way round.
        ("9", "10", False),
        ("100", "99", True),
        ("10", "18446744073709551616", False),
    ],
)
def test_a_storage_waits_until_the_cache_is_as_new_as_the_write(
    world: World, reached: str, written: str, *, ready: bool
) -> None:
    world.reaches(REPLICA_SETS, reached)
    world.store.wrote_at("a", REPLICA_SETS, written)
    assert (world.behind() == "") is ready
    world.reaches(REPLICA_SETS, written)
    assert world.behind() == ""


@pytest.mark.parametrize("version", ["", "0x1f", "-1", "1.5", "latest", "²"])
def test_what_is_no_number_blocks_nobody(world: World, version: str) -> None:
    world.store.wrote_at("a", SERVICES, version)
    assert world.behind() == ""
    world.store.wrote_at("a", SERVICES, "11")
    world.reaches(SERVICES, version)
    assert world.behind() == ""


def test_a_kind_without_a_cache_blocks_nobody(world: World) -> None:
    world.store.wrote_at("a", PODS, "11")
    assert world.behind() == ""


def test_every_cache_is_waited_for_and_each_by_itself(world: World) -> None:
    world.store.wrote_at("a", REPLICA_SETS, "11")
    world.store.wrote_at("a", SERVICES, "12")
    world.reaches(REPLICA_SETS, "99")
    assert world.behind() == "Service"
    world.store.wrote_at("a", ETCD_STORAGES, "13")
    world.reaches(SERVICES, "12")
    assert world.behind() == "EtcdStorage"
    world.reaches(ETCD_STORAGES, "13")
    assert world.behind() == ""


def test_the_newest_write_of_a_kind_counts(world: World) -> None:
    for version in ("12", "15", "14", "15"):
        world.store.wrote_at("a", SERVICES, version)
    world.reaches(SERVICES, "14")
    assert world.behind() == "Service"
    world.reaches(SERVICES, "15")
    assert world.behind() == ""


def test_storages_do_not_wait_for_each_other(world: World) -> None:
    world.store.wrote_at("a", SERVICES, "11")
    assert (world.behind("a"), world.behind("b")) == ("Service", "")


def test_what_was_reached_is_not_kept_however_it_was_found_out(world: World) -> None:
    for name in ("a", "b"):
        world.store.wrote_at(name, SERVICES, "11")
    world.reaches(SERVICES, "11")
    world.store.ensure_ready("a")
    assert [*world.store._storages] == ["b"]
    assert world.store.waiting() == {}
    assert world.store._storages == {}
    # A cache that then shows an older version again is a matter of the server's, not of ours.
    world.reaches(SERVICES, "10")
    assert world.behind() == ""


def test_the_last_write_is_known_until_it_is_reached(world: World) -> None:
    world.store.wrote_at("a", ETCD_STORAGES, "11")
    world.store.wrote_at("a", SERVICES, "12")
    assert world.store.wrote_last("a", ETCD_STORAGES, "11")
    for name, kind, version in (("a", SERVICES, "11"), ("b", ETCD_STORAGES, "11")):
        assert not world.store.wrote_last(name, kind, version)
    world.reaches(ETCD_STORAGES, "11")
    assert world.behind() == SERVICES.kind
    assert not world.store.wrote_last("a", ETCD_STORAGES, "11")


def test_looks_get_rarer_the_longer_it_takes(world: World) -> None:
    world.store.wrote_at("a", SERVICES, "11")
    delays = []
    for _ in range(14):
        with pytest.raises(CacheBehind, match="Service") as behind:
            world.store.ensure_ready("a")
        delays.append(behind.value.again_after)
        world.clock.step(delays[-1])
    assert delays[:5] == pytest.approx([SOONEST, 0.005, 0.01, 0.02, 0.04])
    assert delays[-2:] == [LATEST, LATEST]


def test_the_oldest_write_tells_how_long_a_cache_has_been_behind(world: World) -> None:
    world.store.wrote_at("a", SERVICES, "11")
    world.clock.step(20)
    world.store.wrote_at("b", SERVICES, "12")
    world.store.wrote_at("b", REPLICA_SETS, "13")
    world.clock.step(5)
    # The answer to a patch that changed nothing makes the wait no shorter.
    world.store.wrote_at("a", SERVICES, "11")
    assert world.store.waiting() == {SERVICES: 25.0, REPLICA_SETS: 5.0}
    world.reaches(SERVICES, "11")
    assert world.store.waiting() == {SERVICES: 5.0, REPLICA_SETS: 5.0}


def test_a_kind_that_is_given_up_blocks_nobody_until_the_next_write(world: World) -> None:
    for name in ("a", "b"):
        world.store.wrote_at(name, SERVICES, "11")
    world.store.wrote_at("b", REPLICA_SETS, "12")
    world.store.give_up(SERVICES, 0.0)
    assert [*world.store._storages] == ["b"]
    assert (world.behind("a"), world.behind("b")) == ("", "ReplicaSet")
    world.store.wrote_at("a", SERVICES, "13")
    assert world.behind("a") == "Service"


def test_what_was_written_only_now_is_not_given_up_with_the_rest(world: World) -> None:
    world.store.wrote_at("a", SERVICES, "11")
    world.clock.step(20)
    world.store.wrote_at("b", SERVICES, "12")
    world.clock.step(10)
    world.store.give_up(SERVICES, 30.0)
    assert (world.behind("a"), world.behind("b")) == ("", "Service")
    assert world.store.waiting() == {SERVICES: 10.0}


@pytest.fixture
def hasty() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_no_write_gets_lost_between_threads(world: World, hasty: None) -> None:
    """As between the workers, of which each has a storage, and the watchdog, which has all."""

    def work(name: str) -> None:
        for version in range(11, 1000):
            world.store.wrote_at(name, SERVICES, str(version))
            assert world.behind(name) == "Service"
            world.store.waiting()

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(work, "abcd")] == [None] * 4
