"""When each consumer's object is to be looked at again, and how it was found last.

There is no watch on consumers' objects. What was found there holds for a while, unless something
else is to be delivered; what failed is tried again with growing delay, each object for itself.
"""

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

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
    version: str
    found: T
    due: float


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
        holds = record and record.version == version and self._clock.monotonic() < record.due
        return record.found if record and holds else None

    def last(self, storage: str, consumer: Consumer) -> T | None:
        """Return what was found last, however long ago."""
        record = self._of(storage).get(consumer)
        return record.found if record else None

    def good(
        self, storage: str, consumer: Consumer, version: str, found: T, *, until: float = POLL
    ) -> None:
        """Keep a good find for as long as a poll takes, `until` seconds at most.

        The first one is kept for any part of that: after a start all storages are looked at.
        """
        self._failures.forget((storage, consumer))
        begin = 1 - JITTER if consumer in self._of(storage) else 0.0
        share = self._rng.uniform(begin, 1 + JITTER)
        self._keep(storage, consumer, _Record(version, found, self._in(min(share * POLL, until))))

    def settle(self, storage: str, consumer: Consumer, version: str, found: T) -> None:
        """Keep a find for as long as nothing else is to be delivered."""
        self._failures.forget((storage, consumer))
        self._keep(storage, consumer, _Record(version, found, float("inf")))

    def bad(self, storage: str, consumer: Consumer, version: str, found: T) -> None:
        """Keep a failure until it is time to try again."""
        delay = self._failures.when((storage, consumer)) * self._rng.uniform(1 - JITTER, 1)
        self._keep(storage, consumer, _Record(version, found, self._in(delay)))

    def again(self, storage: str, consumers: Iterable[Consumer]) -> float:
        """Return the seconds until one of the consumers is to be looked at, inf if none is."""
        records, now = self._of(storage), self._clock.monotonic()
        dues = [records[consumer].due for consumer in consumers if consumer in records]
        return max(0.0, min(dues, default=float("inf")) - now)

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

    def _in(self, seconds: float) -> float:
        return self._clock.monotonic() + seconds

    def _of(self, storage: str) -> dict[Consumer, _Record[T]]:
        with self._lock:
            return dict(self._records.get(storage, {}))

    def _keep(self, storage: str, consumer: Consumer, record: _Record[T]) -> None:
        with self._lock:
            self._records.setdefault(storage, {})[consumer] = record
