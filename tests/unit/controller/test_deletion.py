"""The end of a storage whose keys go with it, as its reconciles carry it out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.api.conditions import Problem
from controller.api.storage import CORE_FINALIZER, CORE_USER_OWNER
from controller.core import CoreLook, PurgeLook
from controller.resources import ETCD_STORAGES, PODS, REPLICA_SETS, SECRETS
from informers import ApiError
from tests.support.corekeeper import AWAY
from tests.support.objects import NAME, NAMESPACE, core_secret, etcd_storage
from tests.support.userworld import RS, STATUS, UserWorld
from tests.unit.controller.test_finalizer import CLAIM, StopAt, Stopped, follow, restart

DELETED = "2026-01-02T03:04:05Z"


def made(*, users: bool = True, **spec: Any) -> UserWorld:
    """A storage whose keys are to go with it, not looked at yet."""
    world = UserWorld()
    if not users:
        world.server.put(SECRETS, core_secret())
        listers = world.server.listers()
        world.reconciler = replace(world.reconciler, listers=listers, users=None)
        world.keeper.look = CoreLook(reachable=True, auth=False)
    world.server.put(ETCD_STORAGES, etcd_storage(**{"reclaimPolicy": "Delete", **spec}))
    world.keeper.keys[NAME] = 5
    return world


def deployed(*, users: bool = True) -> UserWorld:
    world = made(users=users)
    world.settle()
    assert world.condition("Deployed")[0] == "True"
    world.add_pod("a")
    return world


def told(world: UserWorld) -> str:
    status, reason, message = world.condition("Degraded")
    deploying = world.condition("Deployed")
    assert (status == "True") == (deploying[1] != "Deleting")
    assert f"deleted since {DELETED}" in deploying[2]
    return reason if status == "True" else message if deploying[1] != "Deleting" else deploying[2]


def ending(world: UserWorld, by: str = "2026-01-02T03:04:35Z") -> None:
    """Let the pod be told to end, with the time that it has for that."""
    world.server.edit(PODS, "a", lambda o: o["metadata"].update(deletionTimestamp=by))


# Before its end.


def test_the_finalizer_is_there_before_anything_else() -> None:
    world = made(users=False)
    assert world.reconcile() == [CLAIM]
    assert world.finalizers() == [CORE_FINALIZER]
    world.settle()
    assert world.server.all(REPLICA_SETS)
    assert CORE_USER_OWNER not in world.status()


def test_a_storage_that_keeps_its_keys_needs_none() -> None:
    world = made(users=False, reclaimPolicy="Retain")
    world.settle()
    assert world.finalizers() == []


def test_nor_one_that_is_refused() -> None:
    world = made(users=False, mode="Direct")
    world.settle()
    assert world.finalizers() == []


def test_one_that_changes_its_mind_gets_it() -> None:
    world = made(users=False, reclaimPolicy="Retain")
    world.settle()
    world.server.edit(ETCD_STORAGES, NAME, lambda o: o["spec"].update(reclaimPolicy="Delete"))
    assert world.reconcile() == [CLAIM]
    world.settle()


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_that_its_end_is_not_possible_is_told_at_its_beginning(policy: str) -> None:
    world = made(users=False, reclaimPolicy=policy)
    world.keeper.look = CoreLook(problem=AWAY)
    world.settle()
    assert world.condition("Deployed")[0] == "True"
    degraded = world.condition("Degraded")
    assert degraded[:2] == (
        ("True", AWAY.reason) if policy == "Delete" else ("False", "AsExpected")
    )
    assert ("reclaimPolicy Delete" in degraded[2]) == (policy == "Delete")


def test_so_is_a_right_that_is_missing() -> None:
    world = made(users=False)
    world.server.failures[CLAIM] = ApiError(403, "Forbidden", "cannot patch etcdstorages")
    with pytest.raises(ApiError):
        world.reconcile()
    assert world.condition("Degraded")[1] == "WriteFailed"
    assert "10-core-users.yaml" in world.condition("Degraded")[2]
    assert world.server.all(REPLICA_SETS) == []


# Its end.


def test_user_pods_keys_and_finalizer_go_in_this_order() -> None:
    world = deployed()
    world.delete("theirs")
    assert world.reconcile() == [STATUS]
    assert "its user etcdstorage:etcd-name is being removed" in told(world)
    assert world.server.all(REPLICA_SETS)
    world.keeper.work()
    assert world.keeper.users == set()
    assert world.reconcile() == [f"delete ReplicaSet {RS}", STATUS]
    assert "its pods are to end first: kubectl get pods" in told(world)
    world.keeper.work()
    assert world.keeper.keys == {NAME: 5}
    world.server.remove(PODS, "a")
    assert world.reconcile() == [STATUS]
    assert "its keys under /etcd-name/ are being removed" in told(world)
    world.keeper.work()
    assert world.keeper.keys == {NAME: 0}
    assert world.reconcile() == [CLAIM]
    assert world.finalizers() == ["theirs"]
    assert world.reconcile() == [STATUS]
    assert world.keeper.forgotten == [NAME]


def test_a_core_that_checks_users_refuses_a_pod_on_a_lost_node() -> None:
    world = deployed()
    ending(world)
    world.delete()
    for _ in range(4):
        world.reconcile()
        world.keeper.work()
    assert world.keeper.keys == {NAME: 0}
    assert world.finalizers() == []


@pytest.mark.parametrize("users", [True, False])
def test_one_that_checks_none_waits_for_every_pod_and_says_when_that_takes_long(
    *, users: bool
) -> None:
    world = deployed(users=users)
    world.keeper.look = replace(world.keeper.look, auth=False)
    ending(world)
    world.delete()
    for _ in range(4):
        world.reconcile()
        world.keeper.work()
    assert world.keeper.keys == {NAME: 5}
    assert "its pod a is ending" in told(world)
    assert world.again == 89
    world.now = datetime(2026, 1, 2, 3, 5, 35, tzinfo=UTC)
    assert world.reconcile() == [STATUS]
    assert told(world) == "PodNotEnding"
    message = world.condition("Degraded")[2]
    assert "pod a was to end by 2026-01-02T03:04:35Z" in message
    assert f"kubectl delete pod a -n {NAMESPACE} --force" in message
    what = "user and the keys" if users else "keys"
    assert f"leave the {what} behind: kubectl patch" in message
    assert follow(message, world.finalizers()) == []
    world.now += timedelta(hours=1)
    assert world.reconcile() == []
    world.server.edit(PODS, "a", lambda o: o["status"].update(phase="Failed"))
    world.reconcile()
    world.keeper.work()
    world.reconcile()
    assert (world.keeper.keys, world.finalizers()) == ({NAME: 0}, [])


@pytest.mark.parametrize("users", [True, False])
def test_a_pod_that_was_taken_from_its_replica_set_is_named_and_may_not_write_on(
    *, users: bool
) -> None:
    """Nobody would end it: kubectl delete rs --cascade=orphan, after the storage's deletion."""
    world = deployed(users=users)
    world.delete()
    world.server.edit(PODS, "a", lambda o: o["metadata"].pop("ownerReferences"))
    world.server.remove(REPLICA_SETS, RS)
    for _ in range(4):
        world.reconcile()
        world.keeper.work()
    assert world.keeper.keys == {NAME: 5}
    assert told(world) == "PodNotEnding"
    message = world.condition("Degraded")[2]
    assert f"kubectl delete pod a -n {NAMESPACE};" in message
    world.server.edit(PODS, "a", lambda o: o["status"].update(phase="Failed"))
    for _ in range(4):
        world.reconcile()
        world.keeper.work()
    assert (world.keeper.keys, world.finalizers()) == ({NAME: 0}, [])


@pytest.mark.parametrize(
    "obstacle", [AWAY, Problem("KeysKeepComing", "somebody writes"), Problem("CoreFailed", "odd")]
)
def test_what_holds_up_the_removal_is_told_with_the_way_out(obstacle: Problem) -> None:
    world = deployed(users=False)
    world.server.remove(PODS, "a")
    world.delete("theirs")
    if obstacle is AWAY:
        world.keeper.lose()
    else:
        world.keeper.purging[NAME] = PurgeLook(problem=obstacle)
    world.reconcile()
    assert told(world) == obstacle.reason
    message = world.condition("Degraded")[2]
    assert follow(message, world.finalizers()) == ["theirs"]
    assert world.keeper.keys == {NAME: 5}
    assert world.reconcile() == []


def test_a_storage_that_others_hold_does_not_tell_of_what_is_done() -> None:
    world = deployed(users=False)
    world.delete("theirs")
    world.reconcile()
    world.server.remove(PODS, "a")
    world.reconcile()
    assert "keys under" in told(world)
    assert world.condition("Ready")[2] == "the storage is being deleted"
    world.keeper.work()
    for _ in range(2):
        world.reconcile()
    assert world.finalizers() == ["theirs"]
    assert told(world).endswith("it waits for the finalizers of others: theirs")
    assert world.reconcile() == []


def test_one_that_needed_nothing_of_us_is_let_be() -> None:
    world = made(users=False, reclaimPolicy="Retain")
    world.settle()
    world.delete("theirs")
    assert world.reconcile() == []


# What stays.


def orphan(world: UserWorld) -> None:
    world.delete("orphan")


def retain(world: UserWorld) -> None:
    world.server.edit(ETCD_STORAGES, NAME, lambda o: o["spec"].update(reclaimPolicy="Retain"))
    world.delete()
    world.server.remove(PODS, "a")


def reserve(world: UserWorld) -> None:
    names = world.reconciler.reserved_names | {NAME}
    world.reconciler = replace(world.reconciler, reserved_names=names)
    world.delete()
    world.server.remove(PODS, "a")


@pytest.mark.parametrize("users", [True, False])
@pytest.mark.parametrize("kept", [orphan, retain, reserve])
def test_keys_that_are_to_stay_do(kept: Callable[[UserWorld], None], *, users: bool) -> None:
    world = deployed(users=users)
    kept(world)
    for _ in range(4):
        world.reconcile()
        world.keeper.work()
    assert CORE_FINALIZER not in world.finalizers()
    assert world.keeper.keys == {NAME: 5}
    assert world.keeper.users == ({NAME} if users and kept is orphan else set())
    assert world.told == ([("Warning", "KeysKept")] if kept is reserve else [])


def test_a_removal_ends_when_the_policy_is_changed_meanwhile() -> None:
    world = deployed(users=False)
    world.server.remove(PODS, "a")
    world.delete("theirs")
    world.reconcile()
    assert NAME in world.keeper.purging
    world.server.edit(ETCD_STORAGES, NAME, lambda o: o["spec"].update(reclaimPolicy="Retain"))
    world.reconcile()
    assert world.keeper.purging == {}
    assert world.finalizers() == ["theirs"]


def test_a_name_that_is_somebody_else_s_in_the_core_keeps_its_keys() -> None:
    """The object came with our finalizer, as from a backup."""
    world = made()
    world.server.edit(
        ETCD_STORAGES, NAME, lambda o: o["metadata"].update(finalizers=[CORE_FINALIZER])
    )
    world.keeper.foreign.add(NAME)
    world.delete()
    world.reconcile()
    world.keeper.work()
    assert world.keeper.keys == {NAME: 5}
    assert (world.keeper.foreign, world.finalizers()) == ({NAME}, [])


def test_one_that_is_nobody_s_loses_them_and_waits_until_that_is_known() -> None:
    """It was made by a controller that kept no users."""
    world = made()
    world.server.edit(
        ETCD_STORAGES, NAME, lambda o: o["metadata"].update(finalizers=[CORE_FINALIZER])
    )
    world.keeper.lose()
    world.delete()
    world.reconcile()
    assert told(world) == AWAY.reason
    world.keeper.look = CoreLook(reachable=True, auth=True)
    world.reconcile()
    world.keeper.work()
    world.reconcile()
    assert (world.keeper.keys, world.finalizers()) == ({NAME: 0}, [])


# A stop between any two writes.


@pytest.mark.parametrize("stop", range(5))
def test_a_stop_anywhere_is_made_good_and_no_key_goes_before_the_pods(stop: int) -> None:
    world = deployed()
    world.delete()
    world.server.failures = StopAt(stop)
    for _ in range(8):
        try:
            world.reconcile()
        except Stopped:
            restart(world)
        if world.server.all(PODS):
            assert world.keeper.keys == {NAME: 5}
            if not world.server.all(REPLICA_SETS):
                world.server.remove(PODS, "a")
        world.keeper.work()
    assert (world.keeper.keys, world.finalizers()) == ({NAME: 0}, [])
