"""The queue against a model of it, step by step; then under real threads."""

import itertools
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from workqueue import (
    DelayingQueue,
    ItemExponentialFailureRateLimiter,
    RateLimitingQueue,
    ShutDown,
)

KEYS = st.sampled_from("abcde")
SECONDS = st.sampled_from([0, 1, 2, 3, 5, 12, 25])
LONGEST_RETRY = 8.0
PRIORITIES = st.sampled_from([0, 0, 0, -100, -1, 1])
OPTIONAL_PRIORITIES = st.sampled_from([None, None, 0, -100, 1])


class QueueMachine(RuleBasedStateMachine):
    """This thread does what producers and workers would; only the waiting thread is another.

    The model is the plainest thing that could be right: for each ready key its negated priority
    and its turn among those of the same priority; the keys that are taken with the priority that
    they came with, and of these the dirty ones with the highest that was asked for since; and for
    each waiting key the time that it is due, its turn among those of the same time, its priority.
    Besides, how often each key failed since it was last forgotten.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        limiter = ItemExponentialFailureRateLimiter[str](1.0, LONGEST_RETRY)
        self.queue = RateLimitingQueue(limiter, clock=self.clock)
        self.turns = itertools.count()
        self.ready: dict[str, tuple[int, int]] = {}
        self.taken: dict[str, int] = {}
        self.dirty: dict[str, int] = {}
        self.due: dict[str, tuple[float, int, int]] = {}
        self.failures: Counter[str] = Counter()
        self.adds: Counter[str] = Counter()
        self.deliveries: Counter[str] = Counter()
        self.owed: set[str] = set()

    @rule(key=KEYS, priority=PRIORITIES)
    def add(self, key: str, priority: int) -> None:
        self.queue.add(key, priority=priority)
        self.adds[key] += 1
        self.becomes_dirty(key, priority)

    @rule(key=KEYS, delay=SECONDS, priority=OPTIONAL_PRIORITIES)
    def add_after(self, key: str, delay: int, priority: int | None) -> None:
        self.queue.add_after(key, delay, priority=priority)
        self.comes_after(key, delay, priority)

    @precondition(lambda self: self.ready)
    @rule(data=st.data(), delay=SECONDS)
    def add_after_what_is_in_line(self, data: st.DataObject, delay: int) -> None:
        self.add_after(data.draw(st.sampled_from(sorted(self.ready))), delay, None)

    @rule(key=KEYS)
    def add_rate_limited(self, key: str) -> None:
        self.queue.add_rate_limited(key)
        self.comes_after(key, min(2 ** self.failures[key], LONGEST_RETRY), None)
        self.failures[key] += 1

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        self.failures[key] = 0

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.clock.step_under(self.queue._lock, seconds)
        now = self.clock.monotonic()
        for (ready_at, _, priority), key in sorted((due, key) for key, due in self.due.items()):
            if ready_at <= now:
                del self.due[key]
                self.becomes_dirty(key, priority)

    @precondition(lambda self: self.ready)
    @rule()
    def get(self) -> None:
        key = self.queue.get()
        assert key not in self.taken, "two workers have it"
        assert key == min(self.ready, key=lambda key: self.ready[key]), "by priority and turn"
        self.taken[key] = -self.ready.pop(key)[0]
        self.owed.remove(key)
        self.deliveries[key] += 1

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        self.is_done(data.draw(st.sampled_from(sorted(self.taken))))

    @rule(key=KEYS)
    def done_by_nobody(self, key: str) -> None:
        if key not in self.taken:
            self.queue.done(key)

    @invariant()
    def what_is_ready_is_counted(self) -> None:
        assert len(self.queue) == len(self.ready)

    @invariant()
    def failures_are_counted(self) -> None:
        assert all(self.queue.num_requeues(key) == n for key, n in self.failures.items())

    @invariant()
    def nothing_comes_more_often_than_it_was_added(self) -> None:
        assert self.deliveries <= self.adds

    def teardown(self) -> None:
        """Let all delays pass and the workers finish: nothing may be owed to anybody then."""
        try:
            self.time_passes(60)
            self.queue.shut_down()
            while self.taken or self.ready:
                for key in sorted(self.taken):
                    self.is_done(key)
                while self.ready:
                    self.get()
            assert not self.owed
            with pytest.raises(ShutDown):
                self.queue.get()
        finally:
            self.queue.shut_down()

    def becomes_dirty(self, key: str, priority: int) -> None:
        self.owed.add(key)
        if key in self.taken:
            self.dirty[key] = max(priority, self.dirty.get(key, priority))
        elif key not in self.ready or self.ready[key][0] > -priority:
            self.ready[key] = -priority, next(self.turns)

    def comes_after(self, key: str, delay: float, priority: int | None) -> None:
        self.adds[key] += 1
        if priority is None:
            priority = self.taken.get(key, 0)
        if delay == 0:
            self.becomes_dirty(key, priority)
        else:
            self.waits(key, self.clock.monotonic() + delay, priority)

    def waits(self, key: str, ready_at: float, priority: int) -> None:
        turn = next(self.turns)
        if key in self.due:
            priority = max(priority, self.due[key][2])
            ready_at, turn = min((ready_at, turn), self.due[key][:2])
        self.due[key] = ready_at, turn, priority

    def is_done(self, key: str) -> None:
        self.queue.done(key)
        del self.taken[key]
        if key in self.dirty:
            self.ready[key] = -self.dirty.pop(key), next(self.turns)


QueueMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestQueueAgainstItsModel = QueueMachine.TestCase


class Storm:
    """Producers that change keys and workers that must see every key's last change."""

    WORKERS = 4
    PRODUCERS = 3
    CHANGES = 2000

    def __init__(self) -> None:
        self.queue: DelayingQueue[int] = DelayingQueue()
        self.lock = threading.Lock()
        self.latest: Counter[int] = Counter()
        self.seen: Counter[int] = Counter()
        self.adds = 0
        self.deliveries = 0
        self.busy: set[int] = set()
        self.shared: list[int] = []

    def produce(self, seed: int) -> None:
        for number in range(self.CHANGES):
            key = (seed + number * 7) % 10
            with self.lock:
                self.latest[key] += 1
                self.adds += 1
            if number % 3:
                self.queue.add(key, priority=-(number % 2))
            else:
                self.queue.add_after(key, (number % 5) * 0.0005)

    def work(self) -> None:
        while True:
            try:
                key = self.queue.get()
            except ShutDown:
                return
            with self.lock:
                if key in self.busy:
                    self.shared.append(key)
                self.busy.add(key)
                self.seen[key] = self.latest[key]
                self.deliveries += 1
            threading.Event().wait(0)
            with self.lock:
                self.busy.discard(key)
            self.queue.done(key)

    def is_over(self) -> bool:
        with self.lock:
            return self.seen == self.latest and not self.busy


@pytest.fixture
def _frequent_thread_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_frequent_thread_switches")
def test_many_threads_share_no_key_and_lose_none() -> None:
    storm = Storm()
    workers = [threading.Thread(target=storm.work) for _ in range(storm.WORKERS)]
    producers = [
        threading.Thread(target=storm.produce, args=(seed,)) for seed in range(storm.PRODUCERS)
    ]
    for thread in workers + producers:
        thread.start()
    for thread in producers:
        thread.join()
    try:
        eventually(storm.is_over, within=5.0, what="every last change is seen")
    finally:
        storm.queue.shut_down_with_drain()
        for thread in workers:
            thread.join()
    assert storm.shared == []
    assert storm.deliveries <= storm.adds
    assert len(storm.queue) == 0
