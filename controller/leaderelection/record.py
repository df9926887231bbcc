"""What a Lease says: who leads, for how long that holds, since when."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self

RELEASED: Final = 1
"""Seconds that a released lease is good for, as in client-go: the API takes no 0."""

_MOST_TRANSITIONS: Final = 2**31 - 1
"""The API takes no more, and what it refuses would keep everybody from leading for ever."""


@dataclass(frozen=True, slots=True)
class LeaderElectionRecord:
    """The spec of a Lease, by client-go's name.

    `holder` is '' if nobody leads. `lease_duration` is in whole seconds. The times are as they are
    written, of the holder's clock: they are for people, and never compared with ours.
    """

    holder: str
    lease_duration: int | None
    acquire_time: str | None
    renew_time: str | None
    transitions: int

    @classmethod
    def of(cls, lease: Mapping[str, Any]) -> Self:
        """Read a Lease, in which every field may be absent."""
        spec = lease.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            lease_duration=spec.get("leaseDurationSeconds"),
            acquire_time=spec.get("acquireTime"),
            renew_time=spec.get("renewTime"),
            transitions=spec.get("leaseTransitions") or 0,
        )

    def spec(self) -> dict[str, Any]:
        """Return the fields that are ours, as the API takes them."""
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.lease_duration,
            "acquireTime": self.acquire_time,
            "renewTime": self.renew_time,
            "leaseTransitions": self.transitions,
        }


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as the server told it."""

    record: LeaderElectionRecord
    resource_version: str

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> Self:
        return cls(LeaderElectionRecord.of(obj), obj["metadata"]["resourceVersion"])


def acquired(
    before: LeaderElectionRecord | None, identity: str, lease_duration: int, now: datetime
) -> LeaderElectionRecord:
    """Return the record by which `identity` takes over from `before`, or begins without one."""
    transitions = min(before.transitions + 1, _MOST_TRANSITIONS) if before else 0
    time = micro_time(now)
    return LeaderElectionRecord(identity, lease_duration, time, time, transitions)


def renewed(
    before: LeaderElectionRecord, lease_duration: int, now: datetime
) -> LeaderElectionRecord:
    """Return the record by which the holder goes on."""
    return replace(before, lease_duration=lease_duration, renew_time=micro_time(now))


def released(before: LeaderElectionRecord, now: datetime) -> LeaderElectionRecord:
    """Return the record by which the holder lets go."""
    time = micro_time(now)
    return LeaderElectionRecord("", RELEASED, time, time, before.transitions)


def micro_time(now: datetime) -> str:
    """Write a time as the API's MicroTime."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
