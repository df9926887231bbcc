"""The end of a storage that has a user in the core, as its reconciles carry it out."""

import contextlib
import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.api.storage import CORE_FINALIZER, CORE_USER_OWNER
from controller.resources import ETCD_STORAGES, PODS, REPLICA_SETS, SECRETS
from informers import ApiError, Resource
from tests.support.corekeeper import CoreKeeper
from tests.support.memoryserver import MemoryServer
from tests.support.objects import NAME, NAMESPACE, core_secret, etcd_storage, pod
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
    assert deployed.reconcile() == [STATUS]
    assert told(deployed)[1].endswith("it waits for the finalizers of others: theirs")
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
    assert deployed.finalizers() == [CORE_FINALIZER]
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


# A finalizer that came with the object says nothing.


def restored(owner: str | None = None) -> UserWorld:
    """A storage that somebody made with our finalizer, and may be with another's status."""
    world = UserWorld()
    status = {CORE_USER_OWNER: owner} if owner else {}
    made = etcd_storage(meta={"finalizers": [CORE_FINALIZER]}, status=status)
    world.server.put(ETCD_STORAGES, made)
    return world


@pytest.mark.parametrize("owner", [None, "the uid that it had once"])
def test_a_storage_made_with_the_finalizer_gets_a_name_only_if_that_is_free(
    owner: str | None,
) -> None:
    world = restored(owner)
    world.keeper.foreign.add(NAME)
    world.settle()
    assert (world.keeper.foreign, world.keeper.users) == ({NAME}, set())
    assert world.condition("Degraded")[:2] == ("True", "CoreUserConflict")
    assert CORE_USER_OWNER not in world.status()
    world.keeper.foreign.clear()
    assert world.reconcile() == [STATUS]  # Nothing but this brings it back.
    assert world.again == 0.0
    world.settle()
    assert world.keeper.users == {NAME}
    assert world.condition("Deployed")[0] == "True"
    assert world.status()[CORE_USER_OWNER] == f"uid-{NAME}"


@pytest.mark.parametrize("owner", [None, "the uid that it had once"])
@pytest.mark.parametrize("seen", [True, False])
def test_its_end_leaves_the_user_of_somebody_else_alone(owner: str | None, *, seen: bool) -> None:
    world = restored(owner)
    world.keeper.foreign.add(NAME)
    if seen:
        world.settle()
    world.delete("theirs")
    assert world.reconcile() == [CLAIM]
    world.keeper.work()
    assert (world.finalizers(), world.keeper.foreign) == (["theirs"], {NAME})
    assert world.reconcile() == ([STATUS] if seen else [])
    assert world.reconcile() == []


def test_a_storage_that_lost_its_status_claims_its_own_user_again(deployed: UserWorld) -> None:
    deployed.add_pod("a")
    deployed.server.edit(ETCD_STORAGES, NAME, lambda o: o.pop("status"))
    assert deployed.reconcile() == [STATUS]
    deployed.settle()
    assert deployed.condition("Deployed")[0] == "True"
    deployed.delete()
    deployed.reconcile()
    deployed.server.remove(PODS, "a")
    deployed.reconcile()
    deployed.keeper.work()
    assert deployed.reconcile() == [CLAIM]
    assert deployed.keeper.users == set()


def test_a_server_that_drops_the_claim_is_told_until_its_crd_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = UserWorld()
    took = world.server.patch

    def drops(resource: Resource, name: str, body: Any, **named: Any) -> Any:
        body.get("status", {}).pop(CORE_USER_OWNER, None)
        return took(resource, name, body, **named)

    with monkeypatch.context() as of_an_older_release:
        of_an_older_release.setattr(world.server, "patch", drops)
        for _ in range(3):
            with pytest.raises(ApiError):
                world.reconcile()
        told = world.status()
        assert world.condition("Degraded")[1] == "WriteFailed"
        assert "kubectl apply -f artifacts/etcdstorage/crd.yaml" in world.condition("Degraded")[2]
        with pytest.raises(ApiError):
            world.reconcile()
        assert world.status() == told
        world.keeper.work()
        assert world.keeper.users == set()
    world.settle()
    assert world.condition("Degraded")[0] == "False"


@pytest.mark.parametrize("others", [[], ["theirs"]])
@pytest.mark.parametrize("claimed", [True, False])
def test_a_controller_that_may_not_take_off_the_finalizer_says_who_can(
    others: list[str], *, claimed: bool
) -> None:
    """Its storages had users once, and the rights for that were taken away with the flags."""
    world = restored()
    if claimed:
        world.settle()
        world.server.edit(REPLICA_SETS, RS, lambda o: o["metadata"].pop("ownerReferences"))
    world.server.failures[CLAIM] = ApiError(403, "Forbidden", "cannot patch etcdstorages")
    world.delete(*others)
    with pytest.raises(ApiError):
        world.reconcile()
    reason, message = told(world)
    assert reason == "WriteFailed"
    assert message.startswith("cannot patch etcdstorages; ")
    assert "kubectl apply -f artifacts/deployment/10-core-users.yaml, or kubectl patch" in message
    assert follow(message, world.finalizers()) == others
    assert world.finalizers() == [*others, CORE_FINALIZER]


def strip_on_its_way(monkeypatch: pytest.MonkeyPatch, world: UserWorld) -> None:
    """As a mutating webhook does; the write succeeds all the same."""
    patch = MemoryServer.patch

    def stripped(server: MemoryServer, resource: Resource, name: str, body: Any, **to: Any) -> Any:
        if "finalizers" in body.get("metadata", {}):
            body = {"metadata": {**body["metadata"], "finalizers": None}}
        return patch(server, resource, name, body, **to)

    monkeypatch.setattr(MemoryServer, "patch", stripped)


def strip_afterwards(monkeypatch: pytest.MonkeyPatch, world: UserWorld) -> None:
    """As another controller does, that is as quick as we are."""
    reconcile = world.reconcile

    def answered(name: str = NAME) -> list[str]:
        written = reconcile(name)
        if world.finalizers():
            world.server.edit(ETCD_STORAGES, name, lambda o: o["metadata"].pop("finalizers"))
        return written

    monkeypatch.setattr(world, "reconcile", answered)


@pytest.mark.parametrize("strip", [strip_on_its_way, strip_afterwards])
@pytest.mark.parametrize("users", [True, False])
def test_a_finalizer_that_somebody_keeps_taking_off_is_told_and_is_no_hot_loop(
    strip: Callable[[pytest.MonkeyPatch, UserWorld], None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    users: bool,
) -> None:
    world = UserWorld()
    if not users:
        world.server.put(SECRETS, core_secret())
        world.server.edit(ETCD_STORAGES, NAME, lambda o: o["spec"].update(reclaimPolicy="Delete"))
        listers = world.server.listers()
        world.reconciler = replace(world.reconciler, users=None, listers=listers)
    with monkeypatch.context() as meanwhile:
        strip(meanwhile, world)
        tries: list[float] = []
        for _ in range(100):
            world.keeper.work()
            if CLAIM in world.reconcile():
                tries.append(world.clock.monotonic() - 1000)
            else:
                world.clock.step(world.again or 0.0)
        assert tries[:9] == [0, 0, 0, 0, 0, 1, 3, 7, 15]
        assert not users or world.keeper.users == set()
        status, reason, message = world.condition("Degraded")
        assert (status, reason) == ("True", "DriftFight")
        assert f"keeps taking the finalizer {CORE_FINALIZER} off {NAME}: stop that" in message
    world.clock.step(60)
    world.settle()
    world.clock.step(1000)
    world.settle()
    assert world.finalizers() == [CORE_FINALIZER]
    assert world.condition("Degraded")[0] == "False"


# A stop between any two writes.


class Stopped(Exception):  # noqa: N818 - it is no error
    pass


class StopAt(dict[str, Exception]):
    """Fails a server's write number `left`, counted from 0, and none after it."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def get(self, _write: str, _default: Any = None) -> Any:
        self.left -= 1
        return Stopped() if self.left == -1 else None


def restart(world: UserWorld) -> None:
    """Let another controller take over, which knows nothing but what it reads."""
    keeper, users = CoreKeeper(), world.reconciler.users
    keeper.users, keeper.foreign = world.keeper.users, world.keeper.foreign
    keeper.keys = world.keeper.keys
    assert users is not None
    world.keeper = keeper
    users = replace(users, keeper=keeper)
    world.reconciler = replace(world.reconciler, keeper=keeper, users=users)


def settles(world: UserWorld, stop: int) -> bool:
    """Settle with a stop before this write; False if there were not so many."""
    world.server.failures = StopAt(stop)
    try:
        world.settle()
    except Stopped:
        restart(world)
        world.settle()
        return True
    return False


def picture(world: UserWorld) -> object:
    kinds = world.reconciler.listers.owned
    names = {kind.kind: [o["metadata"]["name"] for o in world.server.all(kind)] for kind in kinds}
    conditions = [(c["type"], c["status"], c["reason"]) for c in world.status()["conditions"]]
    owner = world.status().get(CORE_USER_OWNER)
    return names, conditions, owner, world.finalizers(), world.keeper.users, world.keeper.foreign


@pytest.mark.parametrize("foreign", [set(), {NAME}])
@pytest.mark.parametrize("forged", [True, False])
def test_a_stop_between_any_two_writes_changes_nothing(foreign: set[str], *, forged: bool) -> None:
    def begun() -> UserWorld:
        world = restored() if forged else UserWorld()
        world.keeper.foreign = {*foreign}
        return world

    undisturbed = begun()
    undisturbed.settle()
    stop = 0
    while settles(world := begun(), stop):
        assert picture(world) == picture(undisturbed)
        stop += 1
    assert stop >= (1 if foreign else 7)


@pytest.mark.parametrize("foreign", [set(), {NAME}])
@pytest.mark.parametrize("forged", [True, False])
def test_a_storage_that_is_deleted_after_a_stop_leaves_what_was_there_before(
    foreign: set[str], *, forged: bool
) -> None:
    for stop in range(10):
        world = restored() if forged else UserWorld()
        world.keeper.foreign = {*foreign}
        world.server.failures = StopAt(stop)
        with contextlib.suppress(Stopped):
            world.settle()
        restart(world)
        world.delete()
        settles(world, stop % 3)
        assert (world.keeper.users, world.keeper.foreign) == (set(), foreign)
        assert world.finalizers() == []
