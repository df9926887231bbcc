"""The end of a storage that has a user in the core, as its reconciles carry it out."""

from dataclasses import replace

import pytest

from controller.api.storage import CORE_USER_FINALIZER
from controller.resources import ETCD_STORAGES, PODS, REPLICA_SETS, SERVICES
from tests.support.objects import NAME, pod
from tests.support.userworld import RS, STATUS, UserWorld

CLAIM = f"patch EtcdStorage {NAME}"
SERVICE = f"etcd-{NAME}"


@pytest.fixture
def deployed() -> UserWorld:
    world = UserWorld()
    world.settle()
    return world


def test_a_deleted_storage_loses_its_pods_then_its_user_then_the_finalizer(
    deployed: UserWorld,
) -> None:
    deployed.add_pod("a")
    deployed.delete()
    assert deployed.reconcile() == [f"delete ReplicaSet {RS}"]
    assert deployed.reconcile() == []
    deployed.keeper.work()
    assert deployed.keeper.users == {NAME}  # its pod is still there
    deployed.server.edit(PODS, "a", lambda o: o["metadata"].update(deletionTimestamp="t"))
    assert deployed.reconcile() == []
    deployed.keeper.work()
    assert deployed.keeper.users == set()
    assert deployed.reconcile() == [CLAIM]
    assert deployed.finalizers() == []
    assert deployed.reconcile() == []
    assert deployed.keeper.forgotten == [NAME]


def test_the_pods_of_somebody_else_are_not_waited_for(deployed: UserWorld) -> None:
    deployed.server.put(PODS, pod("theirs", owner_uid="another"))
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


def test_orphans_are_left_to_the_garbage_collector_first(deployed: UserWorld) -> None:
    deployed.delete("orphan")
    assert deployed.reconcile() == []
    for resource, name in ((REPLICA_SETS, RS), (SERVICES, SERVICE)):
        deployed.server.edit(resource, name, lambda o: o["metadata"].pop("ownerReferences"))
    deployed.server.edit(
        ETCD_STORAGES, NAME, lambda o: o["metadata"].update(finalizers=[CORE_USER_FINALIZER])
    )
    assert deployed.reconcile() == []
    assert deployed.server.all(REPLICA_SETS)
    deployed.keeper.work()
    assert deployed.reconcile() == [CLAIM]


def test_a_controller_without_the_flags_says_how_to_let_go(deployed: UserWorld) -> None:
    deployed.reconciler = replace(deployed.reconciler, users=None)
    deployed.delete()
    deployed.reconcile()
    status, reason, message = deployed.condition("Degraded")
    assert (status, reason) == ("True", "CoreUserLeft")
    assert f"kubectl patch etcdstorage {NAME}" in message
    assert deployed.finalizers() == [CORE_USER_FINALIZER]
