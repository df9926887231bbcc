"""Places for calls: never more than there are, and no longer wait than wanted."""

import threading

import pytest

from informers.rest.slots import Slots
from tests.support.clock import FakeClock


@pytest.fixture
def slots(_no_stray_threads: None, clock: FakeClock) -> Slots:
    return Slots(2, clock=clock)


def taking(slots: Slots, longest: float = 10.0) -> tuple[threading.Thread, list[bool]]:
    got: list[bool] = []
    thread = threading.Thread(target=lambda: got.append(slots.take(longest)))
    thread.start()
    return thread, got


def test_the_next_one_waits_until_a_place_is_given_back(slots: Slots, clock: FakeClock) -> None:
    assert slots.take(0)
    assert slots.take(0)
    thread, got = taking(slots)
    clock.await_waiters()
    assert got == []
    slots.give_back()
    thread.join(5)
    assert got == [True]
    assert not slots.take(0)


def test_who_has_waited_long_enough_goes_without(slots: Slots, clock: FakeClock) -> None:
    slots.take(0)
    slots.take(0)
    thread, got = taking(slots, 7.0)
    clock.await_waiters()
    clock.step(6.9)
    clock.await_waiters()
    assert got == []
    clock.step(0.1)
    thread.join(5)
    assert got == [False]
    slots.give_back()
    assert slots.take(0)
