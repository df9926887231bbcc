"""A clock that moves only when the test says so."""

import threading
import time
from contextlib import AbstractContextManager

from tests.support.eventually import PATIENCE
from workqueue.clock import RealClock

_POLL = 0.001
"""Real seconds between two looks of a waiter at the fake time."""


class Unhurried(RealClock):
    """Real time, but waits for an event are over at once: for what is not about them."""

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        return super().wait(event, _POLL if timeout is not None else None)


class FakeClock:
    """Fulfils the `Clock` protocols of `workqueue` and `informers`."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._lock = threading.Lock()
        self._seen: dict[int, float] = {}  # the time that each waiting thread saw last

    def monotonic(self) -> float:
        with self._lock:
            return self._now

    def step(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        with self._lock:
            self._now += seconds

    def step_under(
        self, lock: AbstractContextManager[object], seconds: float, *, waiters: int = 1
    ) -> None:
        """Let `seconds` pass, and return once `waiters` threads have acted on it and wait again.

        For threads that read the time and then wait for the difference to some deadline, all with
        `lock` held: holding it here keeps the step from falling between the two.
        """
        with lock:
            self.step(seconds)
        self.await_waiters(waiters)

    @property
    def waiters(self) -> int:
        """How many threads wait with a timeout; look before you step."""
        with self._lock:
            return len(self._seen)

    def await_waiters(self, count: int = 1, *, within: float = PATIENCE) -> None:
        """Return once at least `count` threads wait with a timeout and know the present time."""
        deadline = time.monotonic() + within
        while (waiting := self._up_to_date()) < count:
            assert time.monotonic() < deadline, f"{waiting} of {count} threads wait"
            threading.Event().wait(_POLL)

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        if timeout is None:
            return event.wait()
        deadline = self.monotonic() + timeout
        try:
            while not event.is_set() and self._is_before(deadline):
                event.wait(_POLL)
        finally:
            self._leave()
        return event.is_set()

    def wait_on(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait, and return early very often, so that the caller looks at the time again.

        Returning is what keeps a notification from being lost: `Condition.wait` says False when
        one arrives just as its own timeout passes.
        """
        if timeout is None:
            return condition.wait()
        deadline = self.monotonic() + timeout
        try:
            notified = self._is_before(deadline) and condition.wait(_POLL)
        finally:
            self._leave()
        return notified or self.monotonic() < deadline

    def _up_to_date(self) -> int:
        with self._lock:
            return sum(seen == self._now for seen in self._seen.values())

    def _is_before(self, deadline: float) -> bool:
        """Look at the time, as a waiter; after a look that says no it is none any more."""
        with self._lock:
            if self._now < deadline:
                self._seen[threading.get_ident()] = self._now
                return True
            self._seen.pop(threading.get_ident(), None)
            return False

    def _leave(self) -> None:
        with self._lock:
            self._seen.pop(threading.get_ident(), None)
