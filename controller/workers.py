"""The workers: each takes a name from the queue, reconciles it, and says when it comes back."""

import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog

from controller import changes, events
from controller.api.storage import StorageReference
from controller.changes import Changes
from controller.consistency import CacheBehind
from controller.events import Recorder
from controller.reconcilemetrics import ERROR, REQUEUE, REQUEUE_AFTER, SUCCESS, ReconcileMetrics
from controller.rights import MissingRights
from controller.writer import is_stale
from informers import ApiError, ConnectionFailed, Lister
from workqueue import Clock, RateLimitingQueue, ShutDown

STUCK: Final = 600.0
"""Seconds. A reconcile makes some ten calls, each of which may take half a minute; one that takes
longer than all of them waits for something that does not come."""

_LOUD: Final = 10
"""Failures in a row, some 2.5 s, after which a cache that is behind explains no more of them."""

_log = structlog.get_logger("controller")


class Reconciler(Protocol):
    """What is done for a name; see `controller.reconcile`."""

    def reconcile(self, name: str) -> float | None: ...


class Workers:
    """Threads that share a queue of names; `start` may be called once."""

    def __init__(  # noqa: PLR0913 - what they work with, all by name
        self,
        queue: RateLimitingQueue[str],
        *,
        reconciler: Reconciler,
        storages: Lister,
        recorder: Recorder,
        metrics: ReconcileMetrics,
        clock: Clock,
        on_death: Callable[[], None],
    ) -> None:
        """`on_death` is called when a worker breaks; `storages` has what the names stand for."""
        self._queue = queue
        self._reconciler = reconciler
        self._storages = storages
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        self._on_death = on_death
        self._rights = MissingRights()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._busy: dict[str, float] = {}
        """Names that are reconciled now, and since when."""

    def start(self, count: int, stop: threading.Event) -> None:
        """Start so many; once `stop` is set nothing more is begun, but what is, is ended."""
        self._stop = stop
        for n in range(count):
            thread = threading.Thread(
                target=self._work, args=(n,), name=f"worker-{n}", daemon=True
            )
            thread.start()
            # Not before: one that was never started cannot be told from one that has died.
            self._threads.append(thread)

    def join(self, timeout: float) -> bool:
        """Wait so many seconds in all for the threads to end, after the queue was shut down.

        True if none is left.
        """
        deadline = self._clock.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def dead(self) -> str | None:
        """Name those that have died, for a health check."""
        if self._stop.is_set():
            return None
        return ", ".join(t.name for t in self._threads if not t.is_alive()) or None

    def stuck(self) -> str | None:
        """Name the storages that a worker has had for too long, for a health check."""
        with self._lock:
            busy = dict(self._busy)
        now = self._clock.monotonic()
        late = {name: now - since for name, since in busy.items() if now - since >= STUCK}
        return ", ".join(f"{name} for {age:.0f} s" for name, age in late.items()) or None

    def have(self, name: str) -> bool:
        """Whether one of them is at this storage now."""
        with self._lock:
            return name in self._busy

    def _work(self, number: int) -> None:
        """Reconcile until the queue is shut down; a worker that breaks ends the program."""
        try:
            with structlog.contextvars.bound_contextvars(worker=number):
                while self.process_next():
                    pass
        except BaseException:  # noqa: BLE001 - nothing may end a worker unseen
            self._on_death()
            _log.exception("worker_died")

    def process_next(self) -> bool:
        """Reconcile the next name of the queue; False at its end."""
        try:
            name = self._queue.get()
        except ShutDown:
            return False
        try:
            # What is still queued at the stop is left to the next start: it is level triggered.
            if not self._stop.is_set():
                self._reconcile(name)
        finally:
            self._queue.done(name)
        return True

    def _reconcile(self, name: str) -> None:
        with self._lock:
            self._busy[name] = self._clock.monotonic()
        try:
            with (
                structlog.contextvars.bound_contextvars(**self._about(name)),
                changes.collected() as changed,
                self._metrics.reconciling(),
            ):
                self._metrics.ended(self._attempt(name, changed))
        finally:
            with self._lock:
                del self._busy[name]

    def _about(self, name: str) -> dict[str, Any]:
        """Return what every line of the reconcile tells."""
        metadata = (self._storages.find(name) or {}).get("metadata", {})
        known = {key: metadata[key] for key in ("uid", "resourceVersion") if key in metadata}
        return {"key": name, **known, "attempt": self._queue.num_requeues(name) + 1}

    def _attempt(self, name: str, changed: Changes) -> str:
        """Reconcile once, see to it that the name comes back, and return the result's name."""
        try:
            again = self._reconciler.reconcile(name)
        except CacheBehind as behind:
            # No failure, and so not counted as one: growing delays are for those.
            _log.debug("cache_is_behind", kind=behind.resource.kind, waited=behind.waited)
            self._queue.add_after(name, behind.again_after)
            return REQUEUE_AFTER
        except Exception as error:  # noqa: BLE001 - whatever it is, the name comes back
            self._retry(name, error, changed)
            return ERROR
        if changed.writes:
            _log.info("reconciled", **changed.told())
        self._queue.forget(name)
        if again is None:
            return SUCCESS
        self._queue.add_after(name, again)
        return REQUEUE_AFTER if again else REQUEUE

    def _retry(self, name: str, error: Exception, changed: Changes) -> None:
        failures = self._queue.num_requeues(name) + 1
        self._queue.add_rate_limited(name)
        if isinstance(error, ApiError) and is_stale(error):
            quiet = _log.info if changed.writes else _log.debug
            tell = quiet if failures < _LOUD else _log.warning
            tell("cache_was_behind", error=str(error), **changed.told())
        elif isinstance(error, ApiError | ConnectionFailed):
            # A right that is missing is missed by every storage, at every try.
            quiet = self._rights.name(error) and not changed.writes
            tell = _log.debug if quiet else _log.warning
            tell("reconcile_failed", error=str(error), **changed.told())
        else:
            self._metrics.panicked()
            _log.error("reconcile_broke", exc_info=error, **changed.told())
            self._record_unknown(name, error)

    def _record_unknown(self, name: str, error: Exception) -> None:
        obj = self._storages.find(name)
        if obj is not None:
            about = StorageReference(name, obj["metadata"]["uid"])
            message = f"an error of the controller itself, see its log: {type(error).__name__}"
            self._recorder.record(about, events.warning(events.ERR_UNKNOWN, message))
