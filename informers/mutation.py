"""Finds whoever changes an object that an informer has given out: those are read only.

A tool for tests, off unless the environment says otherwise: every object is kept a second time.
It tells that an object was changed and where, not by whom.
"""

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, Final

from informers.listener import Added, Notification, Updated
from informers.store import Object, meta_namespace_key

SWITCH: Final = "KUBE_CACHE_MUTATION_DETECTOR"
"""The variable that turns it on, as in client-go; true by the words that Go takes for it."""

PERIOD: Final = 1.0
"""Seconds between two comparisons, as in client-go."""

GENERATION: Final = 120
"""Comparisons, and so about 2 minutes, after which objects become an old generation, as in
client-go. That of before is forgotten then, so that each is watched for 2 to 4 minutes."""

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_MISSING: Final = object()


class MutationError(RuntimeError):
    """Somebody changed an object that is shared: what the store holds can not be trusted."""


class MutationDetector:
    """Keeps copies of objects and compares. Fed by one thread, run by another."""

    def __init__(self, name: str) -> None:
        """`name` is what the objects are called in the plural."""
        self._name = name
        self._lock = threading.Lock()
        self._young: list[tuple[Object, Object]] = []
        self._old: list[tuple[Object, Object]] = []
        self._comparisons = 0

    @property
    def copies(self) -> int:
        """How many are kept."""
        return len(self._young) + len(self._old)

    def add(self, notifications: Sequence[Notification]) -> None:
        """Watch over the objects that handlers are about to be given."""
        for one in notifications:
            match one:
                case Added(obj) | Updated(_, obj):
                    pair = (obj, copy.deepcopy(obj))
                    with self._lock:
                        self._young.append(pair)

    def compare(self) -> None:
        """Raise `MutationError` for what was changed, once; forget what is old."""
        with self._lock:
            pairs = [*self._old, *self._young]
            self._comparisons += 1
            if self._comparisons % GENERATION == 0:
                self._old, self._young = self._young, []
        found = [_described(*pair) for pair in pairs if pair[0] != pair[1]]
        if found:
            with self._lock:
                self._old, self._young = [], []
            raise MutationError(f"{self._name} changed by a reader: {', '.join(found)}")

    def run(self, stop: threading.Event) -> None:
        """Compare every `PERIOD` until `stop`. In real time: it is about real threads."""
        while not stop.wait(PERIOD):
            self.compare()


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for it."""
    return environ.get(SWITCH) in _TRUE


def difference(found: Any, expected: Any) -> str | None:
    """The path to the first place where the two differ, None if there is none.

    In the manner of kubectl: ".spec.containers[0].image". No values: they may be secret.
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        return _first(
            (f".{name}", found.get(name, _MISSING), expected.get(name, _MISSING))
            for name in chain(expected, found.keys() - expected.keys())
        )
    if isinstance(found, list) and isinstance(expected, list):
        pairs = enumerate(zip_longest(found, expected, fillvalue=_MISSING))
        return _first((f"[{n}]", one, other) for n, (one, other) in pairs)
    return None if found == expected else ""


def _first(parts: Iterator[tuple[str, Any, Any]]) -> str | None:
    for step, found, expected in parts:
        rest = difference(found, expected)
        if rest is not None:
            return step + rest
    return None


def _described(found: Object, expected: Object) -> str:
    return f"{meta_namespace_key(expected)} at {difference(found, expected) or '.'}"
