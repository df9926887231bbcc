"""Lists and watches of one resource, over connections of their own."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from informers.resource import Resource
from informers.rest.client import Client
from informers.rest.watch import Event

Query = Mapping[str, str | int | bool | None]
"""Parameters by the API's names, such as resourceVersion; empty ones are not sent."""


class EventStream(Protocol):
    """The events of one open watch, to be read by one loop or several in turn.

    Ends by itself or raises `ConnectionFailed`. Leaving it as a context closes it; it may be
    entered more than once before that.
    """

    def __iter__(self) -> Iterator[Event]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class ListerWatcher(Protocol):
    """Where a reflector gets its objects from."""

    supports_watch_list: bool
    """Whether a watch can begin with the objects that exist (sendInitialEvents)."""

    def list(self, query: Query) -> dict[str, Any]:
        """One list, or one page of it."""
        ...

    def watch(self, query: Query) -> EventStream:
        """Open a watch."""
        ...

    def interrupt(self) -> None:
        """End whatever is under way and fail whatever follows. Called from another thread."""
        ...

    def reconnect(self) -> None:
        """End whatever is under way; what follows is served anew. Called from another thread."""
        ...


class ListWatch:
    """A resource in one namespace, or in all; `selectors` may narrow it.

    `interrupt` and `reconnect` need connections that nobody else uses, so it opens a session of
    its own.
    """

    supports_watch_list = True

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str | None = None,
        selectors: Query | None = None,
    ) -> None:
        self._client = client.session()
        self._resource = resource
        self._namespace = namespace
        self._selectors = dict(selectors or {})

    def list(self, query: Query) -> dict[str, Any]:
        return self._client.list(self._resource, self._namespace, **self._merged(query))

    def watch(self, query: Query) -> EventStream:
        return self._client.watch(self._resource, self._namespace, query=self._merged(query))

    def interrupt(self) -> None:
        self._client.close()

    def reconnect(self) -> None:
        self._client.reconnect()

    def _merged(self, query: Query) -> dict[str, str | int | bool | None]:
        return {
            name: value
            for name, value in {**self._selectors, **query}.items()
            if value or value is False
        }
