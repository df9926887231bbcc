"""Events about EtcdStorages, by the names that their users know: what is worth one, and which."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from controller.api.conditions import find_condition
from controller.api.storage import EtcdStorage
from controller.certstatus import SIGNING, News
from controller.plan import Delete, Patch, Write
from controller.status import DELETING, DEPLOYED, NAME_CONFLICT

ETCD_STORAGE_DEPLOYED: Final = "EtcdStorageDeployed"
ETCD_STORAGE_DEPLOY_FAILURE: Final = "EtcdStorageDeployFailure"
ETCD_STORAGE_DELETING: Final = "EtcdStorageDeleting"
ETCD_STORAGE_DELETE_FAILURE: Final = "EtcdStorageDeleteFailure"
SYNCED: Final = "Synced"
RESOURCE_RECLAIMED: Final = "ResourceReclaimed"
ERR_RESOURCE_RECLAIMED: Final = "ErrResourceReclaimed"
CERTIFICATE_RENEWED: Final = "CertificateRenewed"
AUTHORITY_ROTATED: Final = "AuthorityRotated"
ERR_UNKNOWN: Final = "ErrUnknown"
IGNORED_FIELDS: Final = "IgnoredFields"
KEYS_KEPT: Final = "KeysKept"


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


def reclaimed_event(write: Write) -> Event | None:
    """Return the event about an object that was not ours, or not as ours are, and is now."""
    match write:
        case Patch(resource, name, _, True):
            return normal(RESOURCE_RECLAIMED, f"adopted the orphaned {resource.kind} {name}")
        case Delete(resource, name):
            message = f"replaces the {resource.kind} {name}: its selector is old"
            return normal(RESOURCE_RECLAIMED, message)
        case _:
            return None


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
        found.append(_deletion_event(after) if storage.deleting else _deployed_event(after))
    elif new_generation and after["status"] == "True":
        found.append(normal(SYNCED, f"generation {storage.generation} is carried out"))
    return found


def _deletion_event(condition: Mapping[str, Any]) -> Event:
    """Return the event about what a deletion waits for; Degraded has what is not our doing."""
    if condition["reason"] == DELETING:
        return normal(ETCD_STORAGE_DELETING, condition["message"])
    return warning(ETCD_STORAGE_DELETE_FAILURE, condition["message"])


def _deployed_event(condition: Mapping[str, Any]) -> Event:
    message = condition["message"]
    if condition["status"] == "True":
        return normal(ETCD_STORAGE_DEPLOYED, message)
    if condition["reason"] == NAME_CONFLICT:
        return warning(ERR_RESOURCE_RECLAIMED, message)
    return warning(ETCD_STORAGE_DEPLOY_FAILURE, message)
