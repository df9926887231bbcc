"""The end of a storage that has a user in the core, as its reconciles carry it out."""

import json
import shlex
from dataclasses import replace

import pytest

from controller.api.storage import CORE_USER_FINALIZER
from controller.resources import PODS, REPLICA_SETS
from tests.support.objects import NAME, NAMESPACE, pod
from tests.support.userworld import RS, STATUS, UserWorld

CLAIM = f"patch EtcdStorage {NAME}"


@pytest.fixture
def deployed() -> UserWorld:
    world = UserWorld()
    world.settle()
    return world


def test_a_deleted_storage_loses_its_pods_then_its_user_then_the_finalizer(
    deployed: UserWorld,
) -> None:
    deployed.add_pod("a")
    deployed.delete("theirs")
    assert deployed.reconcile() == [f"delete ReplicaSet {RS}", STATUS]
    reason, message = told(deployed)
    assert reason == "Deleting"
    assert f"kubectl get pods -n {NAMESPACE} -l etcd.xmudrii.com/storage={NAME}" in message
    assert deployed.reconcile() == []
    deployed.keeper.work()
    assert deployed.keeper.users == {NAME}  # its pod is still there
    deployed.server.edit(PODS, "a", lambda o: o["metadata"].update(deletionTimestamp="t"))
    assert deployed.reconcile() == [STATUS]
    reason, message = told(deployed)
    assert reason == "Deleting"
    assert f"its user etcdstorage:{NAME} is being removed" in message
    deployed.keeper.work()
    assert deployed.keeper.users == set()
    assert deployed.reconcile() == [CLAIM]
    assert deployed.finalizers() == ["theirs"]
    assert deployed.reconcile() == []
    assert deployed.keeper.forgotten == [NAME]


def test_the_pods_of_somebody_else_are_not_waited_for(deployed: UserWorld) -> None:
    deployed.server.put(PODS, pod("theirs", owner_uid="another"))
    deployed.delete()
    deployed.reconcile()
    deployed.reconcile()
    deployed.keeper.work()
    assert deployed.reconcile() == [CLAIM]


def test_nor_are_those_of_a_replica_set_of_our_name_that_is_not_ours(deployed: UserWorld) -> None:
    theirs = deployed.server.peek(REPLICA_SETS, RS)
    owner = {"kind": "Deployment", "name": "theirs", "uid": "another", "controller": True}
    theirs["metadata"].update(uid="theirs", ownerReferences=[owner])
    deployed.delete()
    deployed.reconcile()
    deployed.server.put(REPLICA_SETS, theirs)
    deployed.add_pod("theirs")
    deployed.reconcile()
    deployed.keeper.work()
    assert deployed.reconcile() == [CLAIM]
    assert deployed.server.all(REPLICA_SETS)


def test_nor_are_those_of_another_kind_of_our_name(deployed: UserWorld) -> None:
    deployed.add_pod("theirs")
    deployed.server.edit(
        PODS, "theirs", lambda o: o["metadata"]["ownerReferences"][0].update(kind="StatefulSet")
    )
    deployed.delete()
    deployed.reconcile()
    deployed.reconcile()
    deployed.keeper.work()
    assert deployed.reconcile() == [CLAIM]


def test_a_core_that_is_away_holds_the_deleted_storage_and_is_told(deployed: UserWorld) -> None:
    deployed.keeper.lose()
    deployed.delete()
    assert deployed.reconcile() == [f"delete ReplicaSet {RS}", STATUS]
    assert deployed.condition("Degraded")[:2] == ("True", "CoreUnreachable")
    assert deployed.finalizers() == [CORE_USER_FINALIZER]
    assert deployed.reconcile() == []


def test_pods_that_outlive_their_storage_keep_their_user(deployed: UserWorld) -> None:
    deployed.add_pod("a")
    deployed.delete("orphan")
    assert deployed.reconcile() == [CLAIM]
    assert deployed.finalizers() == ["orphan"]
    deployed.keeper.work()
    assert deployed.keeper.users == {NAME}
    assert deployed.server.all(REPLICA_SETS)


def test_so_they_do_where_the_garbage_collector_was_faster(deployed: UserWorld) -> None:
    deployed.add_pod("a")
    deployed.delete()
    deployed.server.edit(REPLICA_SETS, RS, lambda o: o["metadata"].pop("ownerReferences"))
    assert deployed.reconcile() == [CLAIM]
    deployed.keeper.work()
    assert deployed.keeper.users == {NAME}
    assert deployed.server.all(REPLICA_SETS)


def test_a_controller_without_the_flags_says_how_to_let_go(deployed: UserWorld) -> None:
    deployed.reconciler = replace(deployed.reconciler, users=None)
    deployed.delete("theirs")
    deployed.reconcile()
    reason, message = told(deployed)
    assert reason == "CoreUserLeft"
    assert follow(message, deployed.finalizers()) == ["theirs"]


@pytest.mark.parametrize("others", [[], ["theirs"], ["theirs", "more"]])
def test_so_is_one_told_who_waits_for_a_core(deployed: UserWorld, others: list[str]) -> None:
    deployed.keeper.lose()
    deployed.delete(*others)
    deployed.reconcile()
    reason, message = told(deployed)
    assert reason == "CoreUnreachable"
    assert follow(message, deployed.finalizers()) == others


def told(world: UserWorld) -> tuple[str, str]:
    """Return what Deployed, and Degraded if it takes a person, say."""
    _, reason, message = world.condition("Deployed")
    degraded, *found = world.condition("Degraded")
    assert degraded == "False" or found == [reason, message]
    assert (degraded == "True") == (reason != "Deleting")
    return reason, message


def follow(message: str, finalizers: list[str]) -> list[str]:
    """Do to `finalizers` what the command in `message` does to the storage's."""
    command = shlex.split(message[message.index("kubectl patch") :])
    assert command[:5] == ["kubectl", "patch", "etcdstorage", NAME, "--type=json"]
    test, remove = json.loads(command[5].removeprefix("--patch="))
    path = "/metadata/finalizers/"
    at = int(test["path"].removeprefix(path))
    assert test == {"op": "test", "path": f"{path}{at}", "value": finalizers[at]}
    assert remove == {"op": "remove", "path": f"{path}{at}"}
    return finalizers[:at] + finalizers[at + 1 :]
