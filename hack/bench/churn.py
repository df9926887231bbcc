"""What an informer holds on to while objects come, change and go: an hour, told in ten tenths.

Objects arrive as parsed JSON, each with strings of its own, as from a server. Now and then the
handler stands still while changes pile up. `python -m hack.bench.churn OBJECTS CHANGES` prints
a line of JSON: what one object took after the first list and after each tenth of the changes.
"""

import gc
import json
import random
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

import orjson

from hack.bench.load import REPLICA_SETS, stored
from hack.bench.measured import resident
from informers import SharedIndexInformer, relax_collector
from informers.listwatch import Query
from informers.rest.watch import Event
from workqueue.clock import RealClock

TENTHS = 10

_PILE = 500
"""Changes that pile up while the handler stands still."""

_DELETIONS = 0.02
"""The part of the changes that delete."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an object takes in the memory of the process, on average."""

    resident: float
    """Bytes of the resident set."""
    blocks: float
    """Blocks of Python's allocator: exact where the resident set is rounded up."""


class Server:
    """A list-watch whose only watch gives as many random changes as it is told to."""

    supports_watch_list = False

    def __init__(self, objects: int, seed: int = 1) -> None:
        self._objects = objects
        self._version = objects
        self._allowed = threading.Semaphore(0)
        self._ended = False
        self._rng = random.Random(seed)  # noqa: S311 - it is load
        self._there = [True] * objects

    def change(self, times: int) -> None:
        """Let the watch give so many more."""
        self._allowed.release(times)

    def list(self, _query: Query) -> dict[str, Any]:
        items = [_parsed(stored(number, number + 1)) for number in range(self._objects)]
        return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    def watch(self, _query: Query) -> Self:
        return self

    def interrupt(self) -> None:
        self._ended = True
        self._allowed.release()

    def reconnect(self) -> None:
        """There is no connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def __iter__(self) -> Iterator[Event]:
        while self._allowed.acquire() and not self._ended:
            yield self._event()

    def _event(self) -> Event:
        """One change in fifty is a deletion; what is gone comes back."""
        self._version += 1
        number = self._rng.randrange(self._objects)
        kind = "MODIFIED" if self._there[number] else "ADDED"
        if self._there[number] and self._rng.random() < _DELETIONS:
            kind = "DELETED"
        self._there[number] = kind != "DELETED"
        return {"type": kind, "object": _parsed(stored(number, self._version))}


class SlowHandler:
    """Stands still while `gate` is closed; counts what it is told."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.seen = 0

    def on_add(self, _obj: Any, _is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's
        self._note()

    def on_update(self, _old: Any, _new: Any) -> None:
        self._note()

    def on_delete(self, _obj: Any) -> None:
        self._note()

    def _note(self) -> None:
        self.gate.wait()
        self.seen += 1


def held(objects: int, changes: int) -> list[Held]:
    """Run it in this process; what an object takes after the list and after each tenth."""
    relax_collector()
    server, handler, clock = Server(objects), SlowHandler(), RealClock()
    before = _used()
    rng = random.Random(1)  # noqa: S311 - it is load
    informer = SharedIndexInformer(REPLICA_SETS, server, clock=clock, rng=rng)
    informer.add_event_handler(handler)
    informer.start()
    try:
        _await(lambda: handler.seen == objects)
        figures = [_held(before, objects)]
        for tenth in range(1, TENTHS + 1):
            handler.gate.clear()
            server.change(changes // TENTHS)
            _await(lambda: informer.handler_queued_items >= min(_PILE, changes // TENTHS - 1))
            handler.gate.set()
            expected = objects + tenth * (changes // TENTHS)
            _await(lambda: handler.seen == expected)  # noqa: B023 - awaited before it changes
            figures.append(_held(before, objects))
        return figures
    finally:
        handler.gate.set()
        informer.stop()
        informer.join()


def _parsed(obj: Any) -> Any:
    return orjson.loads(orjson.dumps(obj))


def _used() -> tuple[int, int]:
    gc.collect()
    return resident(), sys.getallocatedblocks()


def _held(before: tuple[int, int], objects: int) -> Held:
    return Held(*((now - then) / objects for now, then in zip(_used(), before, strict=True)))


def _await(condition: Callable[[], bool]) -> None:
    never = threading.Event()
    while not condition():
        never.wait(0.001)


if __name__ == "__main__":
    print(json.dumps([asdict(one) for one in held(int(sys.argv[1]), int(sys.argv[2]))]))
