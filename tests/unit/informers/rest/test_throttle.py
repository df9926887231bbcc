"""The client's own limit: what it costs, in the time of a clock."""

import threading

import pytest
from structlog.testing import capture_logs

from informers.rest.throttle import Throttle
from tests.support.clock import FakeClock
from tests.support.listerwatcher import InstantClock

OPEN = threading.Event()
FOR_EVER = float("inf")


def test_a_burst_is_free_and_then_each_request_waits_its_turn(instant: InstantClock) -> None:
    throttle = Throttle(5.0, 3, clock=instant)
    waits = [throttle.wait("GET /", FOR_EVER, OPEN) for _ in range(6)]
    assert waits == pytest.approx([0, 0, 0, 0.2, 0.2, 0.2])
    assert instant.waits == pytest.approx([0.2, 0.2, 0.2])


def test_what_is_not_used_is_saved_up_to_a_burst(instant: InstantClock) -> None:
    throttle = Throttle(5.0, 2, clock=instant)
    for _ in range(2):
        throttle.wait("GET /", FOR_EVER, OPEN)
    instant.now += 3600
    waits = [throttle.wait("GET /", FOR_EVER, OPEN) for _ in range(3)]
    assert waits == pytest.approx([0, 0, 0.2])


def test_waits_of_several_threads_add_up(clock: FakeClock) -> None:
    throttle = Throttle(1.0, 1, clock=clock)
    throttle.wait("GET /", FOR_EVER, OPEN)
    waited: list[float | None] = []
    threads = [
        threading.Thread(target=lambda: waited.append(throttle.wait("GET /", FOR_EVER, OPEN)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    clock.await_waiters(3)
    clock.step(3)
    for thread in threads:
        thread.join(5)
    assert sorted(map(float, filter(None, waited))) == [1.0, 2.0, 3.0]


def test_a_wait_that_would_be_too_long_is_not_begun_and_costs_no_turn(
    instant: InstantClock,
) -> None:
    throttle = Throttle(1.0, 1, clock=instant)
    throttle.wait("GET /", FOR_EVER, OPEN)
    for _ in range(9):
        assert throttle.wait("GET /", 0.9, OPEN) is None
    assert instant.waits == []
    assert throttle.wait("GET /", 1.0, OPEN) == 1.0


def test_a_turn_that_is_free_needs_no_time(instant: InstantClock) -> None:
    assert Throttle(1.0, 1, clock=instant).wait("GET /", -1.0, OPEN) == 0


def test_closing_ends_a_wait(clock: FakeClock) -> None:
    throttle, closed = Throttle(1.0, 1, clock=clock), threading.Event()
    throttle.wait("GET /", FOR_EVER, closed)
    thread = threading.Thread(target=throttle.wait, args=("GET /", FOR_EVER, closed))
    thread.start()
    clock.await_waiters()
    closed.set()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("qps", "level"),
    [(1000.0, None), (21.0, None), (19.0, "debug"), (1.0, "debug"), (0.9, "info")],
)
def test_long_waits_are_told_and_longer_ones_more_loudly(
    instant: InstantClock, qps: float, level: str | None
) -> None:
    throttle = Throttle(qps, 1, clock=instant)
    throttle.wait("GET /", FOR_EVER, OPEN)
    with capture_logs() as logs:
        throttle.wait("PATCH /api/v1/pods/a", FOR_EVER, OPEN)
    assert [(log["log_level"], log["request"]) for log in logs] == (
        [(level, "PATCH /api/v1/pods/a")] if level else []
    )


@pytest.mark.parametrize(
    ("qps", "burst"), [(0.0, 1), (-1.0, 1), (float("inf"), 1), (float("nan"), 1), (1.0, 0)]
)
def test_what_is_no_limit_is_refused(clock: FakeClock, qps: float, burst: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        Throttle(qps, burst, clock=clock)
