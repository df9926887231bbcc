"""The events of a watch, checked, ready to be stored."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import structlog

from informers.clock import Clock
from informers.errors import ApiError, ConnectionFailed
from informers.listwatch import EventStream
from informers.resource import Resource
from informers.rest.watch import Event
from informers.store import Object

_log = structlog.get_logger(__name__)

SHORT_WATCH = 1.0
"""A watch without an event that ends within these seconds is a failure, as in client-go.

One that breaks so soon, or ends so soon where it began, is not opened again at once either.
"""

Transform = Callable[[Object], Object]
"""Changes its argument or makes another object; may raise, which loses the object."""

_OBJECT_EVENTS = frozenset({"ADDED", "MODIFIED", "DELETED"})


class VeryShortWatch(Exception):  # noqa: N818 - it reads as what happened
    """The watch ended at once and brought nothing."""


class Sink(Protocol):
    """Takes single events: the queue, or the store in which an initial list is put together."""

    def add(self, obj: Object) -> Any: ...
    def update(self, obj: Object) -> Any: ...
    def delete(self, obj: Object) -> Any: ...
    def bookmark(self, resource_version: str) -> Any: ...


def put(sink: Sink, kind: str, obj: Object) -> None:
    """Pass an object on according to the type of its event."""
    if kind == "MODIFIED":
        sink.update(obj)
    elif kind == "ADDED":
        sink.add(obj)
    else:
        sink.delete(obj)


def drop_managed_fields(obj: Object) -> Object:
    """The default transform: managedFields are half of an object and nobody here reads them."""
    obj["metadata"].pop("managedFields", None)
    return obj


class EventReader:
    """Checks what arrives of `resource`. Used by one thread; `last_message` by any."""

    def __init__(self, resource: Resource, clock: Clock) -> None:
        self._resource = resource
        self._clock = clock
        self.transform: Transform = drop_managed_fields
        self.last_message = clock.monotonic()

    def heard(self) -> None:
        """Note that the server gave a sign of life."""
        self.last_message = self._clock.monotonic()

    def prepare(self, obj: Object) -> Object:
        """What is kept of an object: servers leave kind and apiVersion out of lists' items."""
        obj.setdefault("kind", self._resource.kind)
        obj.setdefault("apiVersion", self._resource.api_version)
        return self.transform(obj)

    def read(self, stream: EventStream) -> Iterator[tuple[str, Object, str]]:
        """Type, object and resourceVersion of each event that is one, until the stream ends.

        A stream that breaks ends like any other: the next one goes on where it stopped. Raises
        `ApiError` for an ERROR event, `VeryShortWatch`, and `ConnectionFailed` if it broke
        within `SHORT_WATCH`.
        """
        opened, events = self._clock.monotonic(), 0
        for event in self._until_broken(stream, opened):
            self.heard()
            if event.get("type") == "ERROR":
                raise ApiError.from_status(event["object"])
            checked = self._checked(event)
            if checked is not None:
                events += 1
                yield checked
        if not events and self._clock.monotonic() - opened < SHORT_WATCH:
            raise VeryShortWatch("the watch ended at once and brought nothing")

    def _until_broken(self, stream: EventStream, opened: float) -> Iterator[Event]:
        try:
            # Not "yield from": that closes the stream when the reader is left before its end.
            for event in stream:  # noqa: UP028 - see above
                yield event
        except ConnectionFailed as error:
            if self._clock.monotonic() - opened < SHORT_WATCH:
                raise
            _log.debug("watch_broke", resource=self._resource.group_resource, error=str(error))

    def _checked(self, event: Event) -> tuple[str, Object, str] | None:
        """None for what is not of our kind or has no version: logged, and never fatal."""
        kind, obj = event.get("type"), event["object"]
        try:
            version = obj["metadata"]["resourceVersion"]
            if obj["kind"] == self._resource.kind:
                if kind in _OBJECT_EVENTS:
                    return kind, self.prepare(obj), version
                if kind == "BOOKMARK":
                    return kind, obj, version
            reason = f"{kind} of {obj['kind']}"
        except Exception as error:  # noqa: BLE001 - a transform may raise anything
            reason = repr(error)
        about = {"resource": self._resource.group_resource, "reason": reason}
        _log.warning("watch_event_skipped", **about)
        return None
