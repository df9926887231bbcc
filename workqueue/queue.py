"""The innermost layer: each key once, in order, and with one worker at a time.

A key is in up to two of three places:

- `_dirty`: it needs work, with this priority. Every key that was added and has not been handed
  out since.
- `_processing`: a worker has it, and got it with this priority.
- `_queue`: the order in which keys are handed out. Exactly the keys that are dirty and not in
  processing; a key that becomes dirty while a worker has it is queued when the worker is done.
"""

import threading
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from workqueue.clock import REAL_CLOCK, Clock
from workqueue.priority import PriorityFifo

K = TypeVar("K", bound=Hashable)


class ShutDown(Exception):  # noqa: N818 - no error: it tells a worker to go, as queue.ShutDown of Python 3.13
    """Raised by `Queue.get` when the queue is shut down and empty."""


class QueueMetrics(Protocol):
    """What a queue reports, always with its lock held: do not call the queue from here."""

    def add(self, item: Hashable) -> None:
        """`item` became dirty; adds of a dirty item are not reported."""
        ...

    def get(self, item: Hashable) -> None:
        """A worker has taken `item`."""
        ...

    def done(self, item: Hashable) -> None:
        """The worker is done with `item`."""
        ...

    def retry(self) -> None:
        """An item is to come again, at once or later."""
        ...


class MetricsProvider(Protocol):
    """Makes the metrics of a queue; asked once by each queue that has a name.

    What they raise is raised by the queue's methods, and ends the thread of a `DelayingQueue`.
    """

    def queue_metrics(self, name: str, clock: Clock) -> QueueMetrics: ...


class Queue(Generic[K]):
    """Distinct keys, first in, first out. Every method may be called from any thread.

    Of keys with different priorities the higher go first, and the others when none of those waits:
    there is no share for them. The order is that of controller-runtime's priority queue; all else
    is as in the queue without priorities.

    Keys are compared as dictionary keys are, and the queue holds no key longer than it needs to.
    """

    def __init__(
        self,
        name: str = "",
        *,
        clock: Clock = REAL_CLOCK,
        metrics: MetricsProvider | None = None,
    ) -> None:
        """`name` tells the queues of one `metrics` apart; without it nothing is measured."""
        self._clock = clock
        self._metrics: QueueMetrics | None = None
        if metrics is not None and name:
            self._metrics = metrics.queue_metrics(name, clock)
        # One lock for all layers. It can be taken again by its holder, so that an outer layer
        # can call `add` in the middle of a step of its own.
        self._lock = threading.RLock()
        self._available = threading.Condition(self._lock)
        self._drained = threading.Condition(self._lock)
        self._idle = 0  # workers in `get` that have nothing to do
        self._queue: PriorityFifo[K] = PriorityFifo()
        self._dirty: dict[K, int] = {}
        self._processing: dict[K, int] = {}
        self._shutting_down = False
        self._draining = False
        self._failure: BaseException | None = None

    def __len__(self) -> int:
        """How many keys are ready to be handed out. Old news at once: good for a log line."""
        with self._lock:
            return len(self._queue)

    @property
    def shutting_down(self) -> bool:
        """Whether adds are ignored by now, and for ever."""
        with self._lock:
            return self._shutting_down

    def add(self, item: K, *, priority: int = 0) -> None:
        """Mark `item` as needing work. Ignored once shut down.

        If it needs work already, all that can change is its priority, and that can only rise;
        then it goes behind everything that has the higher one.
        """
        with self._lock:
            if self._shutting_down:
                return
            asked = self._dirty.get(item)
            if asked is not None:
                self._raise_priority(item, asked, priority)
                return
            if self._metrics is not None:
                self._metrics.add(item)
            self._dirty[item] = priority
            if item not in self._processing:
                self._enqueue(item, priority)

    def get(self) -> K:
        """Wait for the next item, and take it until `done`. Raises `ShutDown` at the end.

        Raises RuntimeError, whatever is queued, if the thread that adds delayed items has died:
        without it items would be lost unseen, so the worker should end, and the program with it.
        """
        with self._lock:
            while not self._has_item():
                self._await_item()
            item = self._queue.pop()
            self._processing[item] = self._dirty.pop(item)
            if self._metrics is not None:
                self._metrics.get(item)
            return item

    def done(self, item: K) -> None:
        """Give `item` back, failed or not; it is queued again if it was added meanwhile.

        To be called once for each `get`. For an item that nobody has this does nothing (client-go
        would queue it a second time if it waits, and so give it to two workers).
        """
        with self._lock:
            if item not in self._processing:
                return
            if self._metrics is not None:
                self._metrics.done(item)
            del self._processing[item]
            if item in self._dirty:
                self._enqueue(item, self._dirty[item])
            if self._draining and not self._processing:
                self._drained.notify_all()

    def shut_down(self) -> None:
        """Ignore adds from now on; workers get what is queued, then `ShutDown`.

        Does not wait for them, and ends a `shut_down_with_drain` that does.
        """
        with self._lock:
            self._start_shut_down(draining=False)
            self._drained.notify_all()

    def shut_down_with_drain(self) -> None:
        """Shut down and return when no worker has an item, or when `shut_down` is called.

        Waits for workers, not for the queue to become empty: what is queued is still handed out,
        perhaps after the return. Waits for ever for a worker that never calls `done`.
        """
        with self._lock:
            self._start_shut_down(draining=True)
            while self._processing and self._draining:
                self._drained.wait()

    def _start_shut_down(self, *, draining: bool) -> None:
        self._draining = draining
        self._shutting_down = True
        self._available.notify_all()

    def _raise_priority(self, item: K, asked: int, priority: int) -> None:
        if priority > asked:
            self._dirty[item] = priority
            if item not in self._processing:
                self._queue.move(item, asked, priority)

    def _enqueue(self, item: K, priority: int) -> None:
        self._queue.push(item, priority)
        if self._idle:
            self._available.notify()

    def _has_item(self) -> bool:
        """Whether there is an item to hand out; raises what `get` does if there never will be."""
        if self._failure is not None:
            raise RuntimeError("no delayed item will come any more") from self._failure
        if not self._queue and self._shutting_down:
            raise ShutDown
        return bool(self._queue)

    def _fail(self, failure: BaseException) -> None:
        """Let `get` raise because of `failure` from now on, also for who waits in it."""
        with self._lock:
            self._failure = failure
            self._available.notify_all()

    def _await_item(self) -> None:
        self._idle += 1
        try:
            self._available.wait()
        finally:
            self._idle -= 1
