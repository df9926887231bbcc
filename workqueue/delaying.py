"""The middle layer: items that are added later.

`_WaitingItems` decides who is due, without a thread or a clock; `DelayingQueue` has one thread
that waits for the next to be due and adds it.
"""

import heapq
import itertools
import math
import threading
from typing import Final, Generic

from workqueue.clock import REAL_CLOCK, Clock
from workqueue.queue import K, MetricsProvider, Queue

_MAX_WAIT: Final = 10.0
"""Seconds after which the waiting thread looks again in any case: client-go's heartbeat. There it
is a safety net; here no wake-up can be lost, because the heap is only touched with the lock held.
But it makes every delay a possible one: `threading` refuses to wait for infinity."""


class _WaitingItems(Generic[K]):
    """Items by the time they are due, each once.

    Of all that was asked for an item, the earliest time and the highest priority count.
    """

    def __init__(self) -> None:
        self._asked: dict[K, tuple[float, int]] = {}  # time and priority
        # Entries that an earlier time has replaced stay until they come up or are swept. The
        # count makes equal times first in, first out, and keeps items from being compared.
        self._heap: list[tuple[float, int, K]] = []
        self._count = itertools.count()

    def insert(self, item: K, ready_at: float, priority: int) -> None:
        """Let `item` be due at `ready_at` with `priority`, if not earlier or higher anyway."""
        known = self._asked.get(item)
        if known is not None:
            priority = max(priority, known[1])
            if known[0] <= ready_at:
                self._asked[item] = known[0], priority
                return
        self._asked[item] = ready_at, priority
        heapq.heappush(self._heap, (ready_at, next(self._count), item))
        if len(self._heap) > 2 * len(self._asked):
            self._sweep()

    def pop_ready(self, now: float) -> list[tuple[K, int]]:
        """Take out all items that are due, in the order of their times, with their priorities."""
        ready = []
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if self._is_current(entry):
                _, priority = self._asked.pop(entry[2])
                ready.append((entry[2], priority))
        return ready

    def next_ready_at(self) -> float | None:
        """When to look again. Never too late; too early only for a replaced entry."""
        return self._heap[0][0] if self._heap else None

    def _is_current(self, entry: tuple[float, int, K]) -> bool:
        asked = self._asked.get(entry[2])
        return asked is not None and asked[0] == entry[0]

    def _sweep(self) -> None:
        """Drop replaced entries.

        An item that comes back early again and again would otherwise leave one each time, for as
        long as its longest delay.
        """
        self._heap = [entry for entry in self._heap if self._is_current(entry)]
        heapq.heapify(self._heap)


class DelayingQueue(Queue[K]):
    """A `Queue` with `add_after`. Has a thread, which a shutdown ends.

    Should that thread die, which takes metrics or a clock that raise, `get` raises RuntimeError.

    Unlike client-go's, `add_after` never blocks on a full intake, and a shutdown with drain ends
    the thread as promptly as one without.
    """

    def __init__(
        self,
        name: str = "",
        *,
        clock: Clock = REAL_CLOCK,
        metrics: MetricsProvider | None = None,
    ) -> None:
        super().__init__(name, clock=clock, metrics=metrics)
        self._waiting: _WaitingItems[K] = _WaitingItems()
        self._wake = threading.Condition(self._lock)
        self._thread = threading.Thread(
            target=self._run, name=f"{name or 'workqueue'}-delaying", daemon=True
        )
        self._thread.start()

    def add_after(self, item: K, delay: float, *, priority: int | None = None) -> None:
        """Add `item` in `delay` seconds, at once if that is not above 0. Ignored once shut down.

        An item that waits already comes at the earlier of the two times, once, and with the higher
        of the two priorities. It takes its place in line when its time has come. `add` does not
        cancel the wait: the item comes now and then again.

        Without a `priority` an item that is added by the worker who has it, so before `done`,
        keeps the one that it came with; any other gets 0. Raises ValueError if `delay` is NaN.
        """
        if math.isnan(delay):
            raise ValueError("the delay is nan: not a number of seconds")
        with self._lock:
            if self._shutting_down:
                return
            if self._metrics is not None:
                self._metrics.retry()
            if priority is None:
                priority = self._processing.get(item, 0)
            if delay <= 0:
                self.add(item, priority=priority)
            else:
                self._add_at(item, self._clock.monotonic() + delay, priority)

    def shut_down(self) -> None:
        """As `Queue.shut_down`; what waits is dropped, and the waiting thread has ended."""
        super().shut_down()
        self._end_thread()

    def shut_down_with_drain(self) -> None:
        """As `Queue.shut_down_with_drain`; what waits is dropped, the waiting thread has ended."""
        super().shut_down_with_drain()
        self._end_thread()

    def _add_at(self, item: K, ready_at: float, priority: int) -> None:
        before = self._waiting.next_ready_at()
        self._waiting.insert(item, ready_at, priority)
        if self._waiting.next_ready_at() != before:
            self._wake.notify()

    def _run(self) -> None:
        try:
            self._add_when_ready()
        except BaseException as failure:  # noqa: BLE001 - nothing may end the thread unseen
            self._fail(failure)

    def _add_when_ready(self) -> None:
        with self._lock:
            while not self._shutting_down:
                now = self._clock.monotonic()
                for item, priority in self._waiting.pop_ready(now):
                    self.add(item, priority=priority)
                self._clock.wait_on(self._wake, self._wait_seconds(now))

    def _wait_seconds(self, now: float) -> float:
        ready_at = self._waiting.next_ready_at()
        return _MAX_WAIT if ready_at is None else min(ready_at - now, _MAX_WAIT)

    def _end_thread(self) -> None:
        with self._lock:
            self._wake.notify()
        self._thread.join()
