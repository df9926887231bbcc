"""What a reconcile saw, for the status."""

import pytest

from controller.api.conditions import Problem
from controller.observed import after_writes, observe, plan_problem, write_problem
from controller.ownership import Conflict
from controller.plan import Awaited, Create, Delete, Plan, Snapshot
from controller.resources import REPLICA_SETS, SERVICES
from controller.tenant import Tenant
from informers import ApiError, ConnectionFailed
from tests.support.objects import desired_of, owned_by, pod, read

STORAGE, DESIRED = read(), desired_of()
NOBODY = Tenant(users=False, auth=None)
SERVICE = owned_by(STORAGE, DESIRED.objects[SERVICES])


def test_a_service_of_ours_serves_and_a_foreign_one_does_not() -> None:
    foreign = {**SERVICE, "metadata": {"name": "etcd-etcd-name"}}
    for service, served in ((SERVICE, True), (foreign, False)):
        seen = observe(STORAGE, DESIRED, Snapshot(objects={SERVICES: service}), NOBODY, None)
        assert seen.served is served
    assert not observe(STORAGE, DESIRED, Snapshot(), NOBODY, None).served


def test_while_nothing_can_be_wanted_pods_are_measured_by_what_was_wanted_last() -> None:
    refusal = Problem("NotSupported", "no")
    snapshot = Snapshot(desired_of(version=1).replica_set, pods=(pod("a"),))
    assert observe(STORAGE, DESIRED, snapshot, NOBODY, None).revision == DESIRED.revision
    refused = observe(STORAGE, DESIRED, snapshot, NOBODY, refusal)
    assert refused.revision == desired_of(version=1).revision
    assert observe(STORAGE, DESIRED, Snapshot(), NOBODY, refusal).revision is None


def test_what_the_core_makes_of_it_is_passed_on() -> None:
    away = Problem("CoreUnreachable", "away")
    tenant = Tenant(users=True, auth=True, concerns=(away,))
    seen = observe(STORAGE, DESIRED, Snapshot(), tenant, None)
    assert (seen.concerns, seen.auth, seen.problem) == ((away,), True, None)


def test_a_service_just_made_serves() -> None:
    seen = observe(STORAGE, DESIRED, Snapshot(), NOBODY, None)
    assert not after_writes(seen, [Create(REPLICA_SETS, {})]).served
    assert after_writes(seen, [Create(SERVICES, {})]).served


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
        problem = plan_problem(Plan(conflicts=conflicts))
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
    assert plan_problem(Plan()) is None
