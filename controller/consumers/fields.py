"""Whose the fields of an object are, as the server keeps it in managedFields.

A field is ours if we applied it last. A change by anybody else makes it theirs, ours with the
same value makes it both's.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

Path = tuple[str, ...]
"""Such as ("data", "tls.crt"); an owner reference goes by its uid."""

ANNOTATIONS: Final[Path] = ("metadata", "annotations")
OWNERS: Final[Path] = ("metadata", "ownerReferences")

Json = Mapping[str, Any]


def owned(obj: Json, manager: str) -> frozenset[Path]:
    """Return the fields that `manager` applied."""
    return frozenset(
        path
        for entry in _entries(obj)
        if _is_applied(entry, manager)
        for path in _leaves(entry.get("fieldsV1") or {})
    )


def applied_at(obj: Json, manager: str) -> datetime | None:
    """Return when `manager` last changed a field by what it applied; None if it has applied none.

    By the server's clock, in whole seconds.
    """
    times = [entry.get("time") for entry in _entries(obj) if _is_applied(entry, manager)]
    return max((datetime.fromisoformat(time) for time in times if time), default=None)


def writers(obj: Json, path: Path) -> list[str]:
    """Return who wrote a field; nobody if the object is older than the keeping of that."""
    return sorted({entry.get("manager", "") for entry in _entries(obj) if _has(entry, path)})


def _entries(obj: Json) -> list[Json]:
    return obj["metadata"].get("managedFields") or []


def _is_applied(entry: Json, manager: str) -> bool:
    return entry.get("manager") == manager and entry.get("operation") == "Apply"


def _has(entry: Json, path: Path) -> bool:
    return path in set(_leaves(entry.get("fieldsV1") or {}))


def _leaves(fields: Json, above: Path = ()) -> Iterator[Path]:
    """Yield the fields of a FieldsV1: "f:" is a name, "k:" an item by its keys, "." the whole."""
    for name, below in fields.items():
        kind, _, value = name.partition(":")
        if kind == "f":
            path = (*above, value)
            yield from _leaves(below, path) if below.keys() - {"."} else [path]
        elif kind == "k" and above == OWNERS:
            yield (*above, json.loads(value).get("uid", ""))
