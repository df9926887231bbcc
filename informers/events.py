"""The events of a watch, checked, ready to be stored."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import structlog

from informers.clock import Clock
from informers.errors import ApiError, ConnectionFailed
from informers.listwatch import EventStream
from informers.resource import Resource
from informers.rest.watch import Event
from informers.store import Object, meta_namespace_key

_log = structlog.get_logger(__name__)

SHORT_WATCH = 1.0
"""A watch without an event that ends within these seconds is a failure, as in client-go.

One that breaks so soon, or ends so soon where it began, is not opened again at once either.
"""

Transform = Callable[[Object], Object]
"""Changes its argument or makes another object, of the same key.

If it raises, an event is lost, but a list, streamed or not, fails: what is not in a list counts
as deleted.
"""

_EVENTS = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")


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
        """What is kept of an object: servers leave kind and apiVersion out of lists' items.

        Raises what the transform does, and `KeyError` or `TypeError` for what cannot be stored.
        """
        obj.setdefault("kind", self._resource.kind)
        obj.setdefault("apiVersion", self._resource.api_version)
        prepared = self.transform(obj)
        # Found out here it costs one object or one attempt; behind the queue, the informer.
        meta_namespace_key(prepared)
        return prepared

    def read(
        self, stream: EventStream, *, strict: bool = False
    ) -> Iterator[tuple[str, Object, str]]:
        """Type, object and resourceVersion of each event that is one, until the stream ends.

        A stream that breaks ends like any other: the next one goes on where it stopped. An
        object that cannot be prepared is passed over. With `strict`, for events that make up a
        list, both raise. Raises `ApiError` for an ERROR event, `VeryShortWatch`, and
        `ConnectionFailed` if the stream broke within `SHORT_WATCH`.
        """
        opened, events = self._clock.monotonic(), 0
        for event in stream if strict else self._until_broken(stream, opened):
            self.heard()
            if event.get("type") == "ERROR":
                raise ApiError.from_status(event["object"])
            checked = self._checked(event, strict=strict)
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

    def _checked(self, event: Event, *, strict: bool) -> tuple[str, Object, str] | None:
        """None for what is not of our kind and, unless `strict`, for what cannot be prepared."""
        kind, obj = event.get("type"), event["object"]
        if kind in _EVENTS and obj.get("kind") == self._resource.kind:
            try:
                version = obj["metadata"]["resourceVersion"]
                return kind, obj if kind == "BOOKMARK" else self.prepare(obj), version
            except Exception as error:
                if strict:
                    raise
                reason = repr(error)
        else:
            reason = f"{kind} of {obj.get('kind')}"
        about = {"resource": self._resource.group_resource, "reason": reason}
        _log.warning("watch_event_skipped", **about)
        return None
