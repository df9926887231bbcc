"""An API server of one resource in memory, to watch from: it can lose, repeat and expire."""

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from informers.errors import ApiError, ConnectionFailed
from informers.listwatch import Query
from informers.store import Object
from informers.watch import Event
from tests.support.listerwatcher import bookmark, config_map, listed, status

_END = object()


class FakeSource:
    """Keeps ConfigMaps and their history; a `ListerWatcher` with a hand on the other side."""

    def __init__(self, *, streaming: bool) -> None:
        self.supports_watch_list = streaming
        self._lock = threading.Lock()
        self._objects: dict[str, Object] = {}
        self._history: list[tuple[int, Event]] = []
        self._version = 1
        self._oldest = 0
        self._streams: list[_Stream] = []
        self._interrupted = False
        self.lists = 0
        self.watches = 0

    # -- the hand

    def write(self, name: str, value: int) -> None:
        """Create or change an object."""
        with self._lock:
            self._version += 1
            kind = "MODIFIED" if name in self._objects else "ADDED"
            obj = config_map(name, self._version, value=str(value))
            self._objects[name] = obj
            self._emit({"type": kind, "object": obj})

    def remove(self, name: str) -> None:
        """Delete an object if there is one."""
        with self._lock:
            obj = self._objects.pop(name, None)
            if obj is not None:
                self._version += 1
                gone = config_map(name, self._version, **obj["data"])
                self._emit({"type": "DELETED", "object": gone})

    def repeat(self) -> None:
        """Send the newest event once more to those who watch."""
        with self._lock:
            if self._history:
                self._send(self._history[-1][1])

    def bookmark(self) -> None:
        """Tell those who watch how far they are."""
        with self._lock:
            self._send(bookmark(self._version))

    def break_off(self, error: ConnectionFailed | None = None) -> None:
        """End all watches, by an error or in peace."""
        with self._lock:
            for stream in self._streams:
                stream.queue.put(error or _END)
            self._streams.clear()

    def expire(self, *, in_stream: bool) -> None:
        """Forget the history; those who watch learn so now or when they come back."""
        with self._lock:
            self._version += 1
            self._oldest = self._version
            self._history.clear()
            if in_stream:
                self._send(status(410, "Expired"))
        self.break_off()

    def snapshot(self) -> dict[str, Object]:
        """What there is, by key."""
        with self._lock:
            return {f"default/{name}": obj for name, obj in self._objects.items()}

    # -- the list-watcher

    def list(self, query: Query) -> dict[str, Any]:
        with self._lock:
            self._check_open()
            self.lists += 1
            version = str(query.get("resourceVersion") or "")
            if version not in {"", "0"} and int(version) < self._oldest:
                raise ApiError(410, "Expired", "too old")
            return listed(self._version, *self._objects.values())

    def watch(self, query: Query) -> "_Stream":
        with self._lock:
            self._check_open()
            self.watches += 1
            version = int(str(query.get("resourceVersion") or 0))
            if version and version < self._oldest:
                raise ApiError(410, "Expired", "too old")
            stream = _Stream()
            for event in self._first_events(query, version):
                stream.queue.put(event)
            self._streams.append(stream)
            return stream

    def interrupt(self) -> None:
        with self._lock:
            self._interrupted = True
        self.break_off()

    def _first_events(self, query: Query, version: int) -> Iterator[Event]:
        if query.get("sendInitialEvents"):
            for obj in self._objects.values():
                yield {"type": "ADDED", "object": obj}
            yield bookmark(self._version, end=True)
        else:
            yield from (event for at, event in self._history if at > version)

    def _check_open(self) -> None:
        if self._interrupted:
            raise ConnectionFailed("https://fake", "closed")

    def _emit(self, event: Event) -> None:
        self._history.append((self._version, event))
        self._send(event)

    def _send(self, event: Event) -> None:
        for stream in self._streams:
            stream.queue.put(event)


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
