"""When each consumer's object is to be looked at again, and how it was found last.

There is no watch on consumers' objects. What was found there holds for a while, unless something
else is to be delivered; what failed is tried again with growing delay, each object for itself.
A find in a version that is known holds for longer, as `controller.consumers.looks` sees to it that
the object has stayed at that.
"""

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import Final, Generic, NamedTuple, TypeVar

from controller.consumers.consumer import Consumer
from workqueue import Clock, ItemExponentialFailureRateLimiter

POLL: Final = 300.0
"""Seconds between two looks at what was found good, on average."""

JITTER: Final = 0.2
"""The share by which that differs from one to the next, so that a fleet's looks spread."""

FIRST_RETRY: Final = 2.0
LAST_RETRY: Final = POLL

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Record(Generic[T]):
    """`seen` is the object's resourceVersion; "" where nobody looks whether it is still that."""

    version: str
    found: T
    until: float
    """When the find holds no longer, whatever has become of the object."""
    seen: str = ""
    look: float = inf
    """When the object is due to be looked at."""


class Due(NamedTuple, Generic[T]):
    """An object that is due, and what was found there."""

    storage: str
    consumer: Consumer
    record: _Record[T]


class Polls(Generic[T]):
    """What was found of the consumers of all storages; thread safe."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._lock = threading.Lock()
        self._records: dict[str, dict[Consumer, _Record[T]]] = {}
        self._failures = ItemExponentialFailureRateLimiter[tuple[str, Consumer]](
            FIRST_RETRY, LAST_RETRY
        )

    def fresh(self, storage: str, consumer: Consumer, version: str) -> T | None:
        """Return what was found if it still holds; None: look at the object."""
        record = self._of(storage).get(consumer)
        if record is None or record.version != version:
            return None
        return record.found if self._clock.monotonic() < min(record.until, record.look) else None

    def last(self, storage: str, consumer: Consumer) -> T | None:
        """Return what was found last, however long ago."""
        record = self._of(storage).get(consumer)
        return record.found if record else None

    def good(
        self,
        storage: str,
        consumer: Consumer,
        version: str,
        found: T,
        *,
        until: float = inf,
        seen: str = "",
    ) -> None:
        """Keep a good find for `until` seconds at most.

        Unless the resourceVersion in which the object was `seen` is known, for as long as a poll
        takes, too. The first one is kept for any part of that: after a start all storages are
        looked at.
        """
        self._failures.forget((storage, consumer))
        poll = self._poll(0.0 if self.last(storage, consumer) is None else 1 - JITTER)
        record = (
            _Record(version, found, self._in(until), seen, self._in(poll))
            if seen
            else _Record(version, found, self._in(min(poll, until)))
        )
        self._keep(storage, consumer, record)

    def settle(self, storage: str, consumer: Consumer, version: str, found: T) -> None:
        """Keep a find for as long as nothing else is to be delivered."""
        self._failures.forget((storage, consumer))
        self._keep(storage, consumer, _Record(version, found, inf))

    def bad(self, storage: str, consumer: Consumer, version: str, found: T) -> None:
        """Keep a failure until it is time to try again."""
        delay = self._failures.when((storage, consumer)) * self._rng.uniform(1 - JITTER, 1)
        self._keep(storage, consumer, _Record(version, found, self._in(delay)))

    def again(self, storage: str, consumers: Iterable[Consumer]) -> float:
        """Return the seconds until what was found of one of them holds no longer, inf for never.

        When an object that is looked at by itself is another, nobody knows before.
        """
        records, now = self._of(storage), self._clock.monotonic()
        times = [records[consumer].until for consumer in consumers if consumer in records]
        return max(0.0, min(times, default=inf) - now)

    def due(self, within: float) -> list[Due[T]]:
        """Return those that are to be looked at within so many seconds, the longest due first."""
        end = self._in(within)
        with self._lock:
            found = [
                Due(storage, consumer, record)
                for storage, records in self._records.items()
                for consumer, record in records.items()
                if record.look < end
            ]
        return sorted(found, key=lambda due: due.record.look)

    def confirm(self, due: Due[T]) -> None:
        """The object is as it was seen, unless something else was found in the meantime."""
        self._replace(due, replace(due.record, look=self._in(self._poll(1 - JITTER))))

    def doubt(self, due: Due[T]) -> bool:
        """The object is no more as it was seen, so the find holds no longer.

        False if something else was found in the meantime.
        """
        return self._replace(due, replace(due.record, until=self._in(0.0), look=inf))

    def forget(self, storage: str, consumers: Iterable[Consumer] | None = None) -> None:
        """Forget these consumers of a storage, by default all."""
        with self._lock:
            records = self._records.get(storage, {})
            for consumer in [*records] if consumers is None else consumers:
                records.pop(consumer, None)
                self._failures.forget((storage, consumer))
            if not records:
                self._records.pop(storage, None)

    def keep_only(self, storage: str, consumers: Iterable[Consumer]) -> None:
        """Forget all others of a storage."""
        self.forget(storage, self._of(storage).keys() - {*consumers})

    def _poll(self, begin: float) -> float:
        return POLL * self._rng.uniform(begin, 1 + JITTER)

    def _in(self, seconds: float) -> float:
        return self._clock.monotonic() + seconds

    def _of(self, storage: str) -> dict[Consumer, _Record[T]]:
        with self._lock:
            return dict(self._records.get(storage, {}))

    def _keep(self, storage: str, consumer: Consumer, record: _Record[T]) -> None:
        with self._lock:
            self._records.setdefault(storage, {})[consumer] = record

    def _replace(self, due: Due[T], record: _Record[T]) -> bool:
        with self._lock:
            records = self._records.get(due.storage, {})
            if records.get(due.consumer) is not due.record:
                return False
            records[due.consumer] = record
            return True
