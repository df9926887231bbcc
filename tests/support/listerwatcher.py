"""A list-watcher that follows a script and remembers what it was asked, and its time."""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from informers.errors import ConnectionFailed
from informers.listwatch import Query
from informers.resource import Resource
from informers.rest.watch import Event
from informers.store import Object

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)


def config_map(name: str, version: int | str = "", **data: str) -> Object:
    """A ConfigMap of namespace "default"."""
    metadata = {"namespace": "default", "name": name, "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def listed(version: int | str, *objects: Object, **metadata: str) -> dict[str, Any]:
    """A list, or a page of it; `metadata` may hold a `token` to continue with."""
    extra = {"continue": metadata["token"]} if "token" in metadata else {}
    metadata = {"resourceVersion": str(version), **extra}
    return {"kind": "ConfigMapList", "metadata": metadata, "items": [*objects]}


def event(kind: str, obj: Object) -> Event:
    return {"type": kind, "object": obj}


def bookmark(version: int | str, *, end: bool | str = False) -> Event:
    """A bookmark; with `end` the one behind the initial events."""
    metadata: dict[str, Any] = {"resourceVersion": str(version)}
    if end:
        metadata["annotations"] = {"k8s.io/initial-events-end": str(end).lower()}
    return {"type": "BOOKMARK", "object": {"kind": "ConfigMap", "metadata": metadata}}


def status(code: int, reason: str, message: str = "", **details: Any) -> Event:
    """An ERROR event."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return {"type": "ERROR", "object": {**body, "details": details}}


class InstantClock:
    """Every wait is over at once and moves the time by its length; `waits` has them all.

    Those of the thread that made it, that is: for others time does not pass by waiting.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self._owner = threading.current_thread()

    def monotonic(self) -> float:
        return self.now

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        if threading.current_thread() is not self._owner:
            return event.wait()
        assert timeout is not None, "this clock cannot wait for ever"
        self.waits.append(timeout)
        self.now += timeout
        return event.is_set()

    def wait_on(self, condition: threading.Condition, timeout: float | None) -> bool:
        raise AssertionError(f"nothing that uses this clock waits on {condition} for {timeout}")


class Stream:
    """What one watch gives: events, exceptions to raise, seconds that pass, things to do."""

    def __init__(self, *steps: Event | Exception | float | Callable[[], None]) -> None:
        self._steps = iter(steps)
        self.clock: InstantClock | None = None
        self.closed = False

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, dict):
                return step
            if isinstance(step, float):
                assert self.clock
                self.clock.now += step
            else:
                step()
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.closed = True


class ScriptedListerWatcher:
    """Answers by `answers` in order: pages for lists, streams for watches, or exceptions.

    `requests` has verb and query of each call, but the timeouts of the watches, which are in
    `timeouts`. When the script is over it calls `at_end`, and every call fails.
    """

    def __init__(
        self,
        *answers: dict[str, Any] | Stream | Exception,
        streaming: bool = False,
        clock: InstantClock | None = None,
    ) -> None:
        self.supports_watch_list = streaming
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.timeouts: list[int] = []
        self.at_end: Callable[[], None] = lambda: None
        self.interrupted = False
        self.reconnects = 0
        self.answers = answers
        self._left = itertools.chain(answers)
        self._clock = clock

    def list(self, query: Query) -> dict[str, Any]:
        self.requests.append(("list", dict(query)))
        page = self._answer()
        assert isinstance(page, Mapping), f"the script has {page!r}, asked was for a list"
        return dict(page)

    def watch(self, query: Query) -> Stream:
        asked = dict(query)
        timeout = asked.pop("timeoutSeconds")
        assert isinstance(timeout, int)
        self.timeouts.append(timeout)
        self.requests.append(("watch", asked))
        stream = self._answer()
        assert isinstance(stream, Stream), f"the script has {stream!r}, asked was for a watch"
        stream.clock = self._clock
        return stream

    def interrupt(self) -> None:
        self.interrupted = True

    def reconnect(self) -> None:
        self.reconnects += 1

    def _answer(self) -> Any:
        answer = next(self._left, None)
        if answer is None:
            self.requests.pop()
            self.at_end()
            raise ConnectionFailed("https://script", "the script is over")
        if isinstance(answer, Exception):
            raise answer
        return answer
