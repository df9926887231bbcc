"""Events about EtcdStorages, by the names that their users know; best effort, never blocking.

They live in `default`: the API server takes core/v1 Events about cluster-scoped objects in no
other namespace.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from threading import BoundedSemaphore
from typing import Any, Final, Protocol
from uuid import uuid4

import structlog

from controller.api.conditions import find_condition
from controller.api.storage import EtcdStorage
from controller.certstatus import SIGNING, News
from controller.resources import ETCD_STORAGES, EVENTS
from controller.status import DEPLOYED, NAME_CONFLICT
from informers import ApiError, Client, ConnectionFailed
from informers.errors import is_not_found

ETCD_STORAGE_DEPLOYED: Final = "EtcdStorageDeployed"
ETCD_STORAGE_DEPLOY_FAILURE: Final = "EtcdStorageDeployFailure"
SYNCED: Final = "Synced"
RESOURCE_RECLAIMED: Final = "ResourceReclaimed"
ERR_RESOURCE_RECLAIMED: Final = "ErrResourceReclaimed"
CERTIFICATE_RENEWED: Final = "CertificateRenewed"
AUTHORITY_ROTATED: Final = "AuthorityRotated"
ERR_UNKNOWN: Final = "ErrUnknown"
IGNORED_FIELDS: Final = "IgnoredFields"

NAMESPACE: Final = "default"
_PENDING: Final = 1000
"""Events waiting to be sent; one more is dropped. As in client-go's tools/record."""
_REMEMBERED: Final = 4096
"""Events that a repetition can still be counted on. As in client-go's tools/record."""
_MESSAGE: Final = 1024
"""Characters that the API takes in an event's message."""

_log = structlog.get_logger("controller.events")


@dataclass(frozen=True, slots=True)
class Event:
    """What happened; `type` is Normal or Warning."""

    type: str
    reason: str
    message: str


def normal(reason: str, message: str) -> Event:
    return Event("Normal", reason, message)


def warning(reason: str, message: str) -> Event:
    return Event("Warning", reason, message)


class Subject(Protocol):
    """The EtcdStorage that an event is about."""

    @property
    def name(self) -> str: ...

    @property
    def uid(self) -> str: ...


class Recorder(Protocol):
    """Takes events and returns at once."""

    def record(self, storage: Subject, event: Event) -> None: ...


def certificate_event(news: News) -> Event:
    """Return the event about what took the place of another certificate just now."""
    kind, message = news
    return normal(AUTHORITY_ROTATED if kind == SIGNING else CERTIFICATE_RENEWED, message)


def transition_events(storage: EtcdStorage, status: Mapping[str, Any]) -> list[Event]:
    """Return the events that a change from the storage's status to `status` is worth."""
    found = []
    new_generation = storage.status.get("observedGeneration") != storage.generation
    before = find_condition(storage.status, DEPLOYED) or {}
    after = find_condition(status, DEPLOYED) or {}
    if new_generation and storage.ignored_fields:
        fields = ", ".join(storage.ignored_fields)
        found.append(warning(IGNORED_FIELDS, f"ignored, and without effect: {fields}"))
    if after["status"] != before.get("status") or after["reason"] != before.get("reason"):
        found.append(_deployed_event(after))
    elif new_generation and after["status"] == "True":
        found.append(normal(SYNCED, f"generation {storage.generation} is carried out"))
    return found


def _deployed_event(condition: Mapping[str, Any]) -> Event:
    message = condition["message"]
    if condition["status"] == "True":
        return normal(ETCD_STORAGE_DEPLOYED, message)
    if condition["reason"] == NAME_CONFLICT:
        return warning(ERR_RESOURCE_RECLAIMED, message)
    return warning(ETCD_STORAGE_DEPLOY_FAILURE, message)


class EventRecorder:
    """Sends events from a thread of its own; a repeated event is counted, not written anew."""

    def __init__(self, client: Client, component: str, now: Callable[[], datetime]) -> None:
        self._client = client
        self._component = component
        self._now = now
        self._sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="events")
        self._room = BoundedSemaphore(_PENDING)
        # Touched by the one sending thread only.
        self._sent: OrderedDict[tuple[str, Event], tuple[str, int]] = OrderedDict()

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
        self._sender.shutdown(wait=False, cancel_futures=True)

    def _send(self, storage: Subject, event: Event) -> None:
        try:
            self._write(storage, event)
        except (ApiError, ConnectionFailed) as error:
            _log.warning("event_not_sent", key=storage.name, reason=event.reason, error=str(error))
        except Exception:  # noqa: BLE001 - nobody else would ever see it
            _log.exception("event_broke", key=storage.name, reason=event.reason)
        finally:
            self._room.release()

    def _write(self, storage: Subject, event: Event) -> None:
        key = (storage.uid, event)
        name, count = self._sent.get(key, ("", 0))
        if count and self._count(name, count + 1):
            self._remember(key, name, count + 1)
            return
        name = f"{storage.name}.{uuid4().hex[:16]}"
        self._client.create(EVENTS, self._manifest(name, storage, event), NAMESPACE)
        self._remember(key, name, 1)

    def _count(self, name: str, count: int) -> bool:
        """Raise the count of a written event; False if the server has forgotten it."""
        patch = {"count": count, "lastTimestamp": _timestamp(self._now())}
        try:
            self._client.patch(EVENTS, name, patch, namespace=NAMESPACE)
        except ApiError as error:
            if is_not_found(error):
                return False
            raise
        return True

    def _remember(self, key: tuple[str, Event], name: str, count: int) -> None:
        self._sent[key] = (name, count)
        self._sent.move_to_end(key)
        if len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)

    def _manifest(self, name: str, storage: Subject, event: Event) -> dict[str, Any]:
        now = _timestamp(self._now())
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
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }


def _timestamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
