"""`metav1.Condition`s: what they are and how a list of them changes.

A condition's transition time moves only when its status does, so that a reader can tell since
when a storage has been ready, whatever happened to the message meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Condition:
    """One statement: `type` is or is not true, for a CamelCase reason, told in `message`."""

    type: str
    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a storage; the reason is CamelCase, the message says what to do.

    One that `passes` goes by itself in time, and nobody has to act.
    """

    reason: str
    message: str
    passes: bool = False


def merge_conditions(
    current: Sequence[Mapping[str, Any]],
    wanted: Iterable[Condition],
    *,
    generation: int,
    now: str,
) -> list[dict[str, Any]]:
    """Return the list to write: `wanted` in order, then what we do not know, untouched.

    `now` is RFC 3339 in UTC, to the second, as the API server keeps it.
    """
    before = {condition["type"]: condition for condition in current if "type" in condition}
    merged = []
    for condition in wanted:
        old = before.pop(condition.type, None)
        status = "True" if condition.status else "False"
        # What an older CRD let in may lack anything.
        since = old.get("lastTransitionTime") if old and old.get("status") == status else None
        merged.append(
            {
                "type": condition.type,
                "status": status,
                "observedGeneration": generation,
                "lastTransitionTime": since or now,
                "reason": condition.reason,
                "message": condition.message,
            }
        )
    return merged + [dict(condition) for condition in before.values()]


def find_condition(status: Mapping[str, Any], type_: str) -> Mapping[str, Any] | None:
    """Return the condition of this type in a raw status, or None."""
    conditions: Sequence[Mapping[str, Any]] = status.get("conditions") or ()
    return next((c for c in conditions if c.get("type") == type_), None)
