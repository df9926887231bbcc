"""One handler's buffer and thread, so that a slow or failing handler keeps nobody else waiting."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from informers.clock import Clock
from informers.handlers import ResourceEventHandler
from informers.store import DeletedFinalStateUnknown, Object

_log = structlog.get_logger(__name__)

AFTER_FAILURE = 1.0
"""Seconds that a handler rests after it raised, as in client-go."""

_LONG = 1024
"""Waiting notifications that are worth a warning; the buffer has no limit by contract."""


class Added(NamedTuple):
    """An object is new to the handler."""

    obj: Object
    initial: bool


class Updated(NamedTuple):
    """An object changed, or is shown again by a resync."""

    old: Object
    new: Object


class Deleted(NamedTuple):
    """An object is gone."""

    obj: Object | DeletedFinalStateUnknown


Notification = Added | Updated | Deleted

Guard = Callable[[Callable[[], None]], None]
"""Runs the body of a thread and sees it die."""


class Listener:
    """Delivers notifications to one handler, in order, on a thread of its own.

    `resync_period` is in seconds, 0 for never. `guard` runs the thread.
    """

    def __init__(
        self,
        handler: ResourceEventHandler,
        clock: Clock,
        name: str,
        resync_period: float,
        guard: Guard,
    ) -> None:
        self._handler = handler
        self._clock = clock
        self._buffer: deque[Notification] = deque()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._initial_left = 0
        self._initial_failed = False
        self._warned = False
        self.resync_period = resync_period
        self._next_resync = clock.monotonic() + resync_period
        self.thread = threading.Thread(target=guard, args=(self._run,), name=name, daemon=True)

    def notify(self, notifications: Sequence[Notification]) -> None:
        """Append to the buffer; never blocks."""
        with self._changed:
            if self._stop.is_set():
                return
            self._buffer.extend(notifications)
            self._initial_left += sum(_is_initial(one) for one in notifications)
            self._changed.notify_all()
            waiting = len(self._buffer)
            # The initial list arrives at once, which is no sign of a slow handler.
            slow = waiting > _LONG and not self._initial_left and not self._warned
            self._warned |= slow
        if slow:
            _log.warning("slow_handler", thread=self.thread.name, waiting=waiting)

    def caught_up(self) -> bool:
        """Whether every add of the initial list was handled without an exception."""
        with self._changed:
            return not self._initial_left and not self._initial_failed

    def __len__(self) -> int:
        return len(self._buffer)

    def is_due(self, now: float) -> bool:
        """Whether a resync is due at `now`; if so the next one is a period later."""
        due = self.resync_period > 0 and now >= self._next_resync
        if due:
            self._next_resync = now + self.resync_period
        return due

    def stop(self) -> None:
        """Drop what waits; the thread ends after the call under way, if any."""
        with self._changed:
            self._stop.set()
            self._buffer.clear()
            self._changed.notify_all()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def join(self, timeout: float | None) -> bool:
        """Wait for the thread; True if it ended. Called on that very thread it is True at once."""
        if self.thread is threading.current_thread() or not self.thread.ident:
            return True
        self.thread.join(timeout)
        return not self.thread.is_alive()

    def _run(self) -> None:
        while (notification := self._next()) is not None:
            handled = self._handle(notification)
            if _is_initial(notification):
                self._count_initial(handled=handled)
            if not handled:
                self._clock.wait(self._stop, AFTER_FAILURE)

    def _next(self) -> Notification | None:
        with self._changed:
            while not self._buffer:
                # Whoever falls behind again is worth another line.
                self._warned = False
                if self._stop.is_set():
                    return None
                self._clock.wait_on(self._changed, None)
            return self._buffer.popleft()

    def _handle(self, notification: Notification) -> bool:
        """Deliver; False if the handler raised, for which the event is lost then."""
        try:
            self._deliver(notification)
        except Exception:  # noqa: BLE001 - whatever a handler raises is its own affair
            _log.exception("handler_failed", thread=self.thread.name)
            return False
        return True

    def _deliver(self, notification: Notification) -> None:
        match notification:
            case Updated(old, new):
                self._handler.on_update(old, new)
            case Added(obj, initial):
                self._handler.on_add(obj, initial)
            case Deleted(obj):
                self._handler.on_delete(obj)

    def _count_initial(self, *, handled: bool) -> None:
        """One failure and the handler never counts as synced: better seen than incomplete."""
        with self._changed:
            self._initial_left -= 1
            self._initial_failed |= not handled


def _is_initial(notification: Notification) -> bool:
    return isinstance(notification, Added) and notification.initial
