"""Delays of a reflector."""

import random

from informers.backoff import Backoff
from tests.support.clock import FakeClock


class NoJitter(random.Random):
    def random(self) -> float:
        return 0.0


def test_delays_double_up_to_the_cap(clock: FakeClock) -> None:
    backoff = Backoff(clock, NoJitter())
    assert [backoff.next_delay() for _ in range(8)] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]


def test_delays_are_stretched_by_up_to_twice(clock: FakeClock) -> None:
    firsts = [Backoff(clock, random.Random(n)).next_delay() for n in range(200)]
    assert 0.8 <= min(firsts) < 0.85
    assert 1.55 < max(firsts) <= 1.6


def test_what_a_server_asks_for_is_a_least_and_stretched_too(clock: FakeClock) -> None:
    """Or all that it sent away would be back at the same moment."""
    waits = [Backoff(clock, random.Random(n)).next_delay(40.0) for n in range(200)]
    assert 40 <= min(waits) < 41
    assert 79 < max(waits) <= 80


def test_less_than_it_takes_anyhow_need_not_be_asked_for(clock: FakeClock) -> None:
    backoff = Backoff(clock, NoJitter())
    assert [backoff.next_delay(1.0) for _ in range(3)] == [1.0, 1.6, 3.2]


def test_the_wait_that_a_server_asks_for_is_no_calm(clock: FakeClock) -> None:
    backoff = Backoff(clock, NoJitter())
    for _ in range(5):
        clock.step(backoff.next_delay(60.0) + 100)
    assert backoff.next_delay() == 25.6


def test_calm_starts_it_anew(clock: FakeClock) -> None:
    backoff = Backoff(clock, NoJitter())
    for _ in range(5):
        clock.step(backoff.next_delay())
    clock.step(120)
    assert backoff.next_delay() == 25.6
    clock.step(25.6 + 120.1)
    assert backoff.next_delay() == 0.8


def test_failure_without_end_is_no_calm(clock: FakeClock) -> None:
    """However long it lasts in all."""
    backoff = Backoff(clock, NoJitter())
    delays = []
    for _ in range(50):
        delays.append(backoff.next_delay())
        clock.step(delays[-1] + 40)
    assert delays[6:] == [30.0] * 44
