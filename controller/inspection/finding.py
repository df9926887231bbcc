"""What a check has found: a level, what it is about, what there is, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Level(Enum):
    """How much a finding matters; only a FAIL is one for the exit code."""

    OK = "OK"
    WARN = "WARN"
    """Works now, and will not for ever or not for everything."""
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"
    """Cannot be told from here, or not by who asks: `todo` says how to find out."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's; `todo` is '' where there is nothing to do."""

    level: Level
    check: str
    what: str
    todo: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "level": self.level.value,
            "check": self.check,
            "what": self.what,
            "todo": self.todo,
        }


def failed(findings: Iterable[Finding]) -> int:
    """Count those that are wrong beyond doubt."""
    return sum(1 for finding in findings if finding.level is Level.FAIL)
