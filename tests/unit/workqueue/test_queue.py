"""The cases of client-go's queue_test.go, and those that it lacks."""

import gc
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from workqueue.clock import Clock
from workqueue.queue import Queue, QueueMetrics, ShutDown

BOTH_SHUTDOWNS = pytest.mark.parametrize(
    "shut_down", [Queue[str].shut_down, Queue[str].shut_down_with_drain]
)


def take_all(queue: Queue[str]) -> list[str]:
    """What workers get from a queue that is shut down."""
    taken: list[str] = []
    while True:
        try:
            item = queue.get()
        except ShutDown:
            return taken
        taken.append(item)
        queue.done(item)


def is_shutting_down(queue: Queue[str]) -> bool:
    """The property, read by a call, so that the type checker does not take it for a constant."""
    return queue.shutting_down


def assert_blocked(future: Future[None]) -> None:
    with pytest.raises(TimeoutError):
        future.result(timeout=0.01)


class Recorder:
    """Metrics, and their provider, that write down what is reported."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Clock]] = []
        self.calls: list[tuple[str, Hashable]] = []

    def queue_metrics(self, name: str, clock: Clock) -> QueueMetrics:
        self.asked.append((name, clock))
        return self

    def add(self, item: Hashable) -> None:
        self.calls.append(("add", item))

    def get(self, item: Hashable) -> None:
        self.calls.append(("get", item))

    def done(self, item: Hashable) -> None:
        self.calls.append(("done", item))

    def retry(self) -> None:
        self.calls.append(("retry", None))


def test_items_come_in_the_order_of_their_first_add() -> None:
    queue: Queue[str] = Queue()
    for item in ("c", "a", "b", "a", "c"):
        queue.add(item)
    assert len(queue) == 3
    assert [queue.get() for _ in range(3)] == ["c", "a", "b"]
    assert len(queue) == 0


def test_an_item_added_while_processed_comes_again_after_done() -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    item = queue.get()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0, "somebody has it"
    queue.add("b")
    queue.done(item)
    assert [queue.get(), queue.get()] == ["b", "a"], "it goes to the end, once"
    queue.done("a")
    assert len(queue) == 0, "nothing was added since"


def test_higher_priorities_go_first_and_equal_ones_in_order() -> None:
    queue: Queue[str] = Queue()
    for item, priority in (("low", -1), ("a", 0), ("high", 1), ("b", 0), ("low-2", -1)):
        queue.add(item, priority=priority)
    assert [queue.get() for _ in range(5)] == ["high", "a", "b", "low", "low-2"]


def test_a_rise_goes_to_the_back_of_the_higher_ones_and_a_fall_nowhere() -> None:
    queue: Queue[str] = Queue()
    queue.add("a", priority=-1)
    queue.add("b", priority=-1)
    queue.add("c")
    queue.add("d")
    queue.add("b")
    queue.add("c", priority=-1)
    queue.add("c")
    assert len(queue) == 4
    assert [queue.get() for _ in range(4)] == ["c", "d", "b", "a"]


def test_what_changed_while_processed_has_the_highest_priority_asked_for_since() -> None:
    queue: Queue[str] = Queue()
    queue.add("a", priority=5)
    queue.get()
    for priority in (-1, 1, 0):
        queue.add("a", priority=priority)
    queue.add("b", priority=1)
    queue.add("c", priority=2)
    queue.add("d", priority=0)
    queue.done("a")
    assert [queue.get() for _ in range(4)] == ["c", "b", "a", "d"], "not that which it had before"


def test_a_rise_is_no_add_to_the_metrics() -> None:
    recorder = Recorder()
    queue: Queue[str] = Queue("storages", metrics=recorder)
    queue.add("a")
    queue.add("a", priority=1)
    queue.get()
    assert recorder.calls == [("add", "a"), ("get", "a")]


def test_a_second_worker_waits_for_the_first(pool: ThreadPoolExecutor) -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    queue.get()
    queue.add("a")
    second = pool.submit(queue.get)
    with pytest.raises(TimeoutError):
        second.result(timeout=0.01)
    queue.done("a")
    assert second.result(timeout=5) == "a"


def test_one_add_wakes_one_waiting_worker_each(pool: ThreadPoolExecutor) -> None:
    queue: Queue[str] = Queue()
    workers = [pool.submit(queue.get) for _ in range(3)]
    for item in ("a", "b", "c"):
        queue.add(item)
    assert {worker.result(timeout=5) for worker in workers} == {"a", "b", "c"}


def test_done_without_get_changes_nothing() -> None:
    queue: Queue[str] = Queue()
    queue.done("never seen")
    queue.add("a")
    queue.done("a")
    assert len(queue) == 1
    queue.get()
    queue.add("a")
    queue.done("a")
    queue.done("a")
    assert len(queue) == 1, "a second done must not queue it a second time"


def test_keys_are_let_go() -> None:
    class Key:
        pass

    queue: Queue[Key] = Queue()
    key = Key()
    gone = weakref.ref(key)
    queue.add(key, priority=-1)
    queue.add(key)
    queue.done(queue.get())
    del key
    gc.collect()
    assert gone() is None


@BOTH_SHUTDOWNS
def test_after_shutdown_what_is_queued_is_still_handed_out(
    shut_down: Callable[[Queue[str]], None],
) -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    queue.add("b")
    assert not is_shutting_down(queue)
    shut_down(queue)
    assert is_shutting_down(queue)
    queue.add("late")
    assert take_all(queue) == ["a", "b"]
    with pytest.raises(ShutDown):
        queue.get()


@BOTH_SHUTDOWNS
def test_shutdown_sends_every_waiting_worker_home(
    pool: ThreadPoolExecutor, shut_down: Callable[[Queue[str]], None]
) -> None:
    queue: Queue[str] = Queue()
    workers = [pool.submit(take_all, queue) for _ in range(4)]
    queue.add("a")
    shut_down(queue)
    assert [item for worker in workers for item in worker.result(timeout=5)] == ["a"]


@BOTH_SHUTDOWNS
def test_shutdown_can_be_repeated(shut_down: Callable[[Queue[str]], None]) -> None:
    queue: Queue[str] = Queue()
    shut_down(queue)
    shut_down(queue)
    assert take_all(queue) == []


def test_shutdown_does_not_wait_for_workers() -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    queue.get()
    queue.shut_down()
    queue.add("a")
    queue.done("a")
    assert take_all(queue) == [], "adds while processing are ignored, too"


def test_drain_waits_for_every_worker(pool: ThreadPoolExecutor) -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    queue.add("b")
    first, second = queue.get(), queue.get()
    drain = pool.submit(queue.shut_down_with_drain)
    eventually(lambda: queue.shutting_down)
    with pytest.raises(ShutDown):
        queue.get()
    queue.done(first)
    assert_blocked(drain)
    queue.done(second)
    drain.result(timeout=5)


def test_drain_hands_out_what_became_dirty_meanwhile(pool: ThreadPoolExecutor) -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    item = queue.get()
    queue.add("a")
    drain = pool.submit(queue.shut_down_with_drain)
    eventually(lambda: queue.shutting_down)
    assert_blocked(drain)
    queue.done(item)
    assert take_all(queue) == ["a"]
    drain.result(timeout=5)


def test_shutdown_cuts_a_drain_short(pool: ThreadPoolExecutor) -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    queue.get()
    drain = pool.submit(queue.shut_down_with_drain)
    eventually(lambda: queue.shutting_down)
    assert_blocked(drain)
    queue.shut_down()
    drain.result(timeout=5)


def test_every_caller_of_drain_returns(pool: ThreadPoolExecutor) -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    queue.get()
    drains = [pool.submit(queue.shut_down_with_drain) for _ in range(3)]
    for drain in drains:
        assert_blocked(drain)
    queue.done("a")
    for drain in drains:
        drain.result(timeout=5)


def test_drain_does_not_wait_for_what_nobody_has_taken() -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    queue.shut_down_with_drain()
    assert take_all(queue) == ["a"]


def test_metrics_hear_of_real_changes_only(clock: FakeClock) -> None:
    recorder = Recorder()
    queue: Queue[str] = Queue("storages", clock=clock, metrics=recorder)
    assert recorder.asked == [("storages", clock)]
    queue.add("a")
    queue.add("a")
    queue.get()
    queue.add("a")
    queue.add("a")
    queue.done("a")
    queue.done("a")
    queue.shut_down()
    queue.add("b")
    assert recorder.calls == [("add", "a"), ("get", "a"), ("add", "a"), ("done", "a")]


def test_a_queue_without_a_name_is_not_measured() -> None:
    recorder = Recorder()
    queue: Queue[str] = Queue(metrics=recorder)
    queue.add("a")
    assert recorder.asked == []
    assert recorder.calls == []
