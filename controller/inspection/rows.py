"""EtcdStorages as the table of `status` has them: pure functions of objects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from controller.api.conditions import find_condition
from controller.api.storage import EtcdStorage, read_storage
from controller.api.times import read_time
from controller.inspection import memory
from controller.inspection.table import shortened
from controller.status import DEGRADED, DEPLOYED, READY

Json = Mapping[str, Any]

HEADER: Final = (
    *("NAME", "MODE", "ISOLATION", "ENDPOINT", "PODS", "MEMORY", "CERTS", "KEYS", "TROUBLE"),
)

_SHOWN: Final = 90
"""Characters of a trouble in a table; `-o json` has it whole."""

_NONE: Final = "-"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a storage; one that `passes` needs nobody yet."""

    reason: str
    message: str
    passes: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One storage; None is what nobody has told, `memory` is in bytes.

    `certificates_end` is when the first of its certificates does.
    """

    name: str
    mode: str
    isolation: str | None
    endpoint: str | None
    ready: int
    wanted: int
    memory: int | None
    certificates_end: datetime | None
    keys: int | None
    trouble: Trouble | None

    def cells(self, now: datetime) -> tuple[str, ...]:
        """Return the row as `HEADER` has it."""
        end = self.certificates_end
        trouble = self.trouble
        return (
            self.name,
            self.mode,
            self.isolation or _NONE,
            self.endpoint or _NONE,
            f"{self.ready}/{self.wanted}",
            memory.told(self.memory),
            time_left(end - now) if end else _NONE,
            _NONE if self.keys is None else str(self.keys),
            shortened(f"{trouble.reason}: {trouble.message}", _SHOWN) if trouble else _NONE,
        )

    def as_json(self, now: datetime) -> dict[str, Any]:
        end, trouble = self.certificates_end, self.trouble
        return {
            "name": self.name,
            "mode": self.mode,
            "isolation": self.isolation,
            "endpoint": self.endpoint,
            "readyPods": self.ready,
            "wantedPods": self.wanted,
            "memoryBytes": self.memory,
            "certificatesEnd": f"{end:%Y-%m-%dT%H:%M:%SZ}" if end else None,
            "certificatesDaysLeft": (end - now) // timedelta(days=1) if end else None,
            "keys": self.keys,
            "trouble": trouble and {"reason": trouble.reason, "message": trouble.message},
        }


def row(obj: Json, used: int | None) -> Row:
    """Return an EtcdStorage's row; `used` is the memory of its pods."""
    storage = read_storage(obj)
    status = storage.status
    return Row(
        name=storage.name,
        mode=storage.mode,
        isolation=status.get("isolation"),
        endpoint=status.get("endpoint"),
        ready=status.get("readyReplicas") or 0,
        wanted=storage.replicas,
        memory=used,
        certificates_end=min(_ends(status), default=None),
        keys=storage.keys,
        trouble=trouble_of(storage),
    )


def trouble_of(storage: EtcdStorage) -> Trouble | None:
    """Return what is wrong with a storage, by its status; None if nothing is.

    What needs a person comes before what keeps its objects from being made, and that before
    what its pods wait for.
    """
    status = storage.status
    if find_condition(status, DEPLOYED) is None:
        return Trouble("NotSeen", "no controller has looked at it yet", passes=True)
    for type_, bad in ((DEGRADED, "True"), (DEPLOYED, "False"), (READY, "False")):
        found = find_condition(status, type_) or {}
        if found.get("status") == bad:
            reason, message = str(found.get("reason", "")), str(found.get("message", ""))
            return Trouble(reason, message, passes=type_ != DEGRADED)
    if status.get("observedGeneration") != storage.generation:
        return Trouble("NotSeen", "no controller has looked at its last change yet", passes=True)
    return None


def time_left(left: timedelta) -> str:
    """Return the time until an end in its largest unit: days, else hours, or that it is over."""
    if left <= timedelta(0):
        return "over"
    return f"{left.days}d" if left.days else f"{left // timedelta(hours=1)}h"


def _ends(status: Json) -> Iterator[datetime]:
    """Yield the ends of all certificates that a status tells of."""
    certificates = status.get("certificates") or {}
    user = status.get("coreClientCertificate")
    told = [
        *(certificates.get(kind) or {} for kind in ("signing", "serving")),
        *(certificates.get("clients") or ()),
        user if isinstance(user, Mapping) else {},
    ]
    for certificate in told:
        for name in ("notAfter", "servedNotAfter"):
            if (end := read_time(certificate.get(name))) is not None:
                yield end
