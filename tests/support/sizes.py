"""How much everything that hangs on an object holds: where it would grow, a figure does."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

_OURS: Final = ("controller", "informers", "workqueue")
_CONTAINERS: Final = (dict, list, set, frozenset, deque, tuple)


def sizes(root: object) -> Counter[str]:
    """Return the entries of all containers in objects of our packages, by where they are."""
    found: Counter[str] = Counter()
    seen: set[int] = set()
    todo: list[tuple[str, object]] = [(type(root).__name__, root)]
    while todo:
        path, value = todo.pop()
        if id(value) in seen:
            continue
        if isinstance(value, _CONTAINERS):
            seen.add(id(value))
            # What cannot grow is told by what holds it.
            found[path] += 0 if isinstance(value, frozenset | tuple) else len(value)
            todo += ((f"{path}[]", each) for each in _entries(value))
        elif type(value).__module__.partition(".")[0] in _OURS:
            seen.add(id(value))
            todo += ((f"{type(value).__name__}.{name}", each) for name, each in _fields(value))
    return +found


def _entries(container: Any) -> list[object]:
    """Return what may hold more; an object of the API holds nothing of ours."""
    entries = [*container.values()] if isinstance(container, Mapping) else [*container]
    return [each for each in entries if not (isinstance(each, dict) and "metadata" in each)]


def _fields(obj: object) -> Iterator[tuple[str, object]]:
    """Yield the attributes, slots among them, and what a bound function is bound to."""
    yield from getattr(obj, "__dict__", {}).items()
    for kind in type(obj).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(obj, name):
                yield name, getattr(obj, name)
