"""Tells a storage's state: its status, where it says something new, and the events with it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from controller import certstatus, events
from controller.api.conditions import find_condition
from controller.api.storage import EtcdStorage
from controller.changes import became, wrote
from controller.consistency import ConsistencyStore
from controller.discovery import NO_STATUS, OutdatedCrdError, lacks_status
from controller.events import Recorder, transition_events
from controller.observed import write_problem
from controller.ownership import merge_patch
from controller.resources import ETCD_STORAGES
from controller.status import DEGRADED, Observed, desired_status, overdue_at
from informers import ApiError, Client, ConnectionFailed
from informers.errors import is_not_found
from informers.store import resource_version

_TOO_LARGE: Final = "request is too large"
"""What etcd says of an object of more than 1.5 MB, and the API server by its code 500."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Writes the status subresource; thread safe as long as no two share a storage."""

    client: Client
    consistency: ConsistencyStore
    recorder: Recorder
    now: Callable[[], datetime]

    def report(self, storage: EtcdStorage, observed: Observed) -> float | None:
        """Write what was observed, if that is news; raises `ApiError`, `ConnectionFailed`.

        Returns the seconds after which there is something else to say by time alone, or None.
        """
        now = self.now()
        status = desired_status(storage, observed, now=now)
        before = {**dict.fromkeys(storage.unreadable_status), **storage.status}
        if patch := merge_patch(before, status):
            self._write(storage, status, patch)
        certified = observed.certified
        times = (overdue_at(status), certified and certstatus.overdue_at(certified))
        left = [(at - now).total_seconds() for at in times if at and now < at]
        return min(left, default=None)

    @contextlib.contextmanager
    def telling(self, storage: EtcdStorage, see: Callable[[], Observed]) -> Iterator[None]:
        """Say in the status what fails meanwhile; if that fails as well, the first error counts.

        What there is to `see` then is told with it.
        """
        try:
            yield
        except (ApiError, ConnectionFailed) as error:
            if problem := write_problem(error):
                with contextlib.suppress(ApiError, ConnectionFailed):
                    self.report(storage, replace(see(), problem=problem))
            raise

    def _write(self, storage: EtcdStorage, status: dict[str, Any], patch: dict[str, Any]) -> None:
        guard = {"resourceVersion": storage.resource_version}
        body = {"metadata": guard, "status": patch}
        try:
            answer = self.client.patch(ETCD_STORAGES, storage.name, body, subresource="status")
        except ApiError as error:
            if error.reason == "Invalid" or _TOO_LARGE in error.message:
                self._tell_refusal(storage, error)
            # By the same words the server says that the storage is gone.
            if is_not_found(error) and lacks_status(self.client):
                raise OutdatedCrdError(error.code, error.reason, NO_STATUS) from error
            raise
        self.consistency.wrote_at(storage.name, ETCD_STORAGES, resource_version(answer))
        wrote("patch", f"{ETCD_STORAGES.kind}/status", storage.name)
        became(_told(status))
        for event in transition_events(storage, status):
            self.recorder.record(storage, event)

    def _tell_refusal(self, storage: EtcdStorage, error: ApiError) -> None:
        """Say in an event what no condition can.

        What an older CRD let in forbids every status, and what fills an object leaves no room.
        """
        message = f"the status is refused until the spec is mended: {error}"
        self.recorder.record(storage, events.warning(events.ETCD_STORAGE_DEPLOY_FAILURE, message))


def _told(status: dict[str, Any]) -> dict[str, str]:
    """Return status and reason of the conditions, and the message of the one that says trouble."""
    told = {c["type"].lower(): f"{c['status']}/{c['reason']}" for c in status["conditions"]}
    trouble = find_condition(status, DEGRADED)
    if trouble and trouble["status"] == "True":
        told["trouble"] = trouble["message"]
    return told
