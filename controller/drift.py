"""Fields of ours that somebody else keeps changing: pure decisions on when to mend them again.

What differs is mended at once, also if it is not the first time. After `FIGHT` times in which what
we wrote has not stayed it is a fight, which somebody has to end: from then on it is told, and each
try waits twice as long as the last one. It is over when what we wrote has stayed for longer than
it ever did before.

A field is as much of an object as makes sense to write at once: the whole template of pods, the
whole content of a Secret.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

Json = Mapping[str, Any]
Field = tuple[str, ...]
"""Such as ("spec", "replicas"); () is the object itself."""

FIGHT: Final = 5
"""So often undone, it is neither a person that tries things out nor one that makes up its mind."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
"""Seconds between two tries."""

_CALM: Final = 30.0
"""Seconds that what we wrote has to stay for a fight to be over, at least."""

_REMEMBERED: Final = 600.0
"""Seconds after which another change of a field has nothing to do with the last one."""

_TOLD: Final = 3
"""Paths within a field that are told; others are counted."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What we `wrote` in a field, as in a merge patch, and when last, on a monotonic clock.

    `lost` says that not even the answer had it, `undone` that it has been seen not to have stayed,
    and `times` how often in a row. `longest` is how many seconds it ever stayed, `told` what was
    changed last and by whom. What we wrote is never shown: it may be a Secret's.
    """

    wrote: Any = field(repr=False)
    at: float
    lost: bool = False
    times: int = 0
    undone: bool = False
    longest: float = 0.0
    told: str = ""

    @property
    def fights(self) -> bool:
        """Whether somebody has to be told."""
        return self.times >= FIGHT

    @property
    def due(self) -> float:
        """When what was undone may be written again."""
        if not self.fights:
            return self.at
        return self.at + min(_FIRST_PAUSE * 2.0 ** min(self.times - FIGHT, 16), _LONGEST_PAUSE)

    @property
    def over(self) -> float:
        """When it is forgotten, if it stays until then."""
        return self.at + (max(_CALM, 2 * self.longest) if self.fights else _REMEMBERED)

    def again(self, now: float) -> float | None:
        """Return the seconds after which it is worth a look without any news.

        What is lost on its way to the server leaves none.
        """
        if self.undone:
            return max(0.0, self.due - now)
        if self.lost:
            return max(0.0, self.at + _FIRST_PAUSE - now)
        return self.over - now if self.fights else None


def written(before: Correction | None, wrote: Any, now: float, *, answer: Any) -> Correction:
    """Return what to remember of a field that has just been written, and is as in `answer` now."""
    lost = not holds(answer, wrote)
    if before is None:
        return Correction(wrote, now, lost)
    wrote = _both(before.wrote, wrote)
    return replace(before, wrote=wrote, at=now, lost=lost, undone=False)


def looked_at(before: Correction, value: Any, now: float, *, differs: bool) -> Correction | None:
    """Return what to remember of a field that holds `value` now, None for nothing.

    `differs`: it is to be written. If it still holds what we wrote it is we who want another.
    """
    if not differs or holds(value, before.wrote):
        return before if now < before.over else None
    if before.undone:
        return before
    longest = max(before.longest, now - before.at)
    return replace(before, undone=True, times=before.times + 1, longest=longest)


def holds(value: Any, wrote: Any) -> bool:
    """Whether a merge patch by `wrote` would leave `value` as it is.

    What the server fills in within the items of a list is no difference.
    """
    if isinstance(wrote, Mapping):
        return isinstance(value, Mapping) and all(holds(value.get(k), w) for k, w in wrote.items())
    if isinstance(wrote, list) and isinstance(value, list):
        return len(wrote) == len(value) and all(map(holds, value, wrote))
    return bool(value == wrote)


def fields(patch: Json) -> Iterator[tuple[Field, Any]]:
    """Yield the fields that a merge patch of an object writes, with what it says of each."""
    for name, value in patch.items():
        if name == "spec" and isinstance(value, Mapping):
            yield from (((name, inner), _kept(inner, said)) for inner, said in value.items())
        elif name == "metadata":
            yield from _metadata(value)
        else:
            yield (name,), value


def value_at(obj: Json | None, field: Field) -> Any:
    """Return what an object holds in a field, None if nothing."""
    value: Any = obj
    for name in field:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def paths(field: Field, wrote: Any) -> list[Field]:
    """Return what within a field is to be written; a list counts as a whole."""
    if not isinstance(wrote, Mapping) or not wrote:
        return [field]
    return [path for name, inner in wrote.items() for path in paths((*field, name), inner)]


def listed(found: Iterable[Field]) -> str:
    """Return paths as a person reads them, the first few."""
    names = [".".join(path) for path in found]
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more


def rivals(obj: Json, found: Iterable[Field], ours: str) -> list[str]:
    """Return which managers the server names for these paths of a live object, but `ours`.

    Where it names none for a field that is gone, it is the last one that wrote to the object. That
    none is left means that what we write is changed on its way: by a webhook or a policy.
    """
    entries = [e for e in obj["metadata"].get("managedFields") or () if "manager" in e]
    holders = [e for e in entries if any(_has(e.get("fieldsV1") or {}, path) for path in found)]
    if not holders:
        writers = [e for e in entries if e.get("subresource") != "status"]
        holders = sorted(writers, key=lambda e: e.get("time") or "")[-1:]
    return sorted({e["manager"] for e in holders} - {ours})


def _both(before: Any, wrote: Any) -> Any:
    """Return what two merge patches say together: who changes two things in turn undoes ours."""
    if not isinstance(before, Mapping) or not isinstance(wrote, Mapping):
        return wrote
    return {**before, **{name: _both(before.get(name), inner) for name, inner in wrote.items()}}


def _kept(name: str, wrote: Any) -> Any:
    """Return what is written, but of a template nothing that is taken out.

    The server may fill in a default in its place, and who adds something to a template of our
    revision is let be.
    """
    if name != "template" or not isinstance(wrote, Mapping):
        return wrote
    return {key: _kept(name, inner) for key, inner in wrote.items() if inner is not None}


def _metadata(patch: Json) -> Iterator[tuple[Field, Any]]:
    for name, value in patch.items():
        if name in {"labels", "annotations"} and isinstance(value, Mapping):
            yield from ((("metadata", name, key), said) for key, said in value.items())
        elif name != "resourceVersion":
            yield ("metadata", name), value


def _has(tree: Json, path: Field) -> bool:
    for name in path:
        if f"f:{name}" not in tree:
            return False
        tree = tree[f"f:{name}"]
    return True
