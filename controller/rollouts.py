"""Which storages may replace their pods: no more than `--max-concurrent-rollouts` at once.

A storage takes a slot when pods of another revision are to be replaced, waits in line if none is
free, first come first served, and gives it back when no such pod is left, or when it is deleted
or refused. Another revision in the middle of a roll stays in the same slot. Slots are kept in
memory alone: who is in the middle of a roll is read from the objects at the start.

A roll whose new pods do not get ready keeps its slot, so that an image or a configuration that
does not work stops the fleet after that many storages, each with all its old pods. What breaks
one storage or one node only must not stop the fleet, though, and is told apart by what became of
others:

- A stuck roll counts no more once one that began after it has ended well: what both were given
  works, so its trouble is its own. It goes on without waiting when it is mended.
- While all slots are held by stuck rolls, one storage more is let in as a trial, `TRIAL` after
  the last roll began, and after twice the time with each trial that gets stuck as well. So a
  fleet that meets N broken storages in a row, or a node that attracts all new pods and starts
  none, goes on by itself, while a bad image reaches a handful of storages more in a day.

A mended configuration needs no trial: the stuck rolls hold their slots and begin anew with it.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from controller.dataplane.names import storage_of
from controller.dataplane.rolling import (
    PROGRESS_DEADLINE,
    Json,
    Stage,
    is_rolling,
    pod_revision,
    pods_of,
)
from controller.resources import REPLICA_SETS
from workqueue import Clock

LOOK: Final = 60.0
"""Seconds between two looks at a storage that holds a slot, without news: a roll gets stuck, and a
trial due, by time alone."""

TRIAL: Final = PROGRESS_DEADLINE.total_seconds()
"""Seconds from the beginning of the last of N stuck rolls to the first trial of one more."""


@dataclass(slots=True)
class _Roll:
    """One held slot; `order` counts the beginnings of rolls, each with one revision."""

    revision: str | None
    order: int
    began: float
    stuck: bool = False


class Rollouts:
    """The slots and the line of those that wait for one. Thread safe.

    `wake` is called with the name of a storage whose turn has come; it should be reconciled soon.
    A `limit` of 0 is none.
    """

    def __init__(self, limit: int, clock: Clock, wake: Callable[[str], None]) -> None:
        self._limit = limit
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._rolls: dict[str, _Roll] = {}
        self._line: dict[str, None] = {}
        self._order = 0
        self._proven = 0
        """The highest order of a roll that ended well."""
        self._trials = 0
        """Slots given beyond the limit since then."""

    def restore(self, rolling: Mapping[str, str | None]) -> None:
        """Give the storages in the middle of a roll their slots, however many they are.

        `rolling` names them, each with the revision of its running template. To be called at the
        start, before anybody asks for a slot.
        """
        with self._lock:
            for name, revision in rolling.items():
                self._rolls[name] = _Roll(revision, 0, self._clock.monotonic())

    def may_roll(self, name: str, revision: str, stage: Stage) -> bool:
        """Whether the storage may be given the template of `revision` and lose old pods now.

        `stage` is how far it is on the way there. To be asked at every look at a storage, also
        at those that are settled or stuck: that is how slots become free.
        """
        if not self._limit:
            return True
        with self._lock:
            allowed = self._may_roll_locked(name, revision, stage)
            woken = self._next_locked()
        self._wake_all(woken)
        return allowed

    def leave(self, name: str) -> None:
        """Give back slot and place of a storage that is deleted, or refused as it stands."""
        with self._lock:
            self._end_locked(name, well=False)
            woken = self._next_locked()
        self._wake_all(woken)

    def _wake_all(self, names: Iterable[str]) -> None:
        for name in names:
            self._wake(name)

    def _may_roll_locked(self, name: str, revision: str, stage: Stage) -> bool:
        if stage in {Stage.NOTHING, Stage.SETTLED}:
            self._end_locked(name, well=stage is Stage.SETTLED)
            return True
        roll = self._rolls.get(name)
        if roll and roll.revision != revision and self._is_beyond_locked(roll):
            roll = None
            del self._rolls[name]
        if roll is None:
            self._line.setdefault(name)
            if name not in self._next_locked():
                return False
            self._trials += self._free_locked() <= 0
            del self._line[name]
        if roll is None or roll.revision != revision:
            self._order += 1
            roll = _Roll(revision, self._order, self._clock.monotonic())
            self._rolls[name] = roll
        # One whose template cannot be written shows nothing in its objects.
        unwritten = stage is Stage.OUTDATED and self._clock.monotonic() - roll.began >= TRIAL
        roll.stuck = stage is Stage.STUCK or unwritten
        return True

    def _end_locked(self, name: str, *, well: bool) -> None:
        self._line.pop(name, None)
        roll = self._rolls.pop(name, None)
        if roll and well:
            self._proven = max(self._proven, roll.order)
            self._trials = 0

    def _next_locked(self) -> list[str]:
        """Those at the head of the line whose turn it is."""
        return [*islice(self._line, max(self._free_locked(), self._is_trial_due_locked()))]

    def _free_locked(self) -> int:
        return self._limit - len(self._counted_locked())

    def _is_trial_due_locked(self) -> bool:
        counted = self._counted_locked()
        last = max((roll.began for roll in counted), default=0.0)
        due = last + TRIAL * 2**self._trials <= self._clock.monotonic()
        return due and all(roll.stuck for roll in counted)

    def _counted_locked(self) -> list[_Roll]:
        return [roll for roll in self._rolls.values() if not self._is_excused_locked(roll)]

    def _is_excused_locked(self, roll: _Roll) -> bool:
        return roll.stuck and roll.order < self._proven

    def _is_beyond_locked(self, roll: _Roll) -> bool:
        """Whether a roll that would begin anew has no slot within the limit to do it in."""
        return self._is_excused_locked(roll) or self._free_locked() < 0


def rolling_now(
    replica_sets: Iterable[Json], pods: Callable[[str], Iterable[Json]]
) -> dict[str, str | None]:
    """Return the storages that are in the middle of a roll, as `Rollouts.restore` takes them.

    `pods` gives those that carry the label of a storage.
    """
    found = {}
    for replica_set in replica_sets:
        name = storage_of(REPLICA_SETS, replica_set["metadata"]["name"])
        if name and is_rolling(replica_set, pods_of(replica_set, pods(name))):
            found[name] = pod_revision(replica_set["spec"]["template"])
    return found
