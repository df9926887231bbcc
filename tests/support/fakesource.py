"""An API server of one resource in memory: it can lag, repeat, refuse, expire and reorder."""

import itertools
import queue
import threading
from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from types import TracebackType
from typing import Any, Self

from informers.errors import ApiError, ConnectionFailed
from informers.listwatch import Query
from informers.rest.watch import Event
from informers.store import Object, Objects
from tests.support.listerwatcher import bookmark, config_map, listed, status

_END = object()


class FakeSource:
    """Keeps ConfigMaps and their history; a `ListerWatcher` with a hand on the other side.

    What it gives out are copies, as over a wire.
    """

    def __init__(self, *, streaming: bool) -> None:
        self.supports_watch_list = streaming
        self.page_size = 500
        self._lock = threading.Lock()
        self._objects: dict[str, Object] = {}
        self._cached: tuple[int, Objects] = (-1, [])
        self._history: list[tuple[int, Event]] = []
        self._version = 1
        self._oldest = 0
        self._streams: list[_Stream] = []
        self._refusals: deque[Exception] = deque()
        self._rest: dict[str, tuple[int, Objects]] = {}
        self._tokens = itertools.count()
        self._interrupted = False
        self.lists = 0
        self.watches = 0
        self.written = 0
        """The version of the newest change of an object."""
        self.repeated: set[str] = set()
        """The versions of the deletions that were sent more than once."""

    # -- the hand

    def write(self, name: str, value: int) -> None:
        """Create or change an object."""
        with self._lock:
            self._version += 1
            old = self._objects.get(name)
            obj = config_map(name, self._version, value=str(value))
            obj["metadata"]["uid"] = old["metadata"]["uid"] if old else f"uid-{self._version}"
            self._objects[name] = obj
            self._emit("MODIFIED" if old else "ADDED", obj)

    def remove(self, name: str) -> None:
        """Delete an object if there is one."""
        with self._lock:
            obj = self._objects.pop(name, None)
            if obj is not None:
                self._version += 1
                metadata = {**obj["metadata"], "resourceVersion": str(self._version)}
                self._emit("DELETED", {**obj, "metadata": metadata})

    def pass_by(self) -> None:
        """Move the version on by a write to something else, of which nobody here is told."""
        with self._lock:
            self._version += 1

    def lag(self) -> None:
        """Answer out of a cache that has got as far as now, for whom that is far enough."""
        with self._lock:
            self._cached = self._version, [*self._objects.values()]

    def repeat(self) -> None:
        """Send the newest event once more to those who watch."""
        with self._lock:
            if self._history:
                event = self._history[-1][1]
                if event["type"] == "DELETED":
                    self.repeated.add(event["object"]["metadata"]["resourceVersion"])
                self._send(event)

    def bookmark(self) -> None:
        """Tell those who watch how far they are."""
        with self._lock:
            self._send(bookmark(self._version))

    def reorder(self) -> None:
        """List from now on the other way round."""
        with self._lock:
            self._objects = dict(reversed(self._objects.items()))

    def refuse(self, *errors: Exception) -> None:
        """Answer the next requests, be they lists or watches, with these."""
        with self._lock:
            self._refusals.extend(errors)

    def break_off(self, error: ConnectionFailed | Event | None = None) -> None:
        """End all watches: by an error of the connection, an ERROR event, or in peace."""
        with self._lock:
            for stream in self._streams:
                stream.queue.put(error or _END)
                stream.queue.put(_END)
            self._streams.clear()

    def expire(self, *, in_stream: bool) -> None:
        """Forget the history; those who watch learn so now or when they come back."""
        with self._lock:
            self._version += 1
            self._oldest = self._version
            self._history.clear()
            self._rest.clear()
        self.break_off(status(410, "Expired") if in_stream else None)

    @property
    def version(self) -> int:
        """How far it is, which lists and bookmarks tell."""
        with self._lock:
            return self._version

    def snapshot(self) -> dict[str, Object]:
        """What there is, by key."""
        with self._lock:
            return {f"default/{name}": obj for name, obj in self._objects.items()}

    # -- the list-watcher

    def list(self, query: Query) -> dict[str, Any]:
        with self._lock:
            self._check()
            self.lists += 1
            token = str(query.get("continue") or "")
            if token:
                if token not in self._rest:
                    raise ApiError(410, "Expired", "the continue token is too old")
                version, objects = self._rest.pop(token)
            else:
                asked = str(query.get("resourceVersion") or "")
                self._check_version(asked)
                version, objects = self._state(asked)
            return self._page(version, deepcopy(objects), limited=bool(query.get("limit")))

    def watch(self, query: Query) -> "_Stream":
        with self._lock:
            self._check()
            self.watches += 1
            version = str(query.get("resourceVersion") or "")
            self._check_version(version)
            stream = _Stream()
            for event in self._first_events(query, version):
                stream.queue.put(deepcopy(event))
            self._streams.append(stream)
            return stream

    def interrupt(self) -> None:
        with self._lock:
            self._interrupted = True
        self.break_off()

    def reconnect(self) -> None:
        self.break_off(ConnectionFailed("https://fake", "cut", dropped=True))

    def _page(self, version: int, objects: Objects, *, limited: bool) -> dict[str, Any]:
        if not limited or len(objects) <= self.page_size:
            return listed(version, *objects)
        token = str(next(self._tokens))
        self._rest[token] = (version, objects[self.page_size :])
        return listed(version, *objects[: self.page_size], token=token)

    def _state(self, asked: str) -> tuple[int, Objects]:
        """Version and objects for a list that may not be older than `asked`."""
        if asked and int(asked) <= self._cached[0]:
            return self._cached
        return self._version, [*self._objects.values()]

    def _first_events(self, query: Query, asked: str) -> Iterator[Event]:
        begin = int(asked or 0)
        if query.get("sendInitialEvents"):
            begin, objects = self._state(asked)
            for obj in objects:
                yield {"type": "ADDED", "object": obj}
            yield bookmark(begin, end=True)
        yield from (event for at, event in self._history if at > begin)

    def _check(self) -> None:
        if self._interrupted:
            raise ConnectionFailed("https://fake", "closed")
        if self._refusals:
            raise self._refusals.popleft()

    def _check_version(self, version: str) -> None:
        if version not in {"", "0"} and int(version) < self._oldest:
            raise ApiError(410, "Expired", "too old")

    def _emit(self, kind: str, obj: Object) -> None:
        event = {"type": kind, "object": obj}
        self._history.append((self._version, event))
        self.written = self._version
        self._send(event)

    def _send(self, event: Event) -> None:
        for stream in self._streams:
            stream.queue.put(deepcopy(event))


class _Stream:
    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        item: Event | ConnectionFailed | object = self.queue.get()
        if isinstance(item, ConnectionFailed):
            raise item
        if not isinstance(item, dict):
            raise StopIteration
        return item

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return
