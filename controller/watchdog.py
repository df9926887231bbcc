"""Finds the watch that stands and brings nothing, by the writes of ours that do not come back.

A read timeout has to allow for the minute between two bookmarks; a write of ours that was
answered must be seen at once. Where it is not and the server says nothing else either, the
connection is replaced: that costs no relist. Where it does say something, a list that is under
way or events that come late, it is left to finish: begun anew it would take as long again.
"""

import math
from collections.abc import Mapping
from typing import Final, Protocol

import structlog

from controller.consistency import ConsistencyStore
from informers import Resource
from workqueue import Clock

LOOK: Final = 10.0
"""Seconds between two looks, far below `PATIENCE`."""

PATIENCE: Final = 30.0
"""Seconds in which a write must have come back, of silence that a server may need for something
else, and between two new watches of a kind."""

GIVE_UP: Final = 300.0
"""Seconds after which a write is not waited for any more: an etcd that was restored from a backup
counts from an older version again, and may take hours to get there. As long as client-go's
controllers wait for what they expect; every write is guarded, so acting on an old cache is safe.
"""

_log = structlog.get_logger("controller.watchdog")


class Watch(Protocol):
    """The part of an informer that is looked at."""

    def seconds_since_last_message(self) -> float:
        """For how long the server has said nothing."""
        ...

    def reconnect(self) -> None:
        """Replace the connection, whatever comes by it."""
        ...


class Watchdog:
    """To be called by one thread every `LOOK` seconds; `watches` are those of what is written."""

    def __init__(
        self, consistency: ConsistencyStore, watches: Mapping[Resource, Watch], clock: Clock
    ) -> None:
        self._consistency = consistency
        self._watches = watches
        self._clock = clock
        self._replaced: dict[Resource, float] = {}

    def look(self) -> None:
        """Replace the silent watches that have owed us a write for too long."""
        for resource, waited in self._consistency.waiting().items():
            if waited >= GIVE_UP:
                _log.warning("write_never_seen", kind=resource.kind, seconds=round(waited))
                self._consistency.give_up(resource, GIVE_UP)
            elif waited >= PATIENCE and self._may_replace(resource):
                _log.warning("write_not_seen_yet", kind=resource.kind, seconds=round(waited))
                self._watches[resource].reconnect()

    def _may_replace(self, resource: Resource) -> bool:
        """Whether the watch is silent and has had its time; if so, the next one's begins."""
        now = self._clock.monotonic()
        if self._watches[resource].seconds_since_last_message() < PATIENCE:
            return False
        if now - self._replaced.get(resource, -math.inf) < PATIENCE:
            return False
        self._replaced[resource] = now
        return True
