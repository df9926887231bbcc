"""Tells a storage's state: its status, where it says something new, and the events with it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from controller.api.storage import EtcdStorage
from controller.consistency import ConsistencyStore
from controller.events import Recorder, transition_events
from controller.ownership import merge_patch
from controller.resources import ETCD_STORAGES
from controller.status import Observed, desired_status
from informers import Client
from informers.store import resource_version

_log = structlog.get_logger("controller.reconcile")


@dataclass(frozen=True, slots=True)
class Reporter:
    """Writes the status subresource; thread safe as long as no two share a storage."""

    client: Client
    consistency: ConsistencyStore
    recorder: Recorder
    now: Callable[[], datetime]

    def report(self, storage: EtcdStorage, observed: Observed) -> None:
        """Write what was observed, if that is news; raises `ApiError`, `ConnectionFailed`."""
        now = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        status = desired_status(storage, observed, now=now)
        patch = merge_patch(storage.status, status)
        if not patch:
            return
        guard = {"resourceVersion": storage.resource_version}
        answer = self.client.patch(
            ETCD_STORAGES,
            storage.name,
            {"metadata": guard, "status": patch},
            subresource="status",
        )
        self.consistency.wrote_at(storage.name, ETCD_STORAGES, resource_version(answer))
        _log.info("status_changed", storage=storage.name, **_told(status))
        for event in transition_events(storage, status):
            self.recorder.record(storage, event)


def _told(status: dict[str, Any]) -> dict[str, str]:
    return {c["type"].lower(): f"{c['status']}/{c['reason']}" for c in status["conditions"]}
