"""Finds the watch that stands and brings nothing, by the writes of ours that do not come back.

A read timeout has to allow for the minute between two bookmarks; a write of ours that was
answered must be seen at once. Where it is not, the connection is replaced: that costs no relist
and does no harm if the server is merely slow.
"""

import math
from collections.abc import Callable
from typing import Final

import structlog

from controller.consistency import ConsistencyStore
from informers import Resource
from workqueue import Clock

LOOK: Final = 10.0
"""Seconds between two looks, far below `PATIENCE`."""

PATIENCE: Final = 30.0
"""Seconds in which a write must have come back, and between two new watches of a kind."""

GIVE_UP: Final = 300.0
"""Seconds after which a write is not waited for any more: an etcd that was restored from a backup
counts from an older version again, and may take hours to get there. As long as client-go's
controllers wait for what they expect; every write is guarded, so acting on an old cache is safe.
"""

_log = structlog.get_logger("controller.watchdog")


class Watchdog:
    """To be called by one thread every `LOOK` seconds; `reconnect` replaces a kind's watch."""

    def __init__(
        self, consistency: ConsistencyStore, reconnect: Callable[[Resource], None], clock: Clock
    ) -> None:
        self._consistency = consistency
        self._reconnect = reconnect
        self._clock = clock
        self._replaced: dict[Resource, float] = {}

    def look(self) -> None:
        """Replace the watches that have owed us a write for too long."""
        for resource, waited in self._consistency.waiting().items():
            if waited >= GIVE_UP:
                _log.warning("write_never_seen", kind=resource.kind, seconds=round(waited))
                self._consistency.give_up(resource)
            elif waited >= PATIENCE and self._may_replace(resource):
                _log.warning("write_not_seen_yet", kind=resource.kind, seconds=round(waited))
                self._reconnect(resource)

    def _may_replace(self, resource: Resource) -> bool:
        """Whether the last watch has had its time; if so, the next one's begins."""
        now = self._clock.monotonic()
        if now - self._replaced.get(resource, -math.inf) < PATIENCE:
            return False
        self._replaced[resource] = now
        return True
