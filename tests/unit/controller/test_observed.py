"""What a reconcile saw, for the status."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.api.conditions import Problem
from controller.core import Trust, TrustLook
from controller.observed import (
    after_writes,
    conflict_problem,
    observe,
    plan_problem,
    write_problem,
)
from controller.ownership import Conflict
from controller.plan import Awaited, Create, Delete, Patch, Plan, Snapshot, Write
from controller.resources import REPLICA_SETS, SECRETS, SERVICES
from controller.tenant import Tenant
from controller.userpair import PairMaker, told
from informers import ApiError, ConnectionFailed
from tests.support.objects import (
    CLIENT_CA,
    NAMESPACE,
    client_ca,
    desired_of,
    owned_by,
    pod,
    read,
)

Json = Mapping[str, Any]

STORAGE, DESIRED = read(), desired_of()
NOBODY = Tenant(users=False)
SERVICE = owned_by(STORAGE, DESIRED.objects[SERVICES])


def test_a_service_of_ours_serves_and_a_foreign_one_does_not() -> None:
    foreign = {**SERVICE, "metadata": {"name": "etcd-etcd-name"}}
    for service, served in ((SERVICE, True), (foreign, False)):
        seen = observe(STORAGE, DESIRED, Snapshot(objects={SERVICES: service}), NOBODY)
        assert seen.served is served
    assert not observe(STORAGE, DESIRED, Snapshot(), NOBODY).served


def test_while_nothing_can_be_wanted_pods_are_measured_by_what_was_wanted_last() -> None:
    refused = Tenant(users=False, problem=Problem("NotSupported", "no"))
    snapshot = Snapshot(desired_of(version=1).replica_set, pods=(pod("a"),))
    assert observe(STORAGE, DESIRED, snapshot, NOBODY).revision == DESIRED.revision
    seen = observe(STORAGE, DESIRED, snapshot, refused)
    assert (seen.revision, seen.problem) == (desired_of(version=1).revision, refused.problem)
    assert observe(STORAGE, DESIRED, Snapshot(), refused).revision is None


def test_what_the_core_makes_of_it_is_passed_on() -> None:
    away = Problem("CoreUnreachable", "away")
    tenant = Tenant(users=True, isolates=True, concerns=(away,))
    seen = observe(STORAGE, DESIRED, Snapshot(), tenant)
    assert (seen.concerns, seen.isolates, seen.problem) == ((away,), True, None)


def test_what_keeps_the_replica_set_from_making_pods_is_passed_on() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    replica_set = {**DESIRED.replica_set, "status": {"conditions": [failure]}}
    seen = observe(STORAGE, DESIRED, Snapshot(replica_set), NOBODY)
    assert "exceeded quota" in seen.failure
    assert observe(STORAGE, DESIRED, Snapshot(), NOBODY).failure == ""


def test_a_service_just_made_serves() -> None:
    seen = observe(STORAGE, DESIRED, Snapshot(), NOBODY)
    assert not after_writes(STORAGE, seen, [Create(REPLICA_SETS, {})]).served
    assert after_writes(STORAGE, seen, [Create(SERVICES, {})]).served


def test_the_pair_for_the_core_is_told_as_it_is_stored() -> None:
    first, second = (pair_for_core(), pair_for_core())
    user = Tenant(users=True)

    def tells(secret: dict[str, Any] | None, tenant: Tenant, *done: Write) -> Json:
        objects = {SECRETS: secret} if secret else {}
        seen = observe(STORAGE, DESIRED, Snapshot(objects=objects), tenant)
        return after_writes(STORAGE, seen, done).core_certificate

    owned = owned_by(STORAGE, first)
    assert tells(None, user) == tells(first, user) == tells(owned, NOBODY) == {}
    assert tells(owned, user) == told(first)
    assert tells(None, user, Create(SECRETS, first)) == told(first)
    name, patch = first["metadata"]["name"], {"data": second["data"]}
    assert tells(owned, user, Patch(SECRETS, name, patch)) == told(second) != told(first)
    # Neither a label of it nor another Secret of the storage is a pair.
    label = Patch(SECRETS, name, {"metadata": {"labels": {}}})
    other = {**second, "metadata": {"name": "etcd-serving-etcd-name"}}
    assert tells(owned, user, label, Create(SECRETS, other)) == told(first)


def pair_for_core() -> dict[str, Any]:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    maker = PairMaker(NAMESPACE, CLIENT_CA)
    by = maker.authority(client_ca(now), now).by
    assert by is not None
    secret = maker.look(STORAGE, None, by, TrustLook(Trust.FULL), now).secret
    assert secret is not None
    secret["metadata"].pop("labels")  # Whose it is, a test says.
    return secret


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ApiError(403, "Forbidden", "no"), False),
        (ApiError(422, "Invalid", "no"), False),
        (ApiError(500, "InternalError", "failed calling webhook"), False),
        (ApiError(429, "TooManyRequests", "busy"), True),
        (ApiError(503, "ServiceUnavailable", "starting"), True),
        (ConnectionFailed("https://s", "slow", timed_out=True), False),
        (ConnectionFailed("https://s", "gone", dropped=True), None),
        (ApiError(409, "Conflict", "old", details={"name": "x", "kind": "services"}), None),
    ],
)
def test_a_failed_write_is_told_unless_it_is_only_late(
    error: ApiError | ConnectionFailed,
    passes: bool | None,  # noqa: FBT001 - a column of the table
) -> None:
    problem = write_problem(error)
    assert (problem.passes if problem else None) is passes


def test_what_stands_in_the_way() -> None:
    theirs, leaving = Conflict("Service", "s", "is not ours"), Conflict("Service", "s", "x", True)
    for conflicts, passes in (((theirs,), False), ((leaving,), True), ((theirs, leaving), False)):
        problem = conflict_problem(conflicts)
        assert problem is not None
        assert (problem.reason, problem.passes) == ("NameConflict", passes)
    for plan in (
        Plan((Delete(REPLICA_SETS, "r", "uid", "1"),)),
        Plan(awaited=(Awaited("ReplicaSet", "r"),)),
    ):
        problem = plan_problem(plan)
        assert problem is not None
        assert (problem.reason, problem.passes) == ("AwaitingDeletion", True)
        assert "ReplicaSet r" in problem.message
    assert (plan_problem(Plan()), conflict_problem(())) == (None, None)
