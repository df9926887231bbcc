"""What one reconcile has changed, for the one line about it in the log.

Its writes are made in many places. Each of them is a line of its own at the level debug; together
they are told by whoever began the reconcile, once, however it ends.
"""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import structlog

_log = structlog.get_logger("controller.changes")


@dataclass(slots=True)
class Changes:
    """The writes of a reconcile in their order, and the conditions of the last status."""

    writes: list[str] = field(default_factory=list)
    conditions: Mapping[str, str] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return the fields of the line, none if nothing was written."""
        told = {"writes": self.writes, "conditions": self.conditions}
        return {name: value for name, value in told.items() if value}


_current: ContextVar[Changes | None] = ContextVar("changes", default=None)


@contextlib.contextmanager
def collected() -> Iterator[Changes]:
    """Collect what this thread writes meanwhile."""
    changes = Changes()
    token = _current.set(changes)
    try:
        yield changes
    finally:
        _current.reset(token)


def wrote(verb: str, kind: str, name: str, why: str = "") -> None:
    """Note a write that the server has answered; `name` has the namespace if it is not ours."""
    _log.debug("wrote", write=verb, kind=kind, object=name, **({"why": why} if why else {}))
    if changes := _current.get():
        changes.writes.append(f"{verb} {kind} {name}" + (f": {why}" if why else ""))


def became(conditions: Mapping[str, str]) -> None:
    """Note how the conditions stand that were just written, by lower-case type."""
    if changes := _current.get():
        changes.conditions = conditions
