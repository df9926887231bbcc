"""How long an item waits before it is tried again.

A limiter counts a failure of an item with each `when`, and only `forget` ends the counting: an
item that is never forgotten stays in memory for ever. All are safe to use from any thread. Times
are in seconds.
"""

import math
import sys
import threading
from collections.abc import Hashable
from typing import Final, Generic, Protocol, TypeVar

from workqueue.clock import REAL_CLOCK, Clock
from workqueue.queue import K

K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)

_MAX_EXPONENT: Final = sys.float_info.max_exp - 1
"""The largest power of two that a float holds; Python raises beyond it."""


class RateLimiter(Protocol[K_contra]):
    def when(self, item: K_contra) -> float:
        """Count a failure of `item` and say how many seconds it should wait now."""
        ...

    def forget(self, item: K_contra) -> None:
        """Drop what is known of `item`: it succeeded, or was given up."""
        ...

    def num_requeues(self, item: K_contra) -> int:
        """How many failures of `item` were counted since it was last forgotten."""
        ...


class _Failures(Generic[K]):
    """Failures by item."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[K, int] = {}

    def increment(self, item: K) -> int:
        """Count one more; returns the count before."""
        with self._lock:
            before = self._counts.get(item, 0)
            self._counts[item] = before + 1
            return before

    def reset(self, item: K) -> None:
        with self._lock:
            self._counts.pop(item, None)

    def count(self, item: K) -> int:
        with self._lock:
            return self._counts.get(item, 0)


class ItemExponentialFailureRateLimiter(Generic[K]):
    """`base_delay` at first, twice as long after each failure, `max_delay` at most."""

    def __init__(self, base_delay: float, max_delay: float) -> None:
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._failures: _Failures[K] = _Failures()

    def when(self, item: K) -> float:
        exponent = min(self._failures.increment(item), _MAX_EXPONENT)
        # The product may be infinite, which does not matter: there is a maximum.
        return min(self._base_delay * 2.0**exponent, self._max_delay)

    def forget(self, item: K) -> None:
        self._failures.reset(item)

    def num_requeues(self, item: K) -> int:
        return self._failures.count(item)


class ItemFastSlowRateLimiter(Generic[K]):
    """`fast_delay` for the first `max_fast_attempts` failures of an item, then `slow_delay`."""

    def __init__(self, fast_delay: float, slow_delay: float, max_fast_attempts: int) -> None:
        self._fast_delay = fast_delay
        self._slow_delay = slow_delay
        self._max_fast_attempts = max_fast_attempts
        self._failures: _Failures[K] = _Failures()

    def when(self, item: K) -> float:
        fast = self._failures.increment(item) < self._max_fast_attempts
        return self._fast_delay if fast else self._slow_delay

    def forget(self, item: K) -> None:
        self._failures.reset(item)

    def num_requeues(self, item: K) -> int:
        return self._failures.count(item)


class BucketRateLimiter:
    """All items together: `burst` at once, then `qps` a second. Remembers no item.

    Each `when` takes a token, if need be one of the future, so waits add up. (Go's `rate.Limiter`
    as its `Reserve` does it.)
    """

    def __init__(self, qps: float, burst: int, *, clock: Clock = REAL_CLOCK) -> None:
        """Raises ValueError unless `qps` is positive and finite and `burst` at least 1."""
        if not 0 < qps < math.inf:
            raise ValueError(f"qps must be above 0 and finite, not {qps}")
        if burst < 1:
            raise ValueError(f"burst must be at least 1, not {burst}")
        self._qps = qps
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(burst)  # below 0: so many are promised to those who wait
        self._updated = clock.monotonic()

    def when(self, item: Hashable) -> float:  # noqa: ARG002 - of the protocol; all items are equal here
        with self._lock:
            now = self._clock.monotonic()
            filled = self._tokens + (now - self._updated) * self._qps
            self._tokens = min(filled, float(self._burst)) - 1
            self._updated = now
            return max(0.0, -self._tokens / self._qps)

    def forget(self, item: Hashable) -> None:
        """Nothing to forget."""

    def num_requeues(self, item: Hashable) -> int:  # noqa: ARG002 - of the protocol; nothing is counted
        return 0


class MaxOfRateLimiter(Generic[K]):
    """Asks all `limiters`, and takes the longest delay and the largest count."""

    def __init__(self, *limiters: RateLimiter[K]) -> None:
        self._limiters = limiters

    def when(self, item: K) -> float:
        return max((limiter.when(item) for limiter in self._limiters), default=0.0)

    def forget(self, item: K) -> None:
        for limiter in self._limiters:
            limiter.forget(item)

    def num_requeues(self, item: K) -> int:
        return max((limiter.num_requeues(item) for limiter in self._limiters), default=0)


class WithMaxWaitRateLimiter(Generic[K]):
    """As `limiter`, but never longer than `max_delay`."""

    def __init__(self, limiter: RateLimiter[K], max_delay: float) -> None:
        self._limiter = limiter
        self._max_delay = max_delay

    def when(self, item: K) -> float:
        return min(self._limiter.when(item), self._max_delay)

    def forget(self, item: K) -> None:
        self._limiter.forget(item)

    def num_requeues(self, item: K) -> int:
        return self._limiter.num_requeues(item)


def default_controller_rate_limiter(*, clock: Clock = REAL_CLOCK) -> RateLimiter[Hashable]:
    """5 ms, doubled up to 1000 s, for each item; 10 a second after the first 100 for all.

    The figures are client-go's.
    """
    return MaxOfRateLimiter[Hashable](
        ItemExponentialFailureRateLimiter(0.005, 1000.0),
        BucketRateLimiter(10.0, 100, clock=clock),
    )


def default_item_based_rate_limiter() -> RateLimiter[Hashable]:
    """1 ms, doubled up to 1000 s, for each item. The figures are client-go's."""
    return ItemExponentialFailureRateLimiter(0.001, 1000.0)
