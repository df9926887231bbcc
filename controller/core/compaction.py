"""Whether anybody compacts the core, told from outside.

etcd tells nobody how it was started, and the metrics in which a compaction shows (all of them
`etcd_debugging_*`, so no promise) are behind HTTP, which a core may serve elsewhere or not at all.
What every core tells is whether its keys can still be read as they were. So a revision is noted
every hour, and one that was noted longer ago than anybody keeps history, and can be read all the
same, tells that nobody compacts. A restart of the controller begins anew: that makes the alarm
late, never false. What a core that is met for the first time still keeps tells nothing: etcd knows
no time of a revision, and a migration makes as many in an hour as others do in a month.
"""

from collections import deque
from typing import Final

from controller.api.conditions import Problem

NOTE: Final = 3600.0
"""Seconds between two notes."""

RETENTION: Final = 74 * 3600.0
"""Seconds: three days of history, which is much already, the hour that etcd lets pass between two
compactions, and one of slack."""

WRITES: Final = 10_000
"""Revisions that a core may keep whatever their age (`--auto-compaction-mode=revision`)."""

_KEPT: Final = 240
"""Notes: ten days. A core with fewer writes in them than `WRITES` has no history to speak of."""

PROBLEM: Final = Problem(
    "CoreNotCompacted",
    "the core etcd still has every change of the last three days: nobody compacts it, and it will "
    "run full. Start every member with --auto-compaction-mode=periodic and "
    "--auto-compaction-retention=5m (artifacts/etcd has them)",
)


class History:
    """What was noted. For one thread; times are the monotonic clock's."""

    def __init__(self) -> None:
        self._notes: deque[tuple[float, int]] = deque(maxlen=_KEPT)

    def note(self, now: float, revision: int) -> None:
        """Remember that `revision` is the latest now."""
        if self._notes and revision < self._notes[-1][1]:
            # A backup was restored: the old numbers mean nothing any more.
            self._notes.clear()
        if not self._notes or now - self._notes[-1][0] >= NOTE:
            self._notes.append((now, revision))

    def suspect(self, now: float) -> int | None:
        """Return a revision that must be compacted by now, or None if there is none yet.

        More than `WRITES` newer ones are out of every retention as well: a core that nobody
        writes to keeps its latest revision, however old.
        """
        old = [noted for at, noted in self._notes if now - at >= RETENTION]
        return next((noted for noted in reversed(old) if old[-1] - noted > WRITES), None)

    def compacted(self, revision: int) -> None:
        """Forget what is not newer than a revision that is compacted away."""
        while self._notes and self._notes[0][1] <= revision:
            self._notes.popleft()
