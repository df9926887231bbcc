"""Storages that are not as they should be, in their own words."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from controller.api.storage import read_storage
from controller.inspection.finding import Finding, Level
from controller.inspection.rows import trouble_of
from controller.inspection.table import shortened

Json = Mapping[str, Any]

CHECK: Final = "storages"

SEEN_WITHIN: Final = timedelta(minutes=1)
"""A controller looks at a new storage within seconds."""

_NAMED: Final = 20
"""Storages, at most: a core that is away troubles all of them alike."""

_SHOWN: Final = 300


def findings(storages: Sequence[Json], now: datetime) -> Iterator[Finding]:
    """Name the storages with a trouble, those first that need a person."""
    found = [finding for storage in storages if (finding := _finding(storage, now))]
    found.sort(key=lambda finding: finding.level is not Level.FAIL)
    yield from found[:_NAMED]
    if len(found) > _NAMED:
        todo = "etcdproxy-controller status"
        yield Finding(Level.WARN, CHECK, f"{len(found) - _NAMED} more have a trouble", todo)
    if not found:
        yield Finding(Level.OK, CHECK, f"none of {len(storages)} has a trouble")


def _finding(storage: Json, now: datetime) -> Finding | None:
    read = read_storage(storage)
    trouble = trouble_of(read)
    if trouble is None:
        return None
    what = f"{read.name}: {trouble.reason}: {shortened(trouble.message, _SHOWN)}"
    unseen = not read.status and now - read.created > SEEN_WITHIN
    level = Level.WARN if trouble.passes and not unseen else Level.FAIL
    todo = "does the controller run?" if unseen else f"kubectl describe etcdstorage {read.name}"
    return Finding(level, CHECK, what, todo)
