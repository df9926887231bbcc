"""The shared informer: one list and watch, one store, any number of handlers.

Threads: a reflector puts what it lists and watches on an in-order queue; a processing thread
takes it from there, changes the store and then tells the handlers; each handler has a thread.
The store is always ahead of its handlers, never behind.
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from informers.clock import Clock
from informers.events import Transform
from informers.fifo import Closed, Entry, RealFIFO
from informers.handlers import ResourceEventHandler
from informers.latency import Latencies
from informers.listener import Listener
from informers.listwatch import ListerWatcher
from informers.mutation import MutationDetector, is_wanted
from informers.processing import apply
from informers.processor import Processor
from informers.reflector import Reflector
from informers.resource import Resource
from informers.store import IndexFunc, Store
from informers.watcherrors import WatchErrorHandler

_log = structlog.get_logger(__name__)

FailureHandler = Callable[["SharedIndexInformer", BaseException], None]
"""Told once of the informer that died and what of; must return soon.

Called on the thread that died, but for what `SharedIndexInformer.join` finds changed at the end:
that is told on the joining thread.
"""

STOP_TIMEOUT = 2.0
"""Seconds in which all threads of an informer have to end."""


class Registration:
    """A handler's place at an informer; registering it twice makes two."""

    def __init__(self, informer: "SharedIndexInformer", listener: Listener) -> None:
        self._informer = informer
        self._listener = listener

    def has_synced(self) -> bool:
        """Whether the handler was called for every object of the initial list.

        Never, if it raised for one of them.
        """
        return self._informer.has_synced() and self._listener.caught_up()

    def remove(self) -> None:
        """Take the handler off; one call to it may still be under way. May be repeated."""
        self._informer.remove_event_handler(self)

    def shut_down(self, timeout: float | None = None) -> bool:
        """Take the handler off and wait until no call to it is under way; True if so.

        client-go's ShutDownEventHandler. `timeout` is in real seconds, None for no limit.
        `RuntimeError` from within the handler, whose call would wait for itself.
        """
        if self._listener.thread is threading.current_thread():
            raise RuntimeError("a handler cannot wait for its own end: use remove()")
        self.remove()
        return self._listener.join(timeout)

    @property
    def listener(self) -> Listener:
        """For the informer."""
        return self._listener


class SharedIndexInformer:
    """Keeps `store` equal to the server's objects of `resource` and tells handlers of changes.

    Make it by a factory. `resync_period` is the default of its handlers, in seconds, 0 for
    never. `on_failure` is called when one of its threads dies, which is a bug and ends it.
    Objects are read only: `informers.mutation` finds who does not keep to it.
    """

    def __init__(  # noqa: PLR0913 - its settings, all by name
        self,
        resource: Resource,
        lister_watcher: ListerWatcher,
        *,
        clock: Clock,
        rng: random.Random,
        indexers: Mapping[str, IndexFunc] | None = None,
        resync_period: float = 0.0,
        on_failure: FailureHandler | None = None,
    ) -> None:
        self.resource = resource
        self.store = Store(indexers)
        self._clock = clock
        self._queue = RealFIFO(clock, resource.group_resource)
        self._reflector = Reflector(resource, lister_watcher, self._queue, clock=clock, rng=rng)
        name = f"informer-{resource.plural}"
        self._processor = Processor(clock, name, resync_period, self._guarded)
        # Covers "change the store, then tell the handlers", and with it who the handlers are.
        self._delivery = threading.RLock()
        self._started = False
        self._stopped = threading.Event()
        self._settled = threading.Event()
        self._on_failure = on_failure
        self._failures: list[BaseException] = []
        self._next_resync: float | None = None
        self._threads = [
            self._thread("reflector", self._reflector.run),
            self._thread("processor", self._process_until_closed),
        ]
        self._detector: MutationDetector | None = None
        if is_wanted(os.environ):
            self._detector = detector = MutationDetector(resource.group_resource)
            self._threads.append(self._thread("mutations", lambda: detector.run(self._stopped)))

    def __repr__(self) -> str:
        return f"SharedIndexInformer({self.resource.group_resource})"

    def add_event_handler(
        self, handler: ResourceEventHandler, resync_period: float | None = None
    ) -> Registration:
        """Tell `handler` of every object that is there, then of every change.

        `resync_period` in seconds: how often it is shown all objects again, out of the store;
        0 for never, None for the informer's default. `RuntimeError` after `stop`.
        """
        with self._delivery:
            if self._stopped.is_set():
                raise RuntimeError(f"{self!r} has stopped and takes no handlers")
            listener = self._processor.add(handler, resync_period, self.store.list())
            return Registration(self, listener)

    def remove_event_handler(self, registration: Registration) -> None:
        """Take a handler off; one that is not here, or not any more, is no error."""
        with self._delivery:
            self._processor.remove(registration.listener)

    def add_indexers(self, indexers: Mapping[str, IndexFunc]) -> None:
        """Index by more; the same function once more is no error.

        `ValueError` if a name is taken by another one, `RuntimeError` after `stop`.
        """
        with self._delivery:
            if self._stopped.is_set():
                raise RuntimeError(f"{self!r} has stopped and takes no indexers")
            self.store.add_indexers(indexers)

    def set_transform(self, transform: Transform) -> None:
        """Apply `transform` to each object once, as it arrives. Only before the start.

        It may change its argument or return another object. It takes the place of the default,
        `drop_managed_fields`.
        """
        self._require_not_started()
        self._reflector.transform = transform

    def set_watch_error_handler(self, handler: WatchErrorHandler) -> None:
        """Call `handler` with (resource, exception) when an attempt to list and watch fails.

        And with (resource, None) once a watch stands again. Only before the start. Whatever it
        does, the next attempt follows after a backoff.
        """
        self._require_not_started()
        self._reflector.watch_error_handler = handler

    def start(self) -> None:
        """Start the threads; a second call does nothing."""
        # A second call must not wait for an index function that hangs.
        if self._started:
            return
        with self._delivery:
            if self._started or self._stopped.is_set():
                return
            self._started = True
            self._processor.start()
            for thread in self._threads:
                thread.start()

    def stop(self) -> None:
        """Tell all threads to end, without waiting: `join` does that."""
        self._stopped.set()
        self._reflector.stop()
        self._queue.close()
        self._settled.set()

    def join(self, timeout: float = STOP_TIMEOUT) -> list[str]:
        """Wait up to `timeout` real seconds for the threads after `stop`; names those that run on.

        Reflector and queue end first, then the handlers. A mutation detector compares once more
        at the end, whatever time is left.
        """
        deadline = time.monotonic() + timeout
        alive = [thread.name for thread in self._threads if not _join(thread, deadline)]
        # Without the lock, which an index function that hangs would keep.
        listeners = self._processor.listeners
        late = [one for one in listeners if not one.join(max(0.0, deadline - time.monotonic()))]
        if self._detector:
            self._guarded(self._detector.compare)
        return alive + [listener.thread.name for listener in late]

    def reconnect(self) -> None:
        """Replace the watch by one from the version reached, without a list.

        For whoever misses a change that the connection, though it seems sound, does not bring.
        """
        self._reflector.reconnect()

    def has_synced(self) -> bool:
        """Whether the first list is in the store; handlers may still be working on it."""
        return self._queue.has_synced()

    @property
    def settled(self) -> threading.Event:
        """Set as soon as the informer has synced, or was stopped before it did."""
        return self._settled

    def is_alive(self) -> bool:
        """Whether it was started and does its work; False for ever once a thread died."""
        return self._started and all(thread.is_alive() for thread in self._threads)

    @property
    def failure(self) -> BaseException | None:
        """What a thread died of first, which is a bug, or None."""
        return self._failures[0] if self._failures else None

    @property
    def last_error(self) -> Exception | None:
        """What the last attempt to list and watch failed with; None once a watch stands."""
        return self._reflector.last_error

    def seconds_since_last_message(self) -> float:
        """Age of the last list or watch event; bookmarks keep it near a minute at most."""
        return self._clock.monotonic() - self._reflector.last_message

    @property
    def queued_items(self) -> int:
        """What the reflector has put on the queue and the store has not seen."""
        return len(self._queue)

    @property
    def handler_queued_items(self) -> int:
        """The notifications that wait for the handler that is furthest behind."""
        return self._processor.waiting()

    @property
    def processing_latency(self) -> Latencies:
        """How long the batches of the queue took, from there to the handlers' buffers."""
        return self._queue.processing_latency

    def _process_until_closed(self) -> None:
        """Feed the store and the handlers until the queue is closed and empty, then end these."""
        try:
            self._process_for_ever()
        finally:
            with self._delivery:
                self._processor.stop()

    def _process_for_ever(self) -> None:
        with contextlib.suppress(Closed):
            while True:
                self._queue.pop(self._process, self._until_resync())
                if self.has_synced():
                    self._settled.set()
                    self._resync_if_due()

    def _until_resync(self) -> float | None:
        if self._next_resync is None:
            return None
        return max(0.0, self._next_resync - self._clock.monotonic())

    def _resync_if_due(self) -> None:
        """Queue a resync once per check period, counted from the first sync."""
        period, now = self._processor.check_period, self._clock.monotonic()
        if not period or (self._next_resync is not None and now < self._next_resync):
            return
        first, self._next_resync = self._next_resync is None, now + period
        if first:
            return
        with self._delivery:
            due = self._processor.should_resync(now)
        if due:
            self._queue.resync()

    def _process(self, batch: Sequence[Entry], initial: bool) -> None:  # noqa: FBT001 - a callback
        with self._delivery:
            notifications = apply(self.store, batch, initial=initial)
            if self._detector:
                self._detector.add(notifications)
            self._processor.distribute(notifications)

    def _thread(self, role: str, body: Callable[[], None]) -> threading.Thread:
        name = f"informer-{self.resource.plural}/{role}"
        return threading.Thread(target=self._guarded, args=(body,), name=name, daemon=True)

    def _guarded(self, body: Callable[[], None]) -> None:
        """Run a thread's body so that its death by a bug is seen, even if no log can be."""
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - kept for whoever asks, told and logged
            self._failures.append(error)
            self.stop()
            try:
                if self._on_failure and error is self.failure:
                    self._on_failure(self, error)
            finally:
                # By name: within a failure of the handler that would be logged in its place.
                resource = self.resource.group_resource
                _log.exception("informer_failed", resource=resource, exc_info=error)

    def _require_not_started(self) -> None:
        if self._started:
            raise RuntimeError(f"{self!r} has been started already")


def _join(thread: threading.Thread, deadline: float) -> bool:
    if thread is threading.current_thread() or not thread.ident:
        return True
    thread.join(max(0.0, deadline - time.monotonic()))
    return not thread.is_alive()
