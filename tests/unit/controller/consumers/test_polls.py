"""When a look is due, by a clock that the test moves."""

import math
import random

import pytest

from controller.consumers.polls import FIRST_RETRY, JITTER, LAST_RETRY, POLL, Polls
from tests.support.clock import FakeClock
from tests.support.deliveries import BUNDLE, PAIR


class World:
    def __init__(self, seed: int = 1) -> None:
        self.clock = FakeClock()
        self.polls = Polls[str](self.clock, random.Random(seed))

    def holds(self, version: str = "v") -> bool:
        return self.polls.fresh("a", PAIR, version) is not None

    def again(self) -> float:
        return self.polls.again("a", [PAIR])


def test_nothing_is_known_at_first() -> None:
    world = World()
    assert not world.holds()
    assert world.again() == math.inf
    assert world.polls.last("a", PAIR) is None


def test_a_good_find_holds_until_its_poll_and_for_one_version_of_one_storage() -> None:
    world = World()
    world.polls.good("a", PAIR, "v", "found")
    assert world.polls.fresh("a", PAIR, "v") == "found"
    assert not world.holds("other")
    assert world.polls.fresh("b", PAIR, "v") is None
    assert world.polls.fresh("a", BUNDLE, "v") is None
    world.clock.step(world.again() - 1)
    assert world.holds()
    world.clock.step(1)
    assert not world.holds()
    assert world.again() == 0
    assert world.polls.last("a", PAIR) == "found"


def test_what_is_kept_leaves_no_trace_of_the_others() -> None:
    world = World()
    world.polls.good("a", PAIR, "v", "found")
    world.polls.bad("a", BUNDLE, "v", "found")
    world.polls.keep_only("a", [PAIR])
    assert world.holds()
    assert world.polls.last("a", BUNDLE) is None
    world.polls.keep_only("a", [])
    world.polls.keep_only("b", [PAIR])
    assert (world.polls._records, world.polls._failures.num_requeues(("a", BUNDLE))) == ({}, 0)


@pytest.mark.parametrize("seed", range(20))
def test_polls_are_spread_the_first_ones_over_all_of_the_time(seed: int) -> None:
    world = World(seed)
    world.polls.good("a", PAIR, "v", "found")
    assert 0 <= world.again() <= POLL * (1 + JITTER)
    world.polls.good("a", PAIR, "v", "found")
    assert POLL * (1 - JITTER) <= world.again() <= POLL * (1 + JITTER)


def test_the_first_polls_after_a_start_fall_into_every_part_of_the_time() -> None:
    found = []
    for seed in range(100):
        world = World(seed)
        world.polls.good("a", PAIR, "v", "found")
        found.append(world.again())
    parts = [sum(int(again // (POLL / 4)) == part for again in found) for part in range(4)]
    assert all(part > 10 for part in parts)


def test_a_find_holds_no_longer_than_what_was_delivered() -> None:
    world = World()
    world.polls.good("a", PAIR, "v", "found")
    world.polls.good("a", PAIR, "v", "found", until=7)
    assert world.again() == 7


def test_failures_wait_longer_each_time_and_no_longer_than_a_poll() -> None:
    world = World()
    waits = []
    for _ in range(12):
        world.polls.bad("a", PAIR, "v", "failed")
        assert world.polls.fresh("a", PAIR, "v") == "failed"
        waits.append(world.again())
        world.clock.step(world.again())
    assert FIRST_RETRY * (1 - JITTER) <= waits[0] <= FIRST_RETRY
    assert waits[4] > waits[0] * 8
    assert max(waits) <= LAST_RETRY
    world.polls.good("a", PAIR, "v", "found")
    world.polls.bad("a", PAIR, "v", "failed")
    assert world.again() <= FIRST_RETRY


def test_what_is_settled_is_not_looked_at_again() -> None:
    world = World()
    world.polls.settle("a", PAIR, "v", "found")
    world.clock.step(1e9)
    assert world.holds()
    assert not world.holds("other")
    assert world.again() == math.inf


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    world = World()
    for consumer in (PAIR, BUNDLE):
        world.polls.bad("a", consumer, "v", "failed")
        world.polls.bad("a", consumer, "v", "failed")
    world.polls.forget("a", [PAIR])
    assert not world.holds()
    assert world.polls.fresh("a", BUNDLE, "v") == "failed"
    world.polls.forget("a")
    world.polls.forget("b")
    assert world.polls.last("a", BUNDLE) is None
    assert world.polls._records == {}
    world.polls.bad("a", PAIR, "v", "failed")
    assert world.again() <= FIRST_RETRY


def test_a_find_in_a_known_version_comes_back_by_a_look_alone() -> None:
    world = World()
    world.polls.good("a", PAIR, "v", "found", seen="7")
    assert world.again() == math.inf
    (due,) = world.polls.due(POLL * (1 + JITTER))
    assert (due.storage, due.consumer, due.record.seen) == ("a", PAIR, "7")
    world.clock.step(POLL * (1 + JITTER))
    assert not world.holds()
    world.polls.confirm(due)
    assert world.holds()
    assert world.polls.due(POLL * (1 - JITTER)) == []
    assert len(world.polls.due(POLL * (1 + JITTER) + 1)) == 1


def test_a_find_that_is_in_doubt_holds_no_longer_and_is_looked_at_no_more() -> None:
    world = World()
    world.polls.good("a", PAIR, "v", "found", seen="7")
    (due,) = world.polls.due(math.inf)
    assert world.polls.doubt(due)
    assert not world.holds()
    assert (world.again(), world.polls.due(math.inf)) == (0, [])
    assert world.polls.last("a", PAIR) == "found"


def test_a_look_at_what_was_found_anew_meanwhile_counts_for_nothing() -> None:
    world = World()
    world.polls.good("a", PAIR, "v", "found", seen="7")
    (due,) = world.polls.due(math.inf)
    world.polls.good("a", PAIR, "v", "found", until=5, seen="8")
    assert not world.polls.doubt(due)
    world.polls.confirm(due)
    assert [each.record.seen for each in world.polls.due(math.inf)] == ["8"]
    assert world.again() == 5
    world.polls.forget("a")
    world.polls.confirm(due)
    assert world.polls.due(math.inf) == []


def test_those_that_are_due_longest_come_first() -> None:
    world = World()
    for name in "abcdef":
        world.polls.good(name, PAIR, "v", "found", seen="7")
    world.polls.bad("g", PAIR, "v", "failed")
    looks = [due.record.look for due in world.polls.due(math.inf)]
    assert (len(looks), looks) == (6, sorted(looks))
