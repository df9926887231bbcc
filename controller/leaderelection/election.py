"""Who leads, decided by one candidate: no thread, no call, and the time is handed in.

What keeps two from leading at once:

- A holder leads until `renew_deadline` after it sent the last write that was answered. Others
  count `lease_duration`, which is longer, from when they first saw the effect of that write: later
  than it was sent. Nobody compares a time of another's clock with his own, so clocks may be wrong;
  they may not run at rates that differ by more than these two durations do.
- Every write is guarded by the version that was seen, so of two that take a lease one is refused.

As client-go's tools/leaderelection in all but this: a leader that reads of another holder, or of
none, ends at once and not at its deadline.
"""

import math
import random
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Final

from controller.leaderelection.record import LeaderElectionRecord, Lease, acquired, renewed

JITTER_FACTOR: Final = 1.2
"""Of the retry period: what candidates wait beyond it at most. client-go's, whose renew deadline
has to be longer than the retry period by it."""


@dataclass(frozen=True, slots=True)
class LeaderElectionConfig:
    """In seconds; the defaults are client-go's.

    A lease is good for `lease_duration` from its last renewal, a leader that could not renew it
    for `renew_deadline` gives up, and all look at it every `retry_period`. The first is longer
    than the second, and that than `JITTER_FACTOR` times the third.
    """

    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    @property
    def call_timeout(self) -> float:
        """Seconds that one call may take, as in controller-runtime: one may hang, a second not."""
        return self.renew_deadline / 2

    @property
    def written_duration(self) -> int:
        """What others are told. Whole seconds: rounded up, or they would come too early."""
        return math.ceil(self.lease_duration)


@dataclass(frozen=True, slots=True)
class Observation:
    """A record, None for no lease, and when it was seen first, by the clock of who looked."""

    record: LeaderElectionRecord | None
    since: float

    def expires(self, otherwise: float) -> float:
        """When it is over; `otherwise` is the duration of a record that tells none."""
        told = self.record.lease_duration if self.record else None
        return self.since + (otherwise if told is None else told)


class Move(Enum):
    """What a candidate may do about what it has just read."""

    ACQUIRE = auto()
    RENEW = auto()
    WAIT = auto()
    LOST = auto()


def decide(
    seen: Observation, identity: str, *, leading: bool, duration: float, now: float
) -> Move:
    """Return what `identity` may do; `duration` is that of its own leases."""
    record = seen.record
    if record is not None and record.holder == identity:
        return Move.RENEW
    if leading:
        return Move.LOST
    if record is None or not record.holder or now >= seen.expires(duration):
        return Move.ACQUIRE
    return Move.WAIT


@dataclass(frozen=True, slots=True)
class Read:
    """Ask for the lease."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write `record` over the lease of this version; make it if that is None."""

    record: LeaderElectionRecord
    resource_version: str | None


Request = Read | Write


class _Step(Enum):
    READ = auto()
    WRITE = auto()
    OVER = auto()


class Election:
    """What one candidate knows and does next. Not thread safe; all times are monotonic seconds.

    `begin`, then `next_request`, and `answered` or `failed` for each, until it returns None: that
    is one attempt. The next one is due after `pause`. Once `lost` says why, it is over for good.
    """

    def __init__(self, identity: str, config: LeaderElectionConfig) -> None:
        self.identity = identity
        self.config = config
        self.lost = ""
        self.slow_paths = 0
        """Attempts of a leader that had to read."""
        self.may_hold = False
        """Whether a write was sent, so that the lease may be ours, answered or not."""
        self.renewed_at: float | None = None
        """When the last write was sent that was answered."""
        self._lease: Lease | None = None
        self._seen: Observation | None = None
        self._step = _Step.OVER
        self._own = False
        """Whether `_lease` is what we wrote last, as far as we know."""

    @property
    def holder(self) -> str | None:
        """Who leads, as far as we know: '' is nobody, None that nothing is known yet."""
        if self._seen is None:
            return None
        return self._seen.record.holder if self._seen.record else ""

    @property
    def leading(self) -> bool:
        """Whether this candidate has come to lead and has not lost; see `left` for how long."""
        return self.renewed_at is not None and not self.lost

    def left(self, now: float) -> float:
        """Seconds that a leader may go on for."""
        return math.inf if self.renewed_at is None else self._deadline(self.renewed_at) - now

    def expire(self, now: float) -> None:
        """Lose what was not renewed in time."""
        if self.leading and self.left(now) <= 0:
            self._lose(f"not renewed within {self.config.renew_deadline:g} s")

    def begin(self) -> None:
        """Begin an attempt: a leader that knows its lease writes without a read."""
        self._step = _Step.WRITE if self._own else _Step.READ

    def next_request(self, now: float, wall: datetime) -> Request | None:
        """Return what to ask the server now; None if the attempt is over."""
        self.expire(now)
        if self.lost or self._step is _Step.OVER:
            return None
        if self._step is _Step.READ:
            self.slow_paths += self.leading
            return Read()
        # Decided here and not when the lease was read: a watch may have told more since.
        match self._move(now):
            case Move.LOST:
                self._lose(f"held by {self.holder}" if self.holder else "the lease was taken away")
                return None
            case Move.WAIT:
                self._step = _Step.OVER
                return None
        self.may_hold = True
        version = self._lease.resource_version if self._lease else None
        return Write(self._next_record(wall), version)

    def answered(self, lease: Lease | None, *, request: Request, sent: float, now: float) -> None:
        """Note the server's answer to `request`: the lease as it is, None if there is none."""
        self._observe(lease, now)
        if isinstance(request, Read):
            self._step = _Step.WRITE
            return
        self.renewed_at = sent
        self._own = True
        self._step = _Step.OVER
        self.expire(now)

    def failed(self, *, refused: bool) -> None:
        """Note that a request was `refused`, or that it is unknown what became of it."""
        # Only the write without a read is worth a second request at once.
        again = refused and self._own
        self._own = False
        self._step = _Step.READ if again else _Step.OVER

    def noticed(self, lease: Lease | None, now: float) -> bool:
        """Note what a watch shows, which may be old; True if an attempt should not wait."""
        holder = lease.record.holder if lease else ""
        if self.leading:
            if holder != self.identity:
                self._own = False
            return holder != self.identity
        news = self.holder is not None and holder != self.holder
        self._observe(lease, now)
        return news

    def pause(self, now: float, rng: random.Random) -> float:
        """Seconds until the next attempt: when a lease may have ended, it does not wait longer."""
        period = self.config.retry_period
        if self.leading:
            return period
        polling = period * (1 + JITTER_FACTOR * rng.random())
        if self._seen is None or not self.holder:
            return polling
        left = self._seen.expires(self.config.lease_duration) - now
        return min(polling, left) if left > 0 else polling

    def _deadline(self, renewed_at: float) -> float:
        return renewed_at + self.config.renew_deadline

    def _next_record(self, wall: datetime) -> LeaderElectionRecord:
        before, duration = (
            self._lease.record if self._lease else None,
            self.config.written_duration,
        )
        if before is not None and before.holder == self.identity:
            return renewed(before, duration, wall)
        return acquired(before, self.identity, duration, wall)

    def _move(self, now: float) -> Move:
        seen = self._seen or Observation(None, now)
        duration = self.config.lease_duration
        return decide(seen, self.identity, leading=self.leading, duration=duration, now=now)

    def _observe(self, lease: Lease | None, now: float) -> None:
        """Count from now if the record is another one than before."""
        record = lease.record if lease else None
        if self._seen is None or record != self._seen.record:
            self._seen = Observation(record, now)
        self._lease = lease

    def _lose(self, why: str) -> None:
        self.lost = why
        self._own = False
        self._step = _Step.OVER
