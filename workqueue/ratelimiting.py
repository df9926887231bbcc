"""The outermost layer: items that failed come again, at a pace that a limiter sets."""

from workqueue.clock import REAL_CLOCK, Clock
from workqueue.delaying import DelayingQueue
from workqueue.limiters import RateLimiter
from workqueue.queue import K, MetricsProvider


class RateLimitingQueue(DelayingQueue[K]):
    """A `DelayingQueue` with `add_rate_limited`.

    A worker calls `done` after every `get`, and `forget` once an item succeeded or is given up:
    the limiter counts its failures, and keeps them in memory, until then.
    """

    def __init__(
        self,
        rate_limiter: RateLimiter[K],
        name: str = "",
        *,
        clock: Clock = REAL_CLOCK,
        metrics: MetricsProvider | None = None,
    ) -> None:
        super().__init__(name, clock=clock, metrics=metrics)
        self._rate_limiter = rate_limiter

    def add_rate_limited(self, item: K) -> None:
        """Add `item` when the limiter says; counts as a failure of it.

        With the priority that it came with, if the worker who has it says so before `done`.
        """
        self.add_after(item, self._rate_limiter.when(item))

    def forget(self, item: K) -> None:
        """Stop counting the failures of `item`. It is still to be given back with `done`."""
        self._rate_limiter.forget(item)

    def num_requeues(self, item: K) -> int:
        """How often `item` was added by `add_rate_limited` since it was last forgotten."""
        return self._rate_limiter.num_requeues(item)
