"""Sends events, best effort and in nobody's way: a queue with an end, and a thread of its own.

They live in `default`: the API server takes core/v1 Events about cluster-scoped objects in no
other namespace.
"""

import contextlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import BoundedSemaphore
from threading import Event as Flag
from typing import Any, Final
from uuid import uuid4

import structlog

from controller.api.times import rfc3339
from controller.correlator import Correlator, Posting
from controller.events import Event, Subject
from controller.resources import ETCD_STORAGES, EVENTS
from informers import ApiError, Client, ConnectionFailed
from informers.errors import is_not_found
from workqueue import Clock

NAMESPACE: Final = "default"
_PENDING: Final = 1000
"""Events waiting to be sent; one more is dropped. As in client-go's tools/record."""
_TRIES: Final = 12
_PAUSE: Final = 10.0
"""How often a server that cannot be reached is tried, and seconds in between. As there."""
_MESSAGE: Final = 1024
"""Characters that the API takes in an event's message."""

_log = structlog.get_logger("controller.events")


class EventRecorder:
    """Sends events from a thread of its own; a repeated event is counted, not written anew."""

    def __init__(
        self,
        client: Client,
        component: str,
        now: Callable[[], datetime],
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._client = client
        self._component = component
        self._now = now
        self._clock = clock
        self._rng = rng
        self._sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="events")
        self._room = BoundedSemaphore(_PENDING)
        self._stopped = Flag()
        # Touched by the one sending thread only.
        self._correlator = Correlator()

    def record(self, storage: Subject, event: Event) -> None:
        """Queue `event`; it is dropped, with a log line, if too many wait already."""
        if not self._room.acquire(blocking=False):
            _log.warning("event_dropped", key=storage.name, reason=event.reason)
            return
        # After `stop` nobody sends any more.
        with contextlib.suppress(RuntimeError):
            self._sender.submit(self._send, storage, event)

    def stop(self) -> None:
        """Drop what waits and return; an event being sent is left to its own deadline."""
        self._stopped.set()
        self._sender.shutdown(wait=False, cancel_futures=True)

    def _send(self, storage: Subject, event: Event) -> None:
        try:
            if posting := self._correlator.correlate(storage.uid, event, self._now()):
                self._post(storage, posting)
        except (ApiError, ConnectionFailed) as error:
            _log.warning("event_not_sent", key=storage.name, reason=event.reason, error=str(error))
        except Exception:  # noqa: BLE001 - nobody else would ever see it
            _log.exception("event_broke", key=storage.name, reason=event.reason)
        finally:
            self._room.release()

    def _post(self, storage: Subject, posting: Posting) -> None:
        """Send it, in several tries where the server cannot be reached; it may refuse."""
        for left in reversed(range(_TRIES)):
            try:
                self._correlator.sent(posting, self._write(storage, posting))
            except ConnectionFailed:
                if not left or self._waits_in_vain(first=left == _TRIES - 1):
                    raise
            else:
                return

    def _waits_in_vain(self, *, first: bool) -> bool:
        """Let some time pass; the first time not the same for all who lost the server at once."""
        pause = _PAUSE * (self._rng.random() if first else 1.0)
        return self._clock.wait(self._stopped, pause)

    def _write(self, storage: Subject, posting: Posting) -> str:
        """Count the event that is there, or make one; returns its name."""
        if posting.name and self._count(posting):
            return posting.name
        name = f"{storage.name}.{uuid4().hex[:16]}"
        self._client.create(EVENTS, self._manifest(name, storage, posting), NAMESPACE)
        return name

    def _count(self, posting: Posting) -> bool:
        """Raise the count of a written event; False if the server has forgotten it."""
        patch = {
            "count": posting.count,
            "lastTimestamp": rfc3339(posting.at),
            "message": posting.event.message[:_MESSAGE],
        }
        try:
            self._client.patch(EVENTS, posting.name, patch, namespace=NAMESPACE)
        except ApiError as error:
            if is_not_found(error):
                return False
            raise
        return True

    def _manifest(self, name: str, storage: Subject, posting: Posting) -> dict[str, Any]:
        at, event = rfc3339(posting.at), posting.event
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": NAMESPACE},
            "involvedObject": {
                "apiVersion": ETCD_STORAGES.api_version,
                "kind": ETCD_STORAGES.kind,
                "name": storage.name,
                "uid": storage.uid,
            },
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:_MESSAGE],
            "source": {"component": self._component},
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": posting.count,
        }
