"""A limit on the requests that a client sends, kept by the client itself."""

import math
import threading

import structlog

from informers.clock import Clock

_SHORT = 0.05
"""Seconds of waiting that nobody is told of; client-go's longThrottleLatency."""

_LONG = 1.0
"""Seconds from which on it is told more loudly; client-go's extraLongThrottleLatency."""

_log = structlog.get_logger(__name__)


class Throttle:
    """`burst` requests at once, then `qps` a second, first come, first served. Thread safe.

    One for a client and all its sessions.
    """

    def __init__(self, qps: float, burst: int, *, clock: Clock) -> None:
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

    def wait(self, request: str, longest: float, closed: threading.Event) -> float | None:
        """Wait for the turn of `request`, or until `closed`; returns the seconds that it took.

        None, at once, if it would take more than `longest` seconds.
        """
        delay = self._reserve(longest)
        if not delay:
            return delay
        self._clock.wait(closed, delay)
        if delay > _SHORT:
            tell = _log.info if delay > _LONG else _log.debug
            tell("client_side_rate_limit", request=request, waited=round(delay, 3))
        return delay

    def _reserve(self, longest: float) -> float | None:
        """Take a token, if need be one of the future, and return the seconds until it is there."""
        with self._lock:
            now = self._clock.monotonic()
            self._tokens += (now - self._updated) * self._qps
            self._tokens = min(self._tokens, float(self._burst))
            self._updated = now
            delay = max(0.0, (1 - self._tokens) / self._qps)
            if delay and delay > longest:
                return None
            self._tokens -= 1
            return delay
