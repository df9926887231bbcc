"""Lists and watches one resource for ever and passes on what it sees.

One attempt is a list, streamed by the watch itself where the server can, followed by watches
from the version reached. An attempt ends by an error; the next one follows after a backoff and
lists again. What can be mended without a list (a stream that ended, a server that refuses
connections or is busy, a connection that was silent for too long) only opens a new watch.
"""

import contextlib
import random
import threading
from typing import Any, Protocol

import structlog

from informers.backoff import Backoff
from informers.clock import Clock
from informers.errors import (
    ApiError,
    ConnectionFailed,
    is_expired,
    is_too_large_resource_version,
    is_too_many_requests,
)
from informers.events import SHORT_WATCH, EventReader, Sink, Transform, VeryShortWatch, put
from informers.listwatch import EventStream, ListerWatcher, Query
from informers.pager import PAGE_SIZE, list_all
from informers.resource import Resource
from informers.stall import StallWarning
from informers.store import Object, Objects, Store
from informers.watcherrors import WatchErrorHandler, log_watch_error

_log = structlog.get_logger(__name__)

_ANY_VERSION = "0"
"""For the first list any version will do, so that the server may answer out of its cache."""

MIN_WATCH_SECONDS = 300
"""A watch asks the server to end it after this long to twice this, as in client-go, so that the
watches of many clients do not end at the same time."""

MAX_RETRY_AFTER = 60.0
"""Seconds that a server may ask for, before jitter: as long as the backoff comes to at most by
itself. With more, one wrong header would leave the copy outdated for hours."""

MAX_CUT_STREAMS = 3
"""Streaming lists that may be cut short in one attempt; then it makes do with a list.

A proxy that ends all connections after a while would otherwise never let it come to an end.
"""

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""Annotation of the bookmark that follows the objects that exist."""


class ReflectorStore(Sink, Protocol):
    """What a reflector fills."""

    def replace(self, objects: Objects, resource_version: str, /) -> Any:
        """Exactly these exist as of `resource_version`."""
        ...


class Reflector:
    """Fills `store` from `source`. `run` belongs to one thread; the rest may come from any.

    `transform` and `watch_error_handler` may be set before `run`.
    """

    def __init__(
        self,
        resource: Resource,
        source: ListerWatcher,
        store: ReflectorStore,
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._resource = resource
        self._source = source
        self._store = store
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff(clock, rng)
        self._reader = EventReader(resource, clock)
        self._stop = threading.Event()
        self._replaced = threading.Event()
        # Held while a watch is cut: one that is opened meanwhile could be cut unmarked.
        self._replacing = threading.Lock()
        self._version = ""
        self._version_unavailable = False
        self._pages_from_cache = False
        self.watch_error_handler: WatchErrorHandler = log_watch_error
        self.last_error: Exception | None = None

    @property
    def transform(self) -> Transform:
        """Applied once to each object that arrives."""
        return self._reader.transform

    @transform.setter
    def transform(self, transform: Transform) -> None:
        self._reader.transform = transform

    @property
    def last_message(self) -> float:
        """When the server was last heard of, by the clock's monotonic time."""
        return self._reader.last_message

    def run(self) -> None:
        """One attempt after the other until `stop`."""
        while not self._stop.is_set():
            # No failure may end the thread, one to report or to wait included.
            with contextlib.suppress(Exception):
                self._pause(self._attempt())

    def stop(self) -> None:
        """End `run`, whatever it waits for."""
        self._stop.set()
        self._source.interrupt()

    def reconnect(self) -> None:
        """End the watch under way; another one takes over where it stands, without a list."""
        with self._replacing:
            # Marked first, as its reader may see the cut at once.
            self._replaced.set()
            self._source.reconnect()

    def _attempt(self) -> Exception | None:
        """List and watch until that fails; returns the error, if it was one, once reported."""
        try:
            self._list_and_watch()
        except Exception as error:  # noqa: BLE001 - whatever it is, another attempt may succeed
            self._report(error)
            return error
        return None

    def _list_and_watch(self) -> None:
        stream = self._stream_list() if self._source.supports_watch_list else None
        if stream is None and not self._stop.is_set():
            self._list()
        # Entered here too, because a stop may come before the watch goes on with it.
        with stream or contextlib.nullcontext():
            self._watch(stream)

    def _list(self) -> None:
        """List, and once more without a version if the one at hand is of no use any more."""
        version = self._relist_version(_ANY_VERSION)
        try:
            result = list_all(
                self._source.list, version, self._page_size(version), self._reader.prepare
            )
        except ApiError as error:
            if not _version_is_useless(error):
                raise
            self._version_unavailable = True
            result = list_all(self._source.list, "", self._page_size(""), self._reader.prepare)
        # A server that pages what its cache would give in one piece has no cache to spare.
        self._pages_from_cache |= version == _ANY_VERSION and result.paginated
        self._reader.heard()
        self._sync_with(result.objects, result.resource_version)

    def _page_size(self, version: str) -> int:
        """No pages at a version of one's own choice: the server's cache answers that at once."""
        concrete = version not in {"", _ANY_VERSION}
        return 0 if concrete and not self._pages_from_cache else PAGE_SIZE

    def _stream_list(self) -> EventStream | None:
        """Get the objects by a watch that begins with them, and return it to go on with.

        None if that fails for this attempt, so that an ordinary list has to do.
        """
        cut = 0
        while not self._stop.is_set():
            try:
                with contextlib.ExitStack() as stack:
                    stream = stack.enter_context(self._open(self._streaming_query()))
                    self._sync_from(stream)
                    stack.pop_all()
                    return stream
            except (ApiError, ConnectionFailed, VeryShortWatch) as error:
                cut += self._was_cut(error)
                if cut == MAX_CUT_STREAMS or not self._can_stream_again(error):
                    _log.debug("streaming_list_failed", **self._about(error))
                    return None
        return None

    def _sync_from(self, stream: EventStream) -> None:
        """Read the initial events into a store of their own, then replace the real one.

        Raises `ConnectionFailed` if the stream ends before the bookmark that says they are
        complete.
        """
        staging = Store()
        with StallWarning(self._resource, self._clock, lambda: self.last_message):
            for kind, obj, version in self._reader.read(stream, strict=True):
                if kind != "BOOKMARK":
                    put(staging, kind, obj)
                elif _ends_initial_events(obj):
                    self._sync_with(staging.list(), version)
                    return
        raise ConnectionFailed("API server", "the initial events are not complete", dropped=True)

    def _was_cut(self, error: Exception) -> bool:
        """Whether a stream was lost, other than to a server that is away or to a `reconnect`."""
        lost = isinstance(error, ConnectionFailed) and not error.refused
        return lost and not self._replaced.is_set()

    def _can_stream_again(self, error: Exception) -> bool:
        if self._got_over(error):
            return True
        if _version_is_useless(error) and not self._version_unavailable:
            self._version_unavailable = True
            return True
        return False

    def _sync_with(self, objects: Objects, version: str) -> None:
        self._version_unavailable = False
        self._store.replace(objects, version)
        self._version = version

    def _watch(self, stream: EventStream | None) -> None:
        """Watch from the version reached, again and again, until that takes a new list."""
        while not self._stop.is_set():
            # One that was opened is entered even after a stop, or nobody would close it.
            stream = stream or self._open_watch()
            if stream is None:
                continue
            # A list alone is no recovery: who may list may not be allowed to watch.
            if self.last_error is not None:
                self._report(None)
            try:
                with stream:
                    self._follow(stream)
            except (ApiError, ConnectionFailed, VeryShortWatch) as error:
                if not self._goes_on(error):
                    return
            stream = None

    def _goes_on(self, error: Exception) -> bool:
        """Whether another watch may follow one that ended by `error`; waits first if it must."""
        if self._got_over(error):
            return True
        log = _log.debug if is_expired(error) else _log.warning
        log("watch_ended", **self._about(error))
        return False

    def _open_watch(self) -> EventStream | None:
        """Open a watch; None if the server takes none now, after waiting for a while."""
        try:
            return self._open(self._watch_query())
        except (ApiError, ConnectionFailed) as error:
            if not self._got_over(error):
                raise
            return None

    def _open(self, query: Query) -> EventStream:
        """Open a stream; a `reconnect` from now on is meant for this one."""
        with self._replacing:
            self._replaced.clear()
        return self._source.watch(query)

    def _follow(self, stream: EventStream) -> None:
        """Pass on events until the stream ends."""
        # Without a version to start from the stream begins with what exists, in any order.
        synthetic = self._version in {"", _ANY_VERSION}
        before, opened = self._version, self._clock.monotonic()
        for kind, obj, version in self._reader.read(stream):
            if kind == "BOOKMARK":
                self._store.bookmark(version)
            else:
                put(self._store, kind, obj)
            synthetic = synthetic and kind == "ADDED"
            if not synthetic:
                self._version = version
        # Opened again at once it would bring the same again, as fast as the server can.
        soon = self._clock.monotonic() - opened < SHORT_WATCH
        if soon and self._version == before and not self._replaced.is_set():
            self._pause()

    def _relist_version(self, first: str) -> str:
        """What to list at: never older than what was seen, unless that is no longer there."""
        return "" if self._version_unavailable else self._version or first

    def _streaming_query(self) -> Query:
        return {
            "resourceVersion": self._relist_version(""),
            "resourceVersionMatch": "NotOlderThan",
            "sendInitialEvents": True,
            "allowWatchBookmarks": True,
            "timeoutSeconds": self._watch_seconds(),
        }

    def _watch_query(self) -> Query:
        return {
            "resourceVersion": self._version,
            "allowWatchBookmarks": True,
            "timeoutSeconds": self._watch_seconds(),
        }

    def _watch_seconds(self) -> int:
        return int(MIN_WATCH_SECONDS * (1 + self._rng.random()))

    def _got_over(self, error: Exception) -> bool:
        """Whether another stream may mend it: at once after a `reconnect`, else after a wait."""
        if self._replaced.is_set() and not isinstance(error, ApiError):
            return True
        if not _reopens(error):
            return False
        self._report(error)
        self._pause(error)
        return True

    def _pause(self, error: Exception | None = None) -> None:
        """Wait a backoff step, or longer if the server has asked for it."""
        if self._stop.is_set():
            return
        asked = error.retry_after if isinstance(error, ApiError) else None
        delay = self._backoff.next_delay(min(asked or 0.0, MAX_RETRY_AFTER))
        self._clock.wait(self._stop, delay)

    def _report(self, error: Exception | None) -> None:
        """Tell the handler of a failure, or by None that it is over; never raises."""
        if self._stop.is_set():
            return
        self.last_error = error
        try:
            self.watch_error_handler(self._resource, error)
        except Exception:  # noqa: BLE001 - it is the user's, and the thread must live
            about = {"resource": self._resource.group_resource}
            with contextlib.suppress(Exception):  # nobody may be left who reads it
                _log.exception("watch_error_handler_failed", **about)

    def _about(self, error: Exception) -> dict[str, str]:
        return {"resource": self._resource.group_resource, "error": str(error)}


def _reopens(error: Exception) -> bool:
    """Whether a new watch from the same version may succeed later.

    client-go does so for a refused connection and a 429, and repeats lost ones in its HTTP
    layer; here both are the reflector's, as neither says anything against the version.
    """
    if isinstance(error, ConnectionFailed):
        return error.refused or error.dropped or error.timed_out
    return is_too_many_requests(error)


def _version_is_useless(error: Exception) -> bool:
    return is_expired(error) or is_too_large_resource_version(error)


def _ends_initial_events(bookmark: Object) -> bool:
    annotations = bookmark["metadata"].get("annotations") or {}
    return bool(annotations.get(INITIAL_EVENTS_END) == "true")
