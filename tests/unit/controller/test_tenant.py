"""How a storage stands towards the core, for every answer of the keeper."""

from typing import Any

import pytest

from controller.api.conditions import Problem
from controller.api.storage import CORE_USER_FINALIZER, EtcdStorage
from controller.core import CoreLook, UserLook, UserState
from controller.dataplane import Facts
from controller.tenant import Tenant, with_users, without_users
from tests.support.objects import FACTS, desired_of, read

Json = dict[str, Any]

AWAY = Problem("CoreUnreachable", "the core is away")
TAKEN = Problem("CoreUserConflict", "somebody else's")
BIG = Problem("CoreNotCompacted", "it grows")

UP = CoreLook(reachable=True, auth=True)
OPEN = CoreLook(reachable=True, auth=False)
DOWN = CoreLook(reachable=False, problem=AWAY)

PENDING, FREE, READY = (UserLook(s) for s in (UserState.PENDING, UserState.FREE, UserState.READY))

CLAIMED = {"finalizers": [CORE_USER_FINALIZER]}


def storage(mode: str = "Proxy") -> EtcdStorage:
    return read(meta=CLAIMED, mode=mode)


def running(*, auth: bool) -> Json:
    """Return the ReplicaSet of a storage whose pods use its own pair."""
    return desired_of(facts=Facts(auth, True, FACTS.drain_token)).replica_set


def reason(tenant: Tenant) -> str | None:
    return tenant.problem.reason if tenant.problem else None


def test_without_the_flags_only_proxy_is_served() -> None:
    assert without_users(read()) == Tenant(users=False, auth=None)
    assert reason(without_users(read(mode="Direct"))) == "DirectNeedsUsers"


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_a_user_that_is_there_lets_the_pods_be_made(mode: str) -> None:
    assert with_users(storage(mode), UP, READY, None) == Tenant(users=True, auth=True)


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
    # Pods of before there were users wait in the same way.
    assert with_users(storage(), core, user, desired_of().replica_set).problem == problem


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
    assert not with_users(storage(), UP, FREE, None).claims
    assert not with_users(read(), UP, PENDING, None).claims
    # Somebody took the finalizer off.
    assert with_users(read(), UP, FREE, running(auth=True)).claims


def test_a_core_that_grows_concerns_all_and_stops_nobody() -> None:
    growing = CoreLook(reachable=True, auth=True, compaction=BIG)
    tenant = with_users(storage(), growing, READY, None)
    assert (tenant.problem, tenant.concerns) == (None, (BIG,))
    assert reason(with_users(storage(), growing, PENDING, None)) == "CoreUserPending"
