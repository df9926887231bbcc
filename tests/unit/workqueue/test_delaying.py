"""The cases of client-go's delaying_queue_test.go, and those that it lacks."""

import math
import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from workqueue.clock import Clock, RealClock
from workqueue.delaying import DelayingQueue, _WaitingItems
from workqueue.queue import ShutDown


@pytest.fixture
def queue(_no_stray_threads: None, clock: FakeClock) -> Iterator[DelayingQueue[str]]:
    queue: DelayingQueue[str] = DelayingQueue("storages", clock=clock)
    yield queue
    queue.shut_down()


@pytest.fixture
def step(queue: DelayingQueue[str], clock: FakeClock) -> Callable[[float], list[str]]:
    """Let time pass; returns what became ready by it."""

    def pass_time(seconds: float) -> list[str]:
        clock.step_under(queue._lock, seconds)
        items = [queue.get() for _ in range(len(queue))]
        for item in items:
            queue.done(item)
        return items

    return pass_time


Step = Callable[[float], list[str]]


def test_an_item_comes_when_its_time_has_come(queue: DelayingQueue[str], step: Step) -> None:
    queue.add_after("a", 5.0)
    assert [step(s) for s in (0.0, 4.9, 0.2, 60.0)] == [[], [], ["a"], []]


def test_what_waits_is_not_in_line(queue: DelayingQueue[str], step: Step) -> None:
    queue.add_after("a", 5.0)
    queue.add("b")
    assert len(queue) == 1
    assert step(5.0) == ["b", "a"]


def test_items_come_in_the_order_of_their_times(queue: DelayingQueue[str], step: Step) -> None:
    for item, delay in (("c", 3.0), ("a", 1.0), ("d", 9.0), ("b", 2.0), ("b2", 2.0)):
        queue.add_after(item, delay)
    assert step(1.0) == ["a"]
    assert step(5.0) == ["b", "b2", "c"]
    assert step(3.0) == ["d"]


def test_a_later_time_is_ignored(queue: DelayingQueue[str], step: Step) -> None:
    queue.add_after("a", 5.0)
    queue.add_after("a", 7.0)
    assert [step(5.0), step(5.0)] == [["a"], []]


def test_an_earlier_time_replaces(queue: DelayingQueue[str], step: Step) -> None:
    queue.add_after("a", 7.0)
    queue.add_after("a", 5.0)
    assert [step(5.0), step(5.0)] == [["a"], []]


def test_an_item_can_wait_again(queue: DelayingQueue[str], step: Step) -> None:
    queue.add_after("a", 7.0)
    queue.add_after("a", 5.0)
    assert step(5.0) == ["a"]
    queue.add_after("a", 2.0)
    assert [step(2.0), step(5.0)] == [["a"], []]


def test_a_time_that_was_replaced_is_none_for_a_later_wait(
    queue: DelayingQueue[str], step: Step
) -> None:
    queue.add_after("a", 7.0)
    queue.add_after("a", 5.0)
    assert step(5.0) == ["a"]
    queue.add_after("a", 9.0)
    assert [step(2.0), step(6.9), step(0.2)] == [[], [], ["a"]]


@pytest.mark.parametrize("delay", [0.0, -1.0])
def test_without_delay_it_is_added_at_once(queue: DelayingQueue[str], delay: float) -> None:
    queue.add_after("a", delay)
    assert len(queue) == 1


def test_adding_now_does_not_cancel_the_wait(queue: DelayingQueue[str], step: Step) -> None:
    queue.add_after("a", 5.0)
    queue.add("a")
    assert [step(0.0), step(5.0)] == [["a"], ["a"]]


def test_an_item_that_is_due_while_processed_comes_after_done(
    queue: DelayingQueue[str], clock: FakeClock
) -> None:
    queue.add("a")
    queue.get()
    queue.add_after("a", 5.0)
    clock.step_under(queue._lock, 5.0)
    assert len(queue) == 0
    queue.done("a")
    assert queue.get() == "a"


def test_a_delay_without_end_holds_up_nothing(queue: DelayingQueue[str], step: Step) -> None:
    queue.add_after("never", math.inf)
    queue.add_after("a", 100.0)
    assert [step(99.0), step(1.0), step(1e9)] == [[], ["a"], []]


class WaitsClock(RealClock):
    """Waits in earnest, so that nothing but a notification ends a wait early, and says how long.

    The caller has the lock when a wait is noted, and gives it up by waiting only: whoever sees the
    note and then takes the lock comes upon a thread that waits.
    """

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait_on(self, condition: threading.Condition, timeout: float | None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        return super().wait_on(condition, timeout)


@pytest.mark.parametrize("waiting", [None, 3600.0, math.inf])
def test_an_item_that_is_due_earlier_wakes_the_thread(
    pool: ThreadPoolExecutor, waiting: float | None
) -> None:
    clock = WaitsClock()
    queue: DelayingQueue[str] = DelayingQueue(clock=clock)
    try:
        eventually(lambda: len(clock.waits) == 1)
        if waiting is not None:
            queue.add_after("late", waiting)
            eventually(lambda: len(clock.waits) == 2)
        queue.add_after("early", 0.001)
        assert pool.submit(queue.get).result(timeout=2) == "early"
    finally:
        queue.shut_down()


@pytest.mark.parametrize("delay", [10.5, math.inf])
def test_no_single_wait_is_longer_than_ten_seconds(delay: float) -> None:
    clock = WaitsClock()
    queue: DelayingQueue[str] = DelayingQueue(clock=clock)
    try:
        eventually(lambda: len(clock.waits) == 1)
        queue.add_after("a", delay)
        eventually(lambda: len(clock.waits) == 2)
    finally:
        queue.shut_down()
    assert clock.waits == [10.0, 10.0]


@pytest.mark.parametrize("end", [DelayingQueue.shut_down, DelayingQueue.shut_down_with_drain])
def test_a_shutdown_wakes_the_thread(
    pool: ThreadPoolExecutor, end: Callable[[DelayingQueue[str]], None]
) -> None:
    """Which else would hold it up for as long as it waits."""
    clock = WaitsClock()
    queue: DelayingQueue[str] = DelayingQueue(clock=clock)
    eventually(lambda: len(clock.waits) == 1)
    pool.submit(end, queue).result(timeout=5)
    assert clock.waits == [10.0]


class BrokenMetrics:
    """Metrics of which the adds fail."""

    def queue_metrics(self, name: str, clock: Clock) -> "BrokenMetrics":  # noqa: ARG002
        return self

    def add(self, item: Hashable) -> None:
        raise ZeroDivisionError(item)

    def get(self, item: Hashable) -> None: ...
    def done(self, item: Hashable) -> None: ...
    def retry(self) -> None: ...


def test_the_death_of_the_thread_is_told_to_every_worker(
    clock: FakeClock, pool: ThreadPoolExecutor
) -> None:
    queue: DelayingQueue[str] = DelayingQueue("storages", clock=clock, metrics=BrokenMetrics())
    workers = [pool.submit(queue.get) for _ in range(2)]
    eventually(lambda: queue._idle == 2)
    queue.add_after("a", 5.0)
    clock.await_waiters()
    clock.step(5.0)
    try:
        for worker in [*workers, pool.submit(queue.get)]:
            with pytest.raises(RuntimeError, match="no delayed item will come any more") as told:
                worker.result(timeout=2)
            assert isinstance(told.value.__cause__, ZeroDivisionError)
    finally:
        queue.shut_down()


def test_a_delay_that_is_no_number_is_refused(queue: DelayingQueue[str], step: Step) -> None:
    with pytest.raises(ValueError, match="nan"):
        queue.add_after("a", math.nan)
    queue.add_after("b", 1.0)
    assert step(1.0) == ["b"]


def test_shutdown_ends_the_thread_and_drops_what_waits(
    queue: DelayingQueue[str], clock: FakeClock
) -> None:
    queue.add_after("a", 5.0)
    clock.await_waiters()
    queue.shut_down()
    assert "storages-delaying" not in {thread.name for thread in threading.enumerate()}
    queue.add_after("b", 0.0)
    queue.add_after("c", 1.0)
    clock.step(60.0)
    with pytest.raises(ShutDown):
        queue.get()


def test_drain_ends_the_thread_and_drops_what_waits(
    queue: DelayingQueue[str], clock: FakeClock, pool: ThreadPoolExecutor
) -> None:
    queue.add("a")
    queue.get()
    queue.add_after("late", 5.0)
    drain = pool.submit(queue.shut_down_with_drain)
    eventually(lambda: queue.shutting_down)
    clock.step(60.0)
    queue.done("a")
    drain.result(timeout=5)
    assert "storages-delaying" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(ShutDown):
        queue.get()


def test_of_an_item_that_waits_the_earliest_time_and_the_highest_priority_count(
    queue: DelayingQueue[str], step: Step
) -> None:
    queue.add_after("a", 5.0, priority=-1)
    queue.add_after("a", 7.0, priority=2)
    queue.add_after("b", 7.0, priority=2)
    queue.add_after("b", 5.0, priority=-1)
    queue.add_after("c", 5.0, priority=1)
    assert [step(5.0), step(5.0)] == [["a", "b", "c"], []]


def test_a_delayed_item_takes_its_place_when_its_time_has_come(
    queue: DelayingQueue[str], clock: FakeClock
) -> None:
    queue.add_after("late", 5.0)
    queue.add_after("low", 1.0, priority=-1)
    queue.add_after("early", 4.0)
    queue.add("first")
    clock.step_under(queue._lock, 5.0)
    queue.add("last")
    assert [queue.get() for _ in range(5)] == ["first", "early", "late", "last", "low"]


def test_the_higher_priority_of_adding_now_is_not_for_the_wait(
    queue: DelayingQueue[str], clock: FakeClock
) -> None:
    queue.add_after("a", 5.0, priority=-1)
    queue.add("a", priority=1)
    queue.done(queue.get())
    clock.step_under(queue._lock, 5.0)
    queue.add("b")
    assert [queue.get(), queue.get()] == ["b", "a"]


def test_an_item_that_waits_in_line_has_no_priority_to_keep(
    queue: DelayingQueue[str], clock: FakeClock
) -> None:
    queue.add("a", priority=-1)
    queue.add_after("a", 5.0)
    queue.done(queue.get())
    clock.step_under(queue._lock, 5.0)
    queue.add("b")
    assert [queue.get(), queue.get()] == ["a", "b"]


@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_a_worker_who_adds_his_item_again_keeps_its_priority(
    queue: DelayingQueue[str], clock: FakeClock, delay: float
) -> None:
    for item, priority in (("high", 1), ("low", -1), ("given", -1)):
        queue.add(item, priority=priority)
    for item in [queue.get() for _ in range(3)]:
        queue.add_after(item, delay, priority=2 if item == "given" else None)
        queue.done(item)
    queue.add_after("other", delay)
    clock.step_under(queue._lock, 5.0)
    assert [queue.get() for _ in range(4)] == ["given", "high", "other", "low"]


def test_an_item_that_nobody_has_any_more_has_no_priority_to_keep(
    queue: DelayingQueue[str], clock: FakeClock
) -> None:
    queue.add("a", priority=-1)
    queue.done(queue.get())
    queue.add_after("a", 5.0)
    clock.step_under(queue._lock, 5.0)
    queue.add("b")
    assert [queue.get(), queue.get()] == ["a", "b"]


def test_many_delayed_items_hold_up_nobody_who_adds_one(
    queue: DelayingQueue[int], clock: FakeClock
) -> None:
    with queue._lock:  # which holds up the thread: client-go's would take 1000
        for item in range(1001):
            queue.add_after(item, 1.0)
    clock.step_under(queue._lock, 1.0)
    assert len(queue) == 1001


def test_replaced_times_do_not_pile_up() -> None:
    waiting: _WaitingItems[str] = _WaitingItems()
    for now in range(1000):
        waiting.insert("renew", now + 5e6, 0)
        waiting.insert("renew", now + 1.0, 0)
        assert waiting.pop_ready(now + 1.0) == [("renew", 0)]
    assert len(waiting._heap) <= 2


def test_sweeping_loses_nothing() -> None:
    waiting: _WaitingItems[int] = _WaitingItems()
    for round_ in range(10):
        for item in range(50):
            waiting.insert(item, 1000.0 - 100.0 * round_ + item, item)
    assert len(waiting._heap) <= 100
    assert waiting.pop_ready(124.0) == [(item, item) for item in range(25)]
    assert waiting.next_ready_at() == 125.0
    assert waiting.pop_ready(math.inf) == [(item, item) for item in range(25, 50)]
    assert waiting.next_ready_at() is None
