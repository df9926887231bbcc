"""The handlers of one informer: who is told of what."""

from collections.abc import Sequence

import structlog

from informers.clock import Clock
from informers.handlers import ResourceEventHandler
from informers.listener import Added, Guard, Listener, Notification, Updated
from informers.store import Object, resource_version

_log = structlog.get_logger(__name__)

MINIMUM_RESYNC = 1.0
"""Seconds; a shorter period is raised to it, as in client-go."""


class Processor:
    """Listeners and their resync periods.

    Not thread safe: the informer calls it under the lock that also covers its store's changes,
    so that a late handler sees neither a gap nor an event twice.
    """

    def __init__(self, clock: Clock, name: str, resync_period: float, guard: Guard) -> None:
        self._clock = clock
        self._name = name
        self._guard = guard
        self._listeners: dict[Listener, None] = {}
        self._removed: list[Listener] = []
        self._syncing: set[Listener] = set()
        self._running = False
        self._count = 0
        self._default_resync = resync_period
        self.check_period = resync_period

    def add(
        self, handler: ResourceEventHandler, resync_period: float | None, stored: Sequence[Object]
    ) -> Listener:
        """A listener that begins with an initial add of each stored object."""
        wanted = self._default_resync if resync_period is None else resync_period
        self._count += 1
        name = f"{self._name}/handler-{self._count}"
        period = self._resync_period(wanted)
        listener = Listener(handler, self._clock, name, period, self._guard)
        listener.notify([Added(obj, initial=True) for obj in stored])
        self._listeners[listener] = None
        if self._running:
            listener.thread.start()
        return listener

    def remove(self, listener: Listener) -> None:
        """No event is delivered any more, but one may be under way; a second call does nothing."""
        if listener in self._listeners:
            # Here before it is gone from there: `listeners` must not miss it in between.
            alive = [old for old in self._removed if old.thread.is_alive()]
            self._removed = [*alive, listener]
            del self._listeners[listener]
            listener.stop()

    def start(self) -> None:
        """Begin to deliver."""
        self._running = True
        for listener in self._listeners:
            listener.thread.start()

    def distribute(self, notifications: Sequence[Notification]) -> None:
        """Tell the handlers. An update that changed nothing is a resync, for those due one."""
        if not notifications:
            return
        news = [one for one in notifications if not _is_sync(one)]
        for listener in self._listeners:
            listener.notify(notifications if listener in self._syncing else news)

    def should_resync(self, now: float) -> bool:
        """Whether a handler is due a resync at `now`; notes which."""
        self._syncing = {listener for listener in self._listeners if listener.is_due(now)}
        return bool(self._syncing)

    def stop(self) -> None:
        """Stop all listeners; the thread of one that is added later is not started."""
        self._running = False
        for listener in self._listeners:
            listener.stop()

    @property
    def listeners(self) -> list[Listener]:
        """Those whose threads may run, removed ones too; may be asked for from any thread."""
        return [*self._listeners, *self._removed]

    def waiting(self) -> int:
        """The notifications in the longest buffer; may be asked from any thread."""
        # A copy is made in one step; a loop would meet the handlers that come and go.
        return max(map(len, [*self._listeners]), default=0)

    def _resync_period(self, wanted: float) -> float:
        """A handler's period in effect.

        Before the start the shortest one asked for becomes how often is looked at all, after it
        nothing can be shorter than that. client-go lowers but never sets it, and a handler's
        period is silently void without a default; here the first request sets it.
        """
        if wanted <= 0:
            return 0.0
        period = max(wanted, MINIMUM_RESYNC)
        if not self._running:
            self.check_period = min(period, self.check_period or period)
        elif not self.check_period or period < self.check_period:
            period = self.check_period
        if period != wanted:
            _log.warning("resync_period_changed", wanted=wanted, effective=period)
        return period


def _is_sync(notification: Notification) -> bool:
    return isinstance(notification, Updated) and resource_version(
        notification.old
    ) == resource_version(notification.new)
