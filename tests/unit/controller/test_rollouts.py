"""Slots for rolls: who gets one, who waits, and what a stuck roll does to the others."""

from typing import Any

import pytest

from controller.dataplane.rolling import Stage
from controller.rollouts import TRIAL, Rollouts, rolling_now
from tests.support.clock import FakeClock
from tests.support.objects import desired_of, owned_by, pod, read

Json = dict[str, Any]

OUTDATED, ROLLING, STUCK = Stage.OUTDATED, Stage.ROLLING, Stage.STUCK
SETTLED, NOTHING = Stage.SETTLED, Stage.NOTHING


class Fleet:
    """Rollouts, and the names that were woken since the last look at them."""

    def __init__(self, limit: int) -> None:
        self.clock = FakeClock()
        self.woken: list[str] = []
        self.rollouts = Rollouts(limit, self.clock, self.woken.append)

    def ask(self, name: str, stage: Stage = OUTDATED, revision: str = "b") -> bool:
        self.woken.clear()
        return self.rollouts.may_roll(name, revision, stage)

    def leave(self, name: str) -> None:
        self.woken.clear()
        self.rollouts.leave(name)

    def begin(self, *names: str, revision: str = "b") -> None:
        for name in names:
            assert self.ask(name, revision=revision), name

    def get_stuck(self, *names: str) -> None:
        for name in names:
            assert self.ask(name, STUCK), name


def test_no_more_than_the_limit_roll_and_the_others_wait() -> None:
    fleet = Fleet(2)
    assert [fleet.ask(name) for name in "abcd"] == [True, True, False, False]
    assert fleet.ask("a", ROLLING)
    assert not fleet.ask("c")


def test_without_a_limit_nobody_waits() -> None:
    fleet = Fleet(0)
    fleet.begin(*"abcdefg")
    fleet.leave("a")


def test_who_has_nothing_to_roll_needs_no_slot_and_takes_none() -> None:
    fleet = Fleet(1)
    for stage in (NOTHING, SETTLED):
        assert fleet.ask("a", stage)
        assert fleet.ask("b", stage)
    fleet.begin("c")
    assert fleet.ask("a", SETTLED)


@pytest.mark.parametrize("stage", [SETTLED, NOTHING])
def test_at_its_end_a_roll_hands_its_slot_to_the_first_in_line(stage: Stage) -> None:
    fleet = Fleet(1)
    fleet.begin("a")
    for name in "zyx":
        assert not fleet.ask(name)
    fleet.ask("a", stage)
    assert fleet.woken == ["z"]
    assert not fleet.ask("y"), "it is not its turn"
    assert fleet.ask("z")
    assert fleet.woken == []


def test_a_place_in_line_is_kept_however_often_it_is_asked_for() -> None:
    fleet = Fleet(1)
    fleet.begin("a")
    for name in ("b", "c", "b", "b"):
        assert not fleet.ask(name)
    fleet.ask("a", SETTLED)
    assert fleet.woken == ["b"]


def test_who_leaves_gives_back_slot_and_place() -> None:
    fleet = Fleet(1)
    fleet.begin("a")
    for name in "bcd":
        assert not fleet.ask(name)
    fleet.leave("b")
    assert fleet.woken == []
    fleet.leave("a")
    assert fleet.woken == ["c"]
    fleet.leave("c")
    assert fleet.woken == ["d"]
    fleet.leave("nobody")


def test_who_waits_no_more_lets_the_next_one_go() -> None:
    """Its revision may have been taken back."""
    fleet = Fleet(1)
    fleet.begin("a")
    for name in "bc":
        assert not fleet.ask(name)
    fleet.ask("a", SETTLED)
    assert fleet.ask("b", SETTLED)
    assert fleet.woken == ["c"]


def test_another_revision_in_the_middle_stays_in_its_slot() -> None:
    fleet = Fleet(1)
    fleet.begin("a")
    assert not fleet.ask("b")
    assert fleet.ask("a", OUTDATED, "c")
    assert not fleet.ask("b")


def test_one_that_was_refused_in_the_middle_waits_for_its_turn_again() -> None:
    fleet = Fleet(1)
    fleet.begin("a")
    assert not fleet.ask("b")
    fleet.leave("a")
    fleet.begin("b")
    assert not fleet.ask("a", ROLLING)


# After a start.


def test_who_was_rolling_holds_its_slot_over_a_restart() -> None:
    fleet = Fleet(2)
    fleet.rollouts.restore({"a": "b", "b": "b"})
    assert not fleet.ask("c")
    assert fleet.ask("a", ROLLING)
    assert fleet.ask("b", OUTDATED, "c")
    fleet.ask("a", SETTLED)
    assert fleet.woken == ["c"]


def test_of_more_than_the_limit_none_begins_anew_without_a_slot() -> None:
    """The limit may be lower now; what is in the middle with its revision goes on."""
    fleet = Fleet(2)
    fleet.rollouts.restore(dict.fromkeys("abcd", "b"))
    assert fleet.ask("a", ROLLING)
    assert [fleet.ask(name, OUTDATED, "c") for name in "bcd"] == [False, False, True]
    assert fleet.ask("a", ROLLING)
    fleet.ask("a", SETTLED)
    assert fleet.woken == ["b"]


# Stuck rolls.


def test_as_many_stuck_rolls_as_there_are_slots_stop_the_others() -> None:
    fleet = Fleet(2)
    fleet.begin(*"ab")
    assert not fleet.ask("c")
    fleet.clock.step(TRIAL - 1)
    fleet.get_stuck(*"ab")
    assert fleet.woken == []
    assert not fleet.ask("c")


def test_a_stuck_roll_goes_on_with_the_next_revision_in_its_slot() -> None:
    fleet = Fleet(1)
    fleet.begin("a")
    fleet.get_stuck("a")
    assert not fleet.ask("b")
    fleet.begin("a", revision="mended")
    assert not fleet.ask("b")


def test_a_stuck_roll_counts_no_more_once_a_later_one_has_ended_well() -> None:
    fleet = Fleet(2)
    fleet.begin(*"ab")
    fleet.get_stuck("a")
    assert [fleet.ask(name) for name in "cd"] == [False, False]
    fleet.ask("b", SETTLED)
    assert fleet.woken == ["c", "d"], "b began after a"
    fleet.begin(*"cd")
    assert fleet.ask("a", STUCK), "its trouble is its own, and it may go on when that is over"
    assert not fleet.ask("e")


def test_an_earlier_roll_that_ended_well_proves_nothing() -> None:
    """It may have had what worked, and the later one what does not."""
    fleet = Fleet(2)
    fleet.begin(*"ab")
    assert not fleet.ask("c")
    fleet.ask("b", OUTDATED, "broken")
    fleet.ask("a", SETTLED)
    fleet.begin("c")
    fleet.get_stuck("b")
    assert not fleet.ask("d")


def test_a_roll_that_ended_with_no_pod_ready_proves_nothing() -> None:
    fleet = Fleet(2)
    fleet.begin(*"ab")
    fleet.get_stuck("a")
    assert not fleet.ask("c")
    fleet.ask("b", NOTHING)
    assert fleet.woken == ["c"]
    fleet.begin("c")
    assert not fleet.ask("d")


def test_one_that_is_excused_counts_again_when_it_goes_on() -> None:
    fleet = Fleet(1)
    fleet.begin("a")
    fleet.get_stuck("a")
    fleet.clock.step(TRIAL)
    fleet.begin("b")
    fleet.ask("b", SETTLED)
    assert fleet.ask("a", ROLLING)
    assert not fleet.ask("c")


def test_one_that_is_excused_waits_with_another_revision() -> None:
    fleet = Fleet(1)
    fleet.begin("a")
    fleet.get_stuck("a")
    fleet.clock.step(TRIAL)
    fleet.begin("b")
    fleet.ask("b", SETTLED)
    fleet.begin("c")
    assert not fleet.ask("a", OUTDATED, "c")


def test_with_all_slots_stuck_one_more_is_tried_after_longer_and_longer_times() -> None:
    fleet = Fleet(2)
    fleet.begin(*"ab")
    fleet.get_stuck(*"ab")
    for name in "cdefg":
        assert not fleet.ask(name)
    for doubled, name in enumerate("cdef"):
        fleet.clock.step(TRIAL * 2**doubled - 1)
        fleet.get_stuck("a")
        assert fleet.woken == []
        fleet.clock.step(1)
        fleet.get_stuck("a")
        assert fleet.woken == [name]
        fleet.begin(name)
        assert not fleet.ask("g"), "one at a time"
        fleet.get_stuck(name)


def test_no_trial_is_made_while_one_of_the_rolls_is_not_stuck() -> None:
    fleet = Fleet(2)
    fleet.begin(*"ab")
    fleet.get_stuck("a")
    fleet.clock.step(9 * TRIAL)
    assert fleet.ask("b", ROLLING)
    assert not fleet.ask("c")


def test_a_trial_that_ends_well_lets_the_fleet_go_on() -> None:
    fleet = Fleet(2)
    fleet.begin(*"ab")
    fleet.get_stuck(*"ab")
    for name in "cdef":
        assert not fleet.ask(name)
    fleet.clock.step(TRIAL)
    fleet.begin("c")
    fleet.ask("c", SETTLED)
    assert fleet.woken == ["d", "e"]
    fleet.begin(*"de")
    # And the next time that all are stuck, the first trial is as soon as this one was.
    fleet.get_stuck(*"de")
    fleet.clock.step(TRIAL)
    fleet.begin("f")


def test_a_template_that_cannot_be_written_is_stuck_as_well() -> None:
    fleet = Fleet(1)
    fleet.begin("a")
    assert not fleet.ask("b")
    fleet.clock.step(TRIAL)
    assert fleet.ask("a", OUTDATED)
    assert fleet.woken == ["b"]


# Who is in the middle of a roll.


def test_who_is_in_the_middle_of_a_roll_is_read_from_the_objects() -> None:
    replica_set = owned_by(read(), desired_of().replica_set)
    replica_set["metadata"]["uid"] = "uid-rs"
    revision = desired_of().revision
    stranger = {**replica_set, "metadata": {**replica_set["metadata"], "name": "other"}}
    pods: dict[str, list[Json]] = {"etcd-name": [pod("a", revision, owner_uid="uid-rs")]}

    def found() -> dict[str, str | None]:
        return rolling_now([replica_set, stranger], lambda name: pods[name])

    assert found() == {}
    pods["etcd-name"].append(pod("b", "older", owner_uid="another"))
    assert found() == {}
    pods["etcd-name"].append(pod("c", "older", owner_uid="uid-rs"))
    assert found() == {"etcd-name": revision}
