"""How a storage stands towards the core, for every answer of the keeper."""

from dataclasses import replace
from typing import Any

import pytest

from controller.api.conditions import Problem
from controller.api.storage import CORE_FINALIZER, CORE_USER_OWNER, EtcdStorage
from controller.core import CoreLook, UserLook, UserState
from controller.dataplane import Facts
from controller.tenant import Tenant, refused, with_users, without_users
from tests.support.objects import FACTS, desired_of, read, replica_set_of_2018

Json = dict[str, Any]

AWAY = Problem("CoreUnreachable", "the core is away")
TAKEN = Problem("CoreUserConflict", "somebody else's")
BIG = Problem("CoreNotCompacted", "it grows")

UP = CoreLook(reachable=True, auth=True)
OPEN = CoreLook(reachable=True, auth=False)
DOWN = CoreLook(reachable=False, problem=AWAY)

PENDING, FREE, READY = (UserLook(s) for s in (UserState.PENDING, UserState.FREE, UserState.READY))

HELD = {"finalizers": [CORE_FINALIZER]}


def storage(mode: str = "Proxy") -> EtcdStorage:
    return read(meta=HELD, mode=mode, status={CORE_USER_OWNER: read().uid})


def running(*, auth: bool) -> Json:
    """Return the ReplicaSet of a storage whose pods use its own pair."""
    facts = Facts(auth, users=True, tls=False, drain_token=FACTS.drain_token)
    return desired_of(facts=facts).replica_set


def reason(tenant: Tenant) -> str | None:
    return tenant.problem.reason if tenant.problem else None


def test_without_the_flags_only_proxy_is_served() -> None:
    assert without_users(read(), None) == Tenant(users=False)
    assert reason(without_users(read(mode="Direct"), None)) == "DirectNeedsUsers"
    assert without_users(read(mode="Direct"), TAKEN) == Tenant(users=False, problem=TAKEN)


def test_a_core_that_its_end_needs_is_told_if_it_cannot_be_had() -> None:
    away = CoreLook(problem=Problem("CoreUnreachable", "it is away"))
    tenant = without_users(read(), None, away)
    assert tenant.problem is None
    (concern,) = tenant.concerns
    assert concern.reason == "CoreUnreachable"
    assert "reclaimPolicy Delete" in concern.message
    assert without_users(read(), None, CoreLook()) == Tenant(users=False)


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_a_user_that_is_there_lets_the_pods_be_made(mode: str) -> None:
    assert with_users(storage(mode), UP, READY, None) == Tenant(
        users=True, auth=True, isolates=True
    )


def test_proxy_is_served_without_auth_in_the_core_and_direct_is_not() -> None:
    assert with_users(storage(), OPEN, READY, None) == Tenant(users=True, auth=False)
    for replica_set in (None, running(auth=True)):
        tenant = with_users(storage("Direct"), OPEN, READY, replica_set)
        assert (reason(tenant), tenant.auth) == ("CoreAuthDisabled", False)
        assert tenant.suspended


@pytest.mark.parametrize(
    ("core", "user", "says", "passes"),
    [
        (UP, PENDING, "CoreUserPending", True),
        (UP, FREE, "CoreUserPending", True),
        (DOWN, PENDING, "CoreUnreachable", False),
        (UP, UserLook(UserState.FAILED, TAKEN), "CoreUserConflict", False),
        (DOWN, UserLook(UserState.FAILED, TAKEN), "CoreUserConflict", False),
        # Whether it checks users is not known yet.
        (CoreLook(reachable=True), READY, "CoreUserPending", True),
    ],
)
def test_no_pod_is_made_before_its_user(
    core: CoreLook,
    user: UserLook,
    says: str,
    passes: bool,  # noqa: FBT001 - a column of the table
) -> None:
    problem = with_users(storage(), core, user, None).problem
    assert problem is not None
    assert (problem.reason, problem.passes) == (says, passes)
    # Pods of before there were users stay what they are until then.
    tenant = with_users(storage(), core, user, desired_of().replica_set)
    assert (tenant.problem, tenant.holds) == (None, True)
    assert problem in tenant.concerns


@pytest.mark.parametrize("core", [UP, DOWN])
def test_only_pods_that_need_nothing_of_the_user_are_kept_without_it(core: CoreLook) -> None:
    shared = desired_of().replica_set
    for mode, replica_set in (
        ("Direct", shared),
        ("Proxy", replica_set_of_2018(read())),
        ("Direct", {**running(auth=True), "spec": {**running(auth=True)["spec"], "replicas": 0}}),
    ):
        tenant = with_users(storage(mode), core, PENDING, replica_set)
        assert (tenant.problem is not None, tenant.holds) == (True, False)


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_who_is_refused_loses_what_the_core_no_longer_keeps_apart_and_nothing_else(
    mode: str,
) -> None:
    served = refused(storage(mode), UP, TAKEN)
    assert served == Tenant(users=True, isolates=True, problem=TAKEN)
    lost = refused(storage(mode), OPEN, TAKEN)
    assert (lost.problem, lost.isolates, lost.suspended) == (TAKEN, False, mode == "Direct")
    assert [c.reason for c in lost.concerns] == ["CoreAuthDisabled"] * lost.suspended


@pytest.mark.parametrize("told", ["Core", "Gate", None])
def test_until_the_core_was_asked_what_was_told_last_counts(told: str | None) -> None:
    status = {"isolation": told} if told else {}
    before = replace(storage(), status=status)
    # A core that cannot be asked may have been told to check users no more.
    lost = replace(DOWN, auth=True)
    asked = ((CoreLook(), told == "Core"), (UP, True), (OPEN, False), (DOWN, False), (lost, False))
    for core, isolates in asked:
        assert with_users(before, core, READY, running(auth=True)).isolates is isolates
        assert refused(before, core, TAKEN).isolates is isolates


def test_no_name_is_claimed_for_pods_that_must_not_run() -> None:
    assert not with_users(read(mode="Direct"), OPEN, FREE, None).claims


@pytest.mark.parametrize("auth", [True, False])
@pytest.mark.parametrize("user", [PENDING, READY, UserLook(UserState.FAILED, AWAY)])
def test_pods_that_run_stay_as_they_are_while_the_core_is_away(
    user: UserLook,
    auth: bool,  # noqa: FBT001 - a column of the table
) -> None:
    tenant = with_users(storage(), DOWN, user, running(auth=auth))
    assert (tenant.problem, tenant.auth) == (None, auth)
    assert AWAY in tenant.concerns


def test_a_name_that_is_free_is_claimed_once() -> None:
    assert with_users(read(), UP, FREE, None).claims
    # What a core that is away has by now nobody knows.
    assert not with_users(read(), DOWN, FREE, None).claims
    assert not with_users(storage(), UP, FREE, None).claims
    assert not with_users(read(), UP, PENDING, None).claims
    # Whoever made the object may have given it the finalizer, and another's status tells nothing.
    for status in ({}, {CORE_USER_OWNER: "another"}):
        assert with_users(read(meta=HELD, status=status), UP, FREE, None).claims
    # Somebody took the finalizer off.
    assert with_users(read(), UP, FREE, running(auth=True)).claims


def test_a_core_that_grows_concerns_all_and_stops_nobody() -> None:
    growing = CoreLook(reachable=True, auth=True, compaction=BIG)
    tenant = with_users(storage(), growing, READY, None)
    assert (tenant.problem, tenant.concerns) == (None, (BIG,))
    assert reason(with_users(storage(), growing, PENDING, None)) == "CoreUserPending"
