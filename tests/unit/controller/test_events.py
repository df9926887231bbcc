"""Which events a storage's life is worth."""

from typing import Any

import pytest

from controller.events import certificate_event, reclaimed_event, transition_events
from controller.plan import Create, Delete, Evict, Patch, Write
from controller.resources import REPLICA_SETS, SERVICES
from tests.support.objects import read

Json = dict[str, Any]


def deployed(status: str, reason: str, message: str = "why") -> Json:
    condition = {"type": "Deployed", "status": status, "reason": reason, "message": message}
    return {"conditions": [condition], "observedGeneration": 1}


WELL = deployed("True", "EtcdProxyDeployed")


def told(before: Json, after: Json, **meta: Any) -> list[tuple[str, str]]:
    storage = read(status=before, meta=meta)
    return [(event.type, event.reason) for event in transition_events(storage, after)]


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        ({}, WELL, [("Normal", "EtcdStorageDeployed")]),
        (WELL, WELL, []),
        (WELL, deployed("False", "NameConflict"), [("Warning", "ErrResourceReclaimed")]),
        (WELL, deployed("False", "WriteFailed"), [("Warning", "EtcdStorageDeployFailure")]),
        (WELL, deployed("False", "DriftFight"), [("Warning", "EtcdStorageDeployFailure")]),
        ({**WELL, "observedGeneration": 0}, WELL, [("Normal", "Synced")]),
        # Another message is told by the condition, not by an event.
        (deployed("False", "WriteFailed", "a"), deployed("False", "WriteFailed", "b"), []),
    ],
)
def test_what_is_told_of_a_change(
    before: Json, after: Json, events: list[tuple[str, str]]
) -> None:
    assert told(before, after) == events


def test_a_deletion_that_waits_is_no_failure_to_deploy() -> None:
    gone = {"deletionTimestamp": "2026-01-02T03:04:05Z"}
    going = deployed("False", "Deleting")
    stuck = deployed("False", "CoreUnreachable")
    assert told(WELL, going, **gone) == [("Normal", "EtcdStorageDeleting")]
    assert told(going, going, **gone) == []
    assert told(going, stuck, **gone) == [("Warning", "EtcdStorageDeleteFailure")]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (Patch(SERVICES, "s", {}, adopts=True), "adopted the orphaned Service s"),
        (Patch(SERVICES, "s", {}), None),
        (Delete(REPLICA_SETS, "r", "uid", "7"), "replaces the ReplicaSet r: its selector is old"),
        (Create(SERVICES, {}), None),
        (Evict("p", "uid", "7"), None),
    ],
)
def test_what_is_told_of_a_write(write: Write, message: str | None) -> None:
    event = reclaimed_event(write)
    assert (event.message if event else None) == message
    assert event is None or (event.type, event.reason) == ("Normal", "ResourceReclaimed")


def test_a_new_authority_is_told_from_a_new_pair() -> None:
    for kind, reason in (("signing", "AuthorityRotated"), ("serving", "CertificateRenewed")):
        event = certificate_event((kind, "why"))
        assert (event.type, event.reason, event.message) == ("Normal", reason, "why")
