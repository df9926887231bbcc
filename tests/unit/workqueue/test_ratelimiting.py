"""The case of client-go's rate_limiting_queue_test.go, and those that it lacks."""

from collections.abc import Iterator

import pytest

from tests.support.clock import FakeClock
from workqueue.limiters import ItemExponentialFailureRateLimiter
from workqueue.ratelimiting import RateLimitingQueue


@pytest.fixture
def queue(_no_stray_threads: None, clock: FakeClock) -> Iterator[RateLimitingQueue[str]]:
    limiter = ItemExponentialFailureRateLimiter[str](1.0, 1000.0)
    queue = RateLimitingQueue(limiter, "storages", clock=clock)
    yield queue
    queue.shut_down()


def seconds_until_ready(queue: RateLimitingQueue[str], clock: FakeClock) -> int:
    """Steps of a second until the one item that waits is there; takes it."""
    start = clock.monotonic()
    while not len(queue):
        assert clock.monotonic() < start + 100.0
        clock.step_under(queue._lock, 1.0)
    queue.done(queue.get())
    return round(clock.monotonic() - start)


def test_delays_grow_for_each_item_until_it_is_forgotten(
    queue: RateLimitingQueue[str], clock: FakeClock
) -> None:
    waited = []
    for item in ("one", "one", "one", "two", "two"):
        queue.add_rate_limited(item)
        waited.append((item, seconds_until_ready(queue, clock)))
    assert waited == [("one", 1), ("one", 2), ("one", 4), ("two", 1), ("two", 2)]
    assert (queue.num_requeues("one"), queue.num_requeues("two")) == (3, 2)
    queue.forget("one")
    assert (queue.num_requeues("one"), queue.num_requeues("two")) == (0, 2)
    queue.add_rate_limited("one")
    assert seconds_until_ready(queue, clock) == 1


def test_forget_and_done_are_two_things(queue: RateLimitingQueue[str], clock: FakeClock) -> None:
    queue.add_rate_limited("one")
    seconds_until_ready(queue, clock)
    assert queue.num_requeues("one") == 1, "done forgets nothing"
    queue.add("one")
    queue.get()
    queue.forget("one")
    queue.add("one")
    assert len(queue) == 0, "forget gives nothing back"
    queue.done("one")
    assert len(queue) == 1


def test_an_item_that_failed_while_it_was_processed(
    queue: RateLimitingQueue[str], clock: FakeClock
) -> None:
    queue.add("one")
    queue.get()
    queue.add_rate_limited("one")
    queue.done("one")
    assert len(queue) == 0, "it waits"
    assert seconds_until_ready(queue, clock) == 1


def test_what_failed_keeps_the_priority_that_it_came_with(
    queue: RateLimitingQueue[str], clock: FakeClock
) -> None:
    queue.add("low", priority=-1)
    queue.add("high", priority=1)
    for item in (queue.get(), queue.get()):
        queue.add_rate_limited(item)
        queue.done(item)
    queue.add_rate_limited("nobody's")
    clock.step_under(queue._lock, 1.0)
    queue.add("new")
    assert [queue.get() for _ in range(4)] == ["high", "nobody's", "new", "low"]


def test_what_changed_while_it_was_processed_does_not_wait_for_the_retry(
    queue: RateLimitingQueue[str], clock: FakeClock
) -> None:
    queue.add("one", priority=-1)
    queue.get()
    queue.add("one", priority=1)
    queue.add_rate_limited("one")
    queue.add("two")
    queue.done("one")
    assert queue.get() == "one"
    queue.done("one")
    queue.add("three", priority=-1)
    clock.step_under(queue._lock, 1.0)
    assert [queue.get() for _ in range(3)] == ["two", "three", "one"], "the retry is a low one"
