"""A `MemoryServer` that can be listed and watched, for real informers without sockets."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from copy import deepcopy
from types import TracebackType
from typing import Any, Self, cast

from informers import Client, Resource
from tests.support.memoryserver import MemoryServer

Json = dict[str, Any]

_TYPES = {"add": "MODIFIED", "delete": "DELETED"}


class WatchServer(MemoryServer):
    """Safe for threads. Selectors are not looked at: put in what a watch is to give."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition(threading.RLock())
        self.history: dict[Resource, list[Json]] = defaultdict(list)
        self.stalled: set[Resource] = set()

    def stall(self, resource: Resource) -> None:
        """Let the watches of this kind bring nothing, until one of them is replaced."""
        with self.changed:
            self.stalled.add(resource)

    def session(self) -> Client:
        return cast("Client", Session(self))

    def close(self) -> None:
        """Its calls end by themselves; only sessions have anything to cut."""

    def begin(self, resource: Resource) -> tuple[list[Json], int]:
        """Return the events that a streaming list begins with, and where it goes on from."""
        with self.changed:
            initial = [{"type": "ADDED", "object": obj} for obj in self.all(resource)]
            annotations = {"k8s.io/initial-events-end": "true"}
            meta = {"resourceVersion": str(self._revision), "annotations": annotations}
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}
            end = {"type": "BOOKMARK", "object": {**kind, "metadata": meta}}
            return [*initial, end], len(self.history[resource])

    def after(self, resource: Resource, version: int) -> int:
        """Return where in the history the events begin that are newer than `version`."""
        with self.changed:
            versions = [
                int(e["object"]["metadata"]["resourceVersion"]) for e in self.history[resource]
            ]
            return sum(known <= version for known in versions)

    def all(self, resource: Resource) -> list[Json]:
        with self.changed:
            return super().all(resource)

    def remove(self, resource: Resource, name: str) -> None:
        with self.changed:
            super().remove(resource, name)

    def _store(self, resource: Resource, obj: Json, before: Json | None) -> Json:
        with self.changed:
            return super()._store(resource, obj, before)

    def _tell(self, resource: Resource, verb: str, obj: Json) -> None:
        super()._tell(resource, verb, obj)
        self.history[resource].append({"type": _TYPES[verb], "object": deepcopy(obj)})
        self.changed.notify_all()


class Session:
    """The connections of one informer."""

    def __init__(self, server: WatchServer) -> None:
        self.server = server
        self.closed = False
        self.streams: list[Stream] = []

    def close(self) -> None:
        with self.server.changed:
            self.closed = True
            self.server.changed.notify_all()

    def reconnect(self) -> None:
        """Cut what is open; what comes then is not stalled."""
        with self.server.changed:
            for stream in self.streams:
                stream.cut = True
                self.server.stalled.discard(stream.resource)
            self.streams.clear()
            self.server.changed.notify_all()

    def watch(
        self, resource: Resource, _namespace: str | None = None, *, query: Mapping[str, Any]
    ) -> "Stream":
        stream = Stream(self, resource, query)
        self.streams.append(stream)
        return stream


class Stream:
    """The events of one kind, until it is cut or the session closed."""

    def __init__(self, session: Session, resource: Resource, query: Mapping[str, Any]) -> None:
        self._session = session
        self.resource = resource
        self.cut = False
        if query.get("sendInitialEvents"):
            self._ready, self._position = session.server.begin(resource)
        else:
            self._ready = []
            self._position = session.server.after(resource, int(query["resourceVersion"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def __iter__(self) -> Iterator[Json]:
        while (event := self._next()) is not None:
            yield event

    def _next(self) -> Json | None:
        if self._ready:
            return self._ready.pop(0)
        server = self._session.server
        history = server.history[self.resource]
        with server.changed:
            server.changed.wait_for(lambda: self._over() or self._has_more(history))
            if self._over():
                return None
            self._position += 1
            return deepcopy(history[self._position - 1])

    def _has_more(self, history: list[Json]) -> bool:
        stalled = self.resource in self._session.server.stalled
        return not stalled and len(history) > self._position

    def _over(self) -> bool:
        return self._session.closed or self.cut
