"""The queue between reflector and store: entries leave in the order in which they came.

Nothing is merged: three events of one key are three entries. A list travels as one entry, so
that the store is swapped as a whole. client-go's RealFIFO with its atomic operations on.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import structlog

from informers.clock import Clock
from informers.latency import Latencies
from informers.store import Object, meta_namespace_key

_log = structlog.get_logger(__name__)

BATCH = 1000
"""Entries handed over together at most, as in client-go."""

HIGH_WATER = 2000
"""From this many waiting entries on producers wait for the consumer, as in client-go."""

CROWDED = 10
"""With more waiting entries than that, slow processing is worth a log line, as in client-go."""

SLOW = 0.1
"""Seconds for each entry of a batch from which on processing is slow, as in client-go."""

SLOW_BATCH = 1.0
"""Seconds from which on it is whatever the size of the batch, as in client-go."""


class Closed(Exception):  # noqa: N818 - it reads as what happened
    """The queue is closed and, for a consumer, empty."""


class Change(Enum):
    """What a watch said of one object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Delta(NamedTuple):
    """One event of one object."""

    change: Change
    obj: Object
    key: str


class ReplacedAll(NamedTuple):
    """A whole list as of `resource_version`: what is not in it is gone."""

    objects: Sequence[Object]
    resource_version: str


@dataclass(frozen=True, slots=True)
class SyncAll:
    """Every stored object is to be shown again."""


class Bookmark(NamedTuple):
    """Nothing changed up to `resource_version`."""

    resource_version: str


Entry = Delta | ReplacedAll | SyncAll | Bookmark
Process = Callable[[Sequence[Entry], bool], None]
"""Takes a batch and whether it is the initial list."""


class RealFIFO:
    """The in-order queue: any number of producers, one consumer. `name` is for the log."""

    def __init__(self, clock: Clock, name: str = "") -> None:
        self.processing_latency = Latencies()
        self._clock = clock
        self._name = name
        self._entries: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._processing = False
        # None until anything came; then how many of the first list's entries are unprocessed.
        self._initial: int | None = None

    def add(self, obj: Object) -> None:
        self._put_delta(Change.ADDED, obj)

    def update(self, obj: Object) -> None:
        self._put_delta(Change.MODIFIED, obj)

    def delete(self, obj: Object) -> None:
        self._put_delta(Change.DELETED, obj)

    def replace(self, objects: Sequence[Object], resource_version: str) -> None:
        """Queue a list as one entry; the first one is what `has_synced` waits for."""
        self._put(ReplacedAll(objects, resource_version), initial=1)

    def resync(self) -> None:
        """Queue that everything in the store be shown again; before the first list, nothing."""
        with self._changed:
            if self._initial is not None:
                self._entries.append(SyncAll())
                self._changed.notify_all()

    def bookmark(self, resource_version: str) -> None:
        """Queue a bookmark behind what came before it, so that the store never claims more."""
        self._put(Bookmark(resource_version), initial=None)

    def has_synced(self) -> bool:
        """Whether the first list was processed, not merely taken.

        A queue whose first entry was a single object has no initial list and counts as synced.
        """
        with self._changed:
            return self._initial == 0

    def __len__(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        """Refuse new entries; what is queued can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def pop(self, process: Process, timeout: float | None = None) -> bool:
        """Wait for entries and process a batch of them; False if `timeout` seconds passed first.

        Producers go on while `process` runs, up to `HIGH_WATER`. Raises `Closed`, and whatever
        `process` raises; its batch is gone then.
        """
        with self._changed:
            if not self._await_entry(timeout):
                return False
            batch = self._take_batch()
            initial = bool(self._initial)
            self._processing = True
            waiting, began = len(self._entries), self._clock.monotonic()
        try:
            process(batch, initial)
        except BaseException:
            self._processed(initial=False)
            raise
        self._processed(initial=initial)
        self._note_time(batch, waiting, self._clock.monotonic() - began)
        return True

    def _note_time(self, batch: Sequence[Entry], waiting: int, seconds: float) -> None:
        """Count how long a batch took, and name it if that was long and kept many waiting."""
        self.processing_latency.observe(seconds)
        if waiting > CROWDED and seconds > min(SLOW * len(batch), SLOW_BATCH):
            first = batch[0].key if isinstance(batch[0], Delta) else type(batch[0]).__name__
            about = {"queue": self._name, "first": first, "batch": len(batch)}
            _log.warning("slow_processing", **about, waiting=waiting, seconds=round(seconds, 3))

    def _processed(self, *, initial: bool) -> None:
        with self._changed:
            self._processing = False
            if initial:
                self._initial = 0
            self._changed.notify_all()

    def _await_entry(self, timeout: float | None) -> bool:
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        while not self._entries:
            if self._closed:
                raise Closed
            left = None if deadline is None else deadline - self._clock.monotonic()
            if left is not None and left <= 0:
                return False
            self._clock.wait_on(self._changed, left)
        return True

    def _take_batch(self) -> list[Entry]:
        """Single objects of distinct keys together, anything else by itself."""
        batch = [self._entries.popleft()]
        if not isinstance(batch[0], Delta):
            return batch
        keys = {batch[0].key}
        while self._entries and len(batch) < BATCH:
            entry = self._entries[0]
            if not isinstance(entry, Delta) or entry.key in keys:
                break
            keys.add(entry.key)
            batch.append(self._entries.popleft())
        return batch

    def _put_delta(self, change: Change, obj: Object) -> None:
        self._put(Delta(change, obj, meta_namespace_key(obj)), initial=0)

    def _put(self, entry: Entry, initial: int | None) -> None:
        with self._changed:
            while self._processing and len(self._entries) >= HIGH_WATER and not self._closed:
                self._clock.wait_on(self._changed, None)
            if self._closed:
                raise Closed
            if self._initial is None:
                self._initial = initial
            self._entries.append(entry)
            self._changed.notify_all()
