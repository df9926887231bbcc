"""Storages that are not as they should be, in their own words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from controller.api.storage import EtcdStorage, read_storage
from controller.inspection.finding import Finding, Level
from controller.inspection.rows import trouble_of
from controller.inspection.table import shortened

Json = Mapping[str, Any]

CHECK: Final = "storages"

SEEN_WITHIN: Final = timedelta(minutes=1)
"""A controller looks at a new storage within seconds."""

_NAMED: Final = 20
"""Different troubles, at most."""

_SHOWN: Final = 300


def findings(storages: Sequence[Json], now: datetime) -> Iterator[Finding]:
    """Tell of each trouble, and of a storage that has it, those first that need a person.

    A core that is away troubles all storages alike: that is one finding.
    """
    names: dict[_Ill, list[str]] = {}
    for read in map(read_storage, storages):
        if ill := _ill(read, now):
            names.setdefault(ill, []).append(read.name)
    found = sorted(names, key=lambda ill: ill.level is not Level.FAIL)
    yield from (_finding(ill, names[ill]) for ill in found[:_NAMED])
    if rest := sum(len(names[ill]) for ill in found[_NAMED:]):
        todo = "etcdproxy-controller status"
        yield Finding(Level.WARN, CHECK, f"{rest} more have a trouble", todo)
    if not names:
        yield Finding(Level.OK, CHECK, f"none of {len(storages)} has a trouble")


@dataclass(frozen=True, slots=True)
class _Ill:
    """What ails a storage; `unseen`: no controller has said so, but none has been there."""

    level: Level
    what: str
    unseen: bool


def _ill(storage: EtcdStorage, now: datetime) -> _Ill | None:
    trouble = trouble_of(storage)
    if trouble is None:
        return None
    unseen = not storage.status and now - storage.created > SEEN_WITHIN
    level = Level.WARN if trouble.passes and not unseen else Level.FAIL
    return _Ill(level, f"{trouble.reason}: {shortened(trouble.message, _SHOWN)}", unseen)


def _finding(ill: _Ill, names: Sequence[str]) -> Finding:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    todo = "does the controller run?" if ill.unseen else f"kubectl describe etcdstorage {names[0]}"
    return Finding(ill.level, CHECK, f"{names[0]}{more}: {ill.what}", todo)
