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

    def close(self) -> None:
        with self.server.changed:
            self.closed = True
            self.server.changed.notify_all()

    def watch(
        self, resource: Resource, _namespace: str | None = None, *, query: Mapping[str, Any]
    ) -> "Stream":
        assert query["sendInitialEvents"], "nothing here ever ends a watch"
        return Stream(self, resource)


class Stream:
    """The events of one kind, until the session is closed."""

    def __init__(self, session: Session, resource: Resource) -> None:
        self._session = session
        self._resource = resource
        self._ready, self._position = session.server.begin(resource)

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
        history = server.history[self._resource]
        with server.changed:
            server.changed.wait_for(lambda: self._session.closed or len(history) > self._position)
            if self._session.closed:
                return None
            self._position += 1
            return deepcopy(history[self._position - 1])
