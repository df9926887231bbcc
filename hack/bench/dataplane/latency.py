"""How long an API server takes over a storage, each way by turns."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from hack.dataplane.flunders import Flunders
from hack.dataplane.keyvalue import KeyValue
from informers import ConnectionFailed

ENOUGH = 3.0
"""Seconds after which no more of what takes so long is asked for."""
PAUSE = 0.02
"""Seconds before each question, by which one server is asked less than ten times a second.

It asks etcd for progress at most so often: a list that comes sooner waits for the next time.
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """An API server, and another tenant of the same core."""

    flunders: Flunders
    other: KeyValue

    def write(self) -> None:
        """Let the other one write: the core's revision is then one that ours has not seen."""
        self.other.put("/other/key", b"x")


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds, one for each question."""

    taken: list[float] = field(default_factory=list)
    refusal: str = ""
    """Of the last answer."""


def by_turns(
    asked: Sequence[Asked],
    ask: Callable[[Flunders], str],
    rounds: int,
    *,
    pause: float = PAUSE,
) -> list[Times]:
    """Ask each `rounds` times, after a write of the other tenant; `ask` returns a refusal or "".

    What it takes to be asked for the first time is left out.
    """
    for one in asked:
        one.write()
        ask(one.flunders)
    times = [Times() for _ in asked]
    for _ in range(rounds):
        for at, one in enumerate(asked):
            if sum(times[at].taken) < ENOUGH:
                threading.Event().wait(pause)
                times[at] = _once_more(times[at], one, ask)
    return times


def one_after_another(
    asked: Sequence[Asked], ask: Callable[[Flunders], str], rounds: int
) -> list[Times]:
    """The same, but all questions to one before those to the next, without a pause."""
    return [by_turns([one], ask, rounds, pause=0)[0] for one in asked]


def _once_more(times: Times, one: Asked, ask: Callable[[Flunders], str]) -> Times:
    one.write()
    began = time.perf_counter()
    refusal = ask(one.flunders)
    return Times([*times.taken, time.perf_counter() - began], refusal)


def listed(flunders: Flunders) -> str:
    """Ask for a consistent list."""
    flunders.list()
    return ""


def streamed(flunders: Flunders) -> str:
    """Ask for a streaming list."""
    return flunders.stream().refusal


@dataclass(frozen=True, slots=True)
class Created:
    """Seconds for each object: until the call returned, and until a watcher knew."""

    returned: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)


def creates(flunders: Sequence[Flunders], rounds: int) -> list[Created]:
    """Create so many objects on each, by turns."""
    watchers = [Watcher(one) for one in flunders]
    created = [Created() for _ in flunders]
    try:
        for number in range(rounds):
            for one, watcher, times in zip(flunders, watchers, created, strict=True):
                name = f"created-{number}"
                began = time.perf_counter()
                one.create(name)
                times.returned.append(time.perf_counter() - began)
                times.seen.append(watcher.seen(name) - began)
    finally:
        for watcher in watchers:
            watcher.stop()
    return created


class Watcher:
    """Notes when it sees an object, in a thread of its own."""

    def __init__(self, flunders: Flunders) -> None:
        self._session = flunders.session()
        self._seen: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        self._watch = self._session.watch(self._session.list())
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def seen(self, name: str) -> float:
        """Wait for this object and return when it came, by `time.perf_counter`."""
        while True:
            found, when = self._seen.get(timeout=30)
            if found == name:
                return when

    def stop(self) -> None:
        self._session.close()
        self._thread.join()

    def _read(self) -> None:
        with suppress(ConnectionFailed), self._watch as watch:
            for event in watch:
                self._seen.put((event["object"]["metadata"]["name"], time.perf_counter()))
