"""The keys of storages in the core etcd: how many there are, and the removal of all of them.

One thing at a time, by one thread: a page of one storage, then a page of the next one, so that
nobody waits for the end of a large one. After each turn the core has nine times as long for
others.
"""

import heapq
import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Final, Protocol

import structlog

from controller.api.conditions import Problem
from controller.core import sweep as sweeps
from controller.core.errors import ClosedError, CoreError, UnreachableError
from controller.core.identity import key_range
from controller.core.looks import Pace, PurgeLook
from workqueue import Clock

KEYS_KEEP_COMING: Final = "KeysKeepComing"
CORE_KEYS_REFUSED: Final = "CoreKeysRefused"

_PATIENCE: Final = 3
"""Passes that may find keys before it is told that somebody still writes."""
_OLD: Final = 2.0
"""Times the time between two counts, after which a number is none any more."""
_LONGEST: Final = 30.0
"""Seconds, at most, between two tries, or two passes, of one storage."""

_BEGUN: Final = PurgeLook()

_log = structlog.get_logger("controller.core")


class Core(Protocol):
    """The calls that are made; `controller.core.client.CoreClient` has them."""

    def count(self, key: bytes, range_end: bytes) -> int: ...

    def page(self, key: bytes, range_end: bytes, limit: int) -> tuple[bytes, ...]: ...

    def delete(self, key: bytes, range_end: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is to be done for one storage: a removal if there is a sweep, else a count."""

    due: float
    """By the clock, when its next call is."""
    limit: int
    """Keys of its next page."""
    turn: int = -1
    """No other entry has this number."""
    keys: int | None = None
    """As the last count had it; None where that is too long ago."""
    counted: float = 0.0
    """By the clock, when that was."""
    sweep: sweeps.Sweep | None = None
    removed: int = 0
    failures: int = 0
    """In a row."""
    look: PurgeLook = _BEGUN


class Keys:
    """`advance` is for one thread, the rest for any. `on_change` is told what is news."""

    def __init__(
        self,
        on_change: Callable[[str], None],
        *,
        clock: Clock,
        rng: random.Random,
        pace: Pace,
    ) -> None:
        self._on_change = on_change
        self._clock = clock
        self._rng = rng
        self._pace = pace
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._line: list[tuple[float, int, str]] = []
        """A heap of who is due when, and in which order they came; those whose entry is another by
        now are skipped."""
        self._turns = count()
        self._rested_at = -math.inf
        self._ages_at = -math.inf
        """Before that no number is too old."""

    def count(self, storage: str, last: int | None = None) -> int | None:
        """Return how many keys the storage has, None if nobody knows; count them now and then.

        `last` is what was told before anybody here could count them. None of them is removed any
        more.
        """
        with self._lock:
            entry = self._entries.get(storage)
            if entry is None or entry.sweep is not None:
                now = self._clock.monotonic()
                delay = self._rng.uniform(0, self._pace.count)
                entry = _Entry(now + delay, self._pace.page, keys=last, counted=now)
                self._enter_locked(storage, entry)
            return entry.keys

    def purge(self, storage: str) -> PurgeLook:
        """Remove all keys of the storage; return how that stands.

        Raises ValueError if no storage can be called so.
        """
        with self._lock:
            entry = self._entries.get(storage)
            if entry is None or entry.sweep is None:
                sweep = sweeps.begin(storage)
                entry = _Entry(self._clock.monotonic(), self._pace.page, sweep=sweep)
                self._enter_locked(storage, entry)
            return entry.look

    def forget(self, storage: str) -> None:
        """Neither count nor remove keys of the storage any more."""
        with self._lock:
            self._entries.pop(storage, None)

    def due(self) -> float | None:
        """Return by the clock when somebody is due, None if nobody is."""
        with self._lock:
            found = self._next_locked()
        return found[1].due if found else None

    def wait(self) -> float | None:
        """Return the seconds until somebody is due, None if nobody is."""
        due = self.due()
        return None if due is None else max(0.0, due - self._clock.monotonic())

    def age(self) -> float:
        """Give up the numbers that are too old; return the seconds until there may be more.

        For the thread of `advance`.
        """
        now, span = self._clock.monotonic(), _OLD * self._pace.count
        if now < self._ages_at:
            return self._ages_at - now
        with self._lock:
            known = {name: e.counted for name, e in self._entries.items() if e.keys is not None}
            old = [name for name, counted in known.items() if now - counted >= span]
            for storage in old:
                self._entries[storage] = replace(self._entries[storage], keys=None)
        self._ages_at = min((at for at in known.values() if now - at < span), default=now) + span
        for storage in old:
            self._on_change(storage)
        return self._ages_at - now

    def advance(self, core: Core) -> float | None:
        """Do the next thing that is due; return the seconds until there is another, as `wait`.

        Raises ClosedError if the core was closed, UnreachableError if it did not answer.
        """
        if (rest := self._rested_at - self._clock.monotonic()) > 0:
            return rest
        if wait := self.wait():
            return wait
        with self._lock:
            found = self._next_locked()
        if found is None:
            return None
        self._attend(core, *found)
        return 0.0

    def _attend(self, core: Core, storage: str, entry: _Entry) -> None:
        """Make the calls of a turn, and keep what was found."""
        began = self._clock.monotonic()
        after = replace(entry, failures=entry.failures + 1)
        try:
            if entry.sweep is None:
                keys, now = core.count(*key_range(storage)), self._clock.monotonic()
                after = replace(entry, keys=keys, counted=now, failures=0)
            else:
                after = self._remove_page(core, storage, entry, entry.sweep)
        except (ClosedError, UnreachableError):
            raise
        except (CoreError, ValueError) as error:
            after = _refused(storage, after, error)
        finally:
            ended = self._clock.monotonic()
            self._rested_at = ended + (ended - began) * (1 / self._pace.share - 1)
            self._settle(storage, entry, replace(after, due=ended + self._delay_of(after)))

    def _remove_page(self, core: Core, storage: str, entry: _Entry, sweep: sweeps.Sweep) -> _Entry:
        page = core.page(sweep.start, sweep.range_end, entry.limit)
        removed = 0
        if (found := sweeps.removal(sweep, page)) and self._is_current(storage, entry):
            removed = core.delete(*found)
        after = sweeps.advanced(sweep, page)
        if after.done:
            _log.info("core_keys_removed", key=storage, keys=entry.removed, passes=after.passes)
        late = after.passes >= _PATIENCE and not after.done
        return replace(
            entry,
            sweep=after,
            removed=entry.removed + removed,
            failures=0,
            limit=self._pace.page,
            look=PurgeLook(after.done, _keep_coming(storage) if late else None),
        )

    def _delay_of(self, entry: _Entry) -> float:
        """Return the seconds until the entry's next turn; none follows a sweep that is done."""
        if entry.failures:
            return self._delay(entry.failures)
        if entry.sweep is None:
            return self._pace.count * self._rng.uniform(0.8, 1.2)
        if entry.sweep.done:
            return math.inf
        begins_anew = entry.sweep.passes > 1 and not entry.sweep.found
        return self._delay(entry.sweep.passes) if begins_anew else 0.0

    def _delay(self, times: int) -> float:
        return min(2.0 ** min(times, 10), _LONGEST) * self._rng.uniform(0.5, 1.0)

    def _settle(self, storage: str, before: _Entry, after: _Entry) -> None:
        """Keep what was found, unless something else is asked for the storage meanwhile."""
        with self._lock:
            if self._entries.get(storage) is not before:
                return
            self._enter_locked(storage, after)
        if (before.keys, before.look) != (after.keys, after.look):
            self._on_change(storage)

    def _is_current(self, storage: str, entry: _Entry) -> bool:
        with self._lock:
            return self._entries.get(storage) is entry

    def _enter_locked(self, storage: str, entry: _Entry) -> None:
        entry = replace(entry, turn=next(self._turns))
        self._entries[storage] = entry
        if entry.due < math.inf:
            heapq.heappush(self._line, (entry.due, entry.turn, storage))
        if len(self._line) > 2 * len(self._entries):
            # While the core is away nobody comes up, and so those who left would stay.
            self._line = [each for each in self._line if self._is_next_locked(each)]
            heapq.heapify(self._line)

    def _next_locked(self) -> tuple[str, _Entry] | None:
        while self._line and not self._is_next_locked(self._line[0]):
            heapq.heappop(self._line)
        storage = self._line[0][2] if self._line else None
        return None if storage is None else (storage, self._entries[storage])

    def _is_next_locked(self, place: tuple[float, int, str]) -> bool:
        """Whether the place in line is that of the storage's present entry."""
        _, turn, storage = place
        entry = self._entries.get(storage)
        return entry is not None and entry.turn == turn


def _refused(storage: str, entry: _Entry, error: Exception) -> _Entry:
    _log.warning("core_keys_refused", key=storage, error=str(error))
    if entry.sweep is None:
        return entry
    message = f"the core etcd does not let go of the keys under /{storage}/: {error}"
    look = PurgeLook(problem=Problem(CORE_KEYS_REFUSED, f"{message}; it is tried again"))
    # Keys of megabytes may be too much for one answer.
    return replace(entry, limit=max(1, entry.limit // 2), look=look)


def _keep_coming(storage: str) -> Problem:
    return Problem(
        KEYS_KEEP_COMING,
        f"keys under /{storage}/ were removed, and new ones were there each time: somebody still"
        " writes them, such as a pod on a node that the cluster has lost; stop it",
    )
