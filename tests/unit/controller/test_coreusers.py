"""Storages with users of their own in the core: whole reconciles, from claim to pods."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.api.conditions import Problem, find_condition
from controller.api.storage import CORE_FINALIZER, read_storage
from controller.core import Access, CoreLook
from controller.coreusers import core_access
from controller.dataplane import UserSecrets
from controller.plan import Snapshot
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, REPLICA_SETS, SECRETS, SERVICES
from informers import ApiError, Resource
from tests.support.objects import (
    CLIENT_CA,
    CORE,
    NAME,
    NAMESPACE,
    ROOT,
    core_config_map,
    core_secret,
    etcd_storage,
)
from tests.support.userworld import PAIR, RS, STATUS, UserWorld

Json = dict[str, Any]

CLAIM = f"patch EtcdStorage {NAME}"
RIGHTS = "artifacts/deployment/10-core-users.yaml"
SERVICE = f"etcd-{NAME}"
FROM_NOTHING = [
    f"create Secret {PAIR}",
    f"create NetworkPolicy {SERVICE}",
    f"create PodDisruptionBudget {SERVICE}",
    f"create Service {SERVICE}",
    f"create ReplicaSet {RS}",
    STATUS,
]


@pytest.fixture
def world() -> UserWorld:
    return UserWorld()


@pytest.fixture
def deployed(world: UserWorld) -> UserWorld:
    world.settle()
    world.server.writes.clear()
    return world


def test_the_name_is_claimed_then_the_user_made_then_the_pair_then_all_else(
    world: UserWorld,
) -> None:
    assert world.reconcile() == [CLAIM, STATUS]
    assert world.finalizers() == [CORE_FINALIZER]
    assert world.again == 0.0
    assert world.reconcile() == [STATUS]
    assert world.condition("Deployed")[:2] == ("False", "CoreUserPending")
    assert world.condition("Degraded")[0] == "False"
    world.keeper.work()
    assert world.keeper.users == {NAME}
    assert world.reconcile() == FROM_NOTHING
    assert world.condition("Deployed")[:2] == ("True", "EtcdProxyDeployed")
    template = world.server.peek(REPLICA_SETS, RS)["spec"]["template"]
    assert template["metadata"]["labels"]["etcd.xmudrii.com/isolation"] == "Core"
    assert PAIR in str(template["spec"]["volumes"])
    assert world.reconcile() == []
    assert 0 < (world.again or 0) < 365 * 86400


def test_the_finalizers_of_others_stay(world: UserWorld) -> None:
    world.server.edit(ETCD_STORAGES, NAME, lambda o: o["metadata"].update(finalizers=["theirs"]))
    world.reconcile()
    assert world.finalizers() == ["theirs", CORE_FINALIZER]


def test_a_user_that_is_not_ours_is_told_and_nothing_is_made_or_claimed(world: UserWorld) -> None:
    world.keeper.foreign.add(NAME)
    assert world.reconcile() == [STATUS]
    for type_ in ("Deployed", "Degraded"):
        assert world.condition(type_)[1] == "CoreUserConflict"
    assert world.finalizers() == []
    world.keeper.foreign.clear()
    world.settle()
    assert world.condition("Deployed")[0] == "True"


def test_a_core_that_is_away_is_told_and_keeps_what_runs(deployed: UserWorld) -> None:
    deployed.keeper.lose()
    assert deployed.reconcile() == [STATUS]
    assert deployed.condition("Deployed")[0] == "True"
    assert deployed.condition("Degraded")[:2] == ("True", "CoreUnreachable")
    # What runs is still mended, and for a controller that has just started as well.
    deployed.keeper.look = CoreLook(reachable=False, problem=deployed.keeper.look.problem)
    deployed.keeper.forget(NAME)
    deployed.server.remove(SERVICES, SERVICE)
    assert deployed.reconcile() == [f"create Service {SERVICE}"]


def test_without_a_core_nothing_new_is_made(world: UserWorld) -> None:
    world.keeper.lose()
    assert world.reconcile() == [STATUS]
    assert world.condition("Deployed")[:2] == ("False", "CoreUnreachable")
    assert world.condition("Degraded")[0] == "True"


def test_a_direct_storage_waits_for_auth_and_is_told_when_it_is_lost(world: UserWorld) -> None:
    world.server.edit(ETCD_STORAGES, NAME, lambda o: o["spec"].update(mode="Direct"))
    world.keeper.look = CoreLook(reachable=True, auth=False)
    world.settle()
    assert world.condition("Deployed")[:2] == ("False", "CoreAuthDisabled")
    assert world.server.all(REPLICA_SETS) == []
    world.keeper.look = CoreLook(reachable=True, auth=True)
    world.settle()
    assert world.condition("Deployed")[0] == "True"
    world.add_pod("a")
    world.reconcile()
    assert world.status()["isolation"] == "Core"
    world.keeper.look = CoreLook(reachable=True, auth=False)
    world.settle()
    assert world.condition("Degraded")[:2] == ("True", "CoreAuthDisabled")
    assert "isolation" not in world.status()


def test_pods_that_lean_on_auth_go_when_it_is_lost_and_come_back_with_it(world: UserWorld) -> None:
    def replicas() -> int:
        wanted: int = world.server.peek(REPLICA_SETS, RS)["spec"]["replicas"]
        return wanted

    world.server.edit(ETCD_STORAGES, NAME, lambda o: o["spec"].update(mode="Direct"))
    world.settle()
    before = world.server.peek(REPLICA_SETS, RS)["spec"]["template"]
    assert replicas() == 2
    world.keeper.look = CoreLook(reachable=True, auth=False)
    assert f"patch ReplicaSet {RS}" in world.reconcile()
    world.settle()
    assert replicas() == 0
    # A controller that has just started knows of no auth yet.
    world.keeper.look = CoreLook(reachable=False)
    world.settle()
    assert replicas() == 0
    world.keeper.look = CoreLook(reachable=True, auth=True)
    world.settle()
    assert replicas() == 2
    assert world.server.peek(REPLICA_SETS, RS)["spec"]["template"] == before


def unsupported(world: UserWorld) -> None:
    world.server.edit(ETCD_STORAGES, NAME, lambda o: o["spec"].update(reclaimPolicy="Recycle"))


def lose_ca(world: UserWorld) -> None:
    world.server.remove(CONFIG_MAPS, CORE.ca_config_map)


def taken_service(world: UserWorld) -> None:
    other = [{"kind": "Deployment", "name": "d", "uid": "another", "controller": True}]
    world.server.edit(SERVICES, SERVICE, lambda o: o["metadata"].update(ownerReferences=other))


def orphaned(world: UserWorld) -> None:
    world.server.edit(REPLICA_SETS, RS, lambda o: o["metadata"].pop("ownerReferences"))


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (unsupported, "NotSupported"),
        (lose_ca, "CoreCAMissing"),
        (taken_service, "NameConflict"),
        (orphaned, "CoreAuthDisabled"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_no_refusal_keeps_pods_alive_that_nothing_keeps_apart(
    world: UserWorld, happens: Callable[[UserWorld], None], reason: str, *, at_once: bool
) -> None:
    world.server.edit(ETCD_STORAGES, NAME, lambda o: o["spec"].update(mode="Direct"))
    world.settle()
    world.add_pod("a")
    world.reconcile()
    assert world.status()["isolation"] == "Core"
    happens(world)
    if not at_once:
        world.settle()
    world.keeper.look = CoreLook(reachable=True, auth=False)
    world.settle()
    assert world.server.peek(REPLICA_SETS, RS)["spec"]["replicas"] == 0
    assert "isolation" not in world.status()
    assert world.condition("Deployed")[:2] == ("False", reason)
    assert "auth enable" in world.condition("Degraded")[2]


def test_nobody_says_that_the_core_isolates_without_asking_it(deployed: UserWorld) -> None:
    deployed.add_pod("a")
    deployed.reconcile()
    assert deployed.status()["isolation"] == "Core"
    # A controller that has just started has not asked yet.
    deployed.keeper.look = CoreLook()
    deployed.reconcile()
    assert deployed.status()["isolation"] == "Core"
    deployed.keeper.look = CoreLook(reachable=True, auth=True)
    deployed.keeper.lose()
    deployed.reconcile()
    assert "isolation" not in deployed.status()
    deployed.keeper.look = CoreLook(reachable=True, auth=True)
    deployed.reconcile()
    assert deployed.status()["isolation"] == "Core"
    deployed.server.edit(ETCD_STORAGES, NAME, lambda o: o["spec"].update(mode="Direct"))
    deployed.reconciler = replace(deployed.reconciler, users=None)
    deployed.reconcile()
    assert "isolation" not in deployed.status()


def test_auth_that_is_switched_on_rolls_to_pods_that_lean_on_it(world: UserWorld) -> None:
    world.keeper.look = CoreLook(reachable=True, auth=False)
    world.settle()
    before = world.server.peek(REPLICA_SETS, RS)["spec"]["template"]
    world.keeper.look = CoreLook(reachable=True, auth=True)
    assert f"patch ReplicaSet {RS}" in world.reconcile()
    after = world.server.peek(REPLICA_SETS, RS)["spec"]["template"]
    assert after["metadata"]["labels"]["etcd.xmudrii.com/isolation"] == "Core"
    # The identity towards the core stays.
    assert after["spec"]["volumes"] == before["spec"]["volumes"]


def test_a_pair_that_is_spoilt_is_made_anew_without_a_roll(deployed: UserWorld) -> None:
    deployed.server.edit(SECRETS, PAIR, lambda o: o["data"].update({"tls.crt": "eA=="}))
    assert deployed.reconcile() == [f"patch Secret {PAIR}", STATUS]
    deployed.server.remove(SECRETS, PAIR)
    assert deployed.reconcile() == [f"create Secret {PAIR}", STATUS]
    assert deployed.reconcile() == []


def test_a_secret_that_lost_our_label_is_found_by_its_name_and_mended(
    deployed: UserWorld,
) -> None:
    """The cache, which is by that label, has it no more."""
    deployed.server.edit(SECRETS, PAIR, lambda o: o["metadata"].pop("labels"))
    deployed.lose_sight_of_secret()
    assert deployed.reconcile() == [f"patch Secret {PAIR}"]
    assert "etcd.xmudrii.com/storage" in deployed.server.peek(SECRETS, PAIR)["metadata"]["labels"]


def test_a_foreign_secret_of_that_name_is_told_and_not_touched(world: UserWorld) -> None:
    theirs = world.server.put(SECRETS, core_secret({"a": "b"}, PAIR))
    world.lose_sight_of_secret()
    world.settle()
    assert world.condition("Deployed")[:2] == ("False", "NameConflict")
    assert f"Secret {PAIR}" in world.condition("Degraded")[2]
    assert world.server.peek(SECRETS, PAIR) == theirs


@pytest.mark.parametrize("resource", [SECRETS, SERVICES, REPLICA_SETS])
def test_while_a_name_is_taken_nothing_is_claimed_or_made(
    world: UserWorld, resource: Resource
) -> None:
    world.settle()
    taken = world.server.peek(resource, {SECRETS: PAIR, SERVICES: SERVICE}.get(resource, RS))
    taken["metadata"].update(ownerReferences=[], labels={})
    world = UserWorld()
    world.server.put(resource, taken)
    if resource == SECRETS:
        world.lose_sight_of_secret()
    world.settle()
    assert world.condition("Deployed")[:2] == ("False", "NameConflict")
    assert (world.finalizers(), world.keeper.users) == ([], set())
    world.server.remove(resource, taken["metadata"]["name"])
    world.settle()
    assert world.condition("Deployed")[0] == "True"


# What storages had before they had users goes on.


@pytest.fixture
def shared(world: UserWorld) -> UserWorld:
    """A storage on the shared pair, and a controller that was given the flags since."""
    flagged, listers = world.reconciler, world.server.listers()
    world.server.put(SECRETS, core_secret())
    world.reconciler = replace(flagged, users=None, listers=listers)
    world.settle()
    world.add_pod("a")
    world.reconciler = flagged
    return world


@pytest.mark.parametrize("lacks", ["core", "user", "authority"])
def test_pods_on_the_shared_pair_are_mended_until_there_is_another(
    shared: UserWorld, lacks: str
) -> None:
    authority = shared.server.peek(SECRETS, CLIENT_CA)
    before = shared.server.peek(REPLICA_SETS, RS)["spec"]["template"]
    if lacks == "core":
        shared.keeper.lose()
    elif lacks == "user":
        shared.keeper.foreign.add(NAME)
    else:
        shared.server.remove(SECRETS, CLIENT_CA)
    shared.server.remove(SERVICES, SERVICE)
    shared.server.edit(ETCD_STORAGES, NAME, lambda o: o["spec"].update(replicas=5))
    shared.settle()
    spec = shared.server.peek(REPLICA_SETS, RS)["spec"]
    assert (spec["replicas"], spec["template"]) == (5, before)
    assert shared.server.all(SERVICES)
    assert PAIR not in [secret["metadata"]["name"] for secret in shared.server.all(SECRETS)]
    reason = {"core": "CoreUnreachable", "user": "CoreUserConflict"}
    told = shared.condition("Degraded")
    assert told[:2] == ("True", reason.get(lacks, "CoreClientCAUnusable"))
    assert shared.status()["isolation"] == "Gate"
    assert shared.status()["updatedReplicas"] == 1
    shared.keeper.look = CoreLook(reachable=True, auth=True)
    shared.keeper.foreign.clear()
    shared.server.put(SECRETS, authority)
    shared.settle()
    assert PAIR in str(shared.server.peek(REPLICA_SETS, RS)["spec"]["template"])
    assert shared.condition("Degraded")[0] == "False"


# What the server refuses is told, whatever it is.


def test_a_claim_that_is_refused_is_told(world: UserWorld) -> None:
    world.server.failures[CLAIM] = ApiError(403, "Forbidden", "may not patch etcdstorages")
    with pytest.raises(ApiError):
        world.reconcile()
    for type_ in ("Deployed", "Degraded"):
        _, reason, message = world.condition(type_)
        assert reason == "WriteFailed"
        assert message.startswith("may not patch etcdstorages; ")
        assert message.endswith(f": kubectl apply -f {RIGHTS}")
    world.server.failures.clear()
    world.settle()
    assert world.condition("Deployed")[0] == "True"


@pytest.mark.parametrize("write", [f"delete ReplicaSet {RS}", CLAIM])
def test_an_end_that_is_refused_is_told(deployed: UserWorld, write: str) -> None:
    deployed.server.failures[write] = ApiError(403, "Forbidden", "may not")
    deployed.delete()

    def end() -> None:
        for _ in range(4):
            deployed.reconcile()
            deployed.keeper.work()

    with pytest.raises(ApiError):
        end()
    status, reason, message = deployed.condition("Degraded")
    assert (status, reason) == ("True", "WriteFailed")
    assert message.startswith("may not")
    assert (RIGHTS in message) is ("kubectl patch etcdstorage" in message) is (write == CLAIM)
    deployed.server.failures.clear()
    end()
    assert deployed.finalizers() == []


def test_a_secret_that_may_not_be_read_is_told(
    deployed: UserWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.add_pod("a")
    deployed.reconcile()
    deployed.lose_sight_of_secret()

    def refuse(*_: object) -> Json:
        raise ApiError(403, "Forbidden", "may not get secrets")

    monkeypatch.setattr(deployed.server, "get", refuse)
    with pytest.raises(ApiError):
        deployed.reconcile()
    assert deployed.condition("Degraded") == ("True", "WriteFailed", "may not get secrets")
    assert deployed.condition("Ready")[0] == "True"


def test_no_pair_is_made_before_its_user(world: UserWorld) -> None:
    users = world.reconciler.users
    assert users is not None
    world.reconcile()
    snapshot = Snapshot(client_ca=world.server.peek(SECRETS, CLIENT_CA))
    storage = read_storage(world.server.peek(ETCD_STORAGES, NAME))
    assert users.tenant(storage, snapshot, None).secret is None
    world.keeper.want(NAME, claimed=True)
    world.keeper.work()
    assert users.tenant(storage, snapshot, None).secret is not None


def test_an_authority_that_goes_stops_new_storages_only(deployed: UserWorld) -> None:
    deployed.server.remove(SECRETS, CLIENT_CA)
    deployed.server.put(ETCD_STORAGES, etcd_storage("later"))
    deployed.settle("later")
    deployed.reconcile()
    assert deployed.condition("Deployed")[0] == "True"
    assert deployed.condition("Degraded")[:2] == ("True", "CoreClientCAUnusable")
    later = deployed.server.peek(ETCD_STORAGES, "later")
    assert (find_condition(later["status"], "Deployed") or {})["reason"] == "CoreClientCAUnusable"
    assert [rs["metadata"]["name"] for rs in deployed.server.all(REPLICA_SETS)] == [RS]
    # Nothing is half done: the user would be there without anybody who could come as it.
    assert "finalizers" not in later["metadata"]
    assert deployed.keeper.users == {NAME}


# How the controller itself reaches the core.


def access(config_map: Json | None, root: Json | None) -> Access | Problem:
    return core_access(CORE, ("https://core",), UserSecrets(ROOT, CLIENT_CA), config_map, root)


def test_the_access_is_made_of_the_bundle_and_roots_pair() -> None:
    found = access(core_config_map(), core_secret(name=ROOT))
    bundle = core_config_map()["data"]["ca.pem"].encode()
    assert found == Access(("https://core",), bundle, b"certificate", b"key")


def test_without_users_it_is_made_of_the_pair_that_all_share() -> None:
    found = core_access(CORE, ("https://core",), None, core_config_map(), core_secret())
    bundle = core_config_map()["data"]["ca.pem"].encode()
    assert found == Access(("https://core",), bundle, b"certificate", b"key")
    missing = core_access(CORE, ("https://core",), None, core_config_map(), None)
    assert isinstance(missing, Problem)
    assert missing.reason == "CoreCertsMissing"


def test_a_core_without_tls_needs_neither() -> None:
    """What counts is how the controller reaches it, not how the pods do."""
    assert core_access(CORE, ("http://core",), None, None, None) == Access(("http://core",))
    plain = replace(CORE, urls=("http://core",))
    found = core_access(plain, ("https://core",), None, None, None)
    assert isinstance(found, Problem)
    assert found.reason == "CoreCAMissing"


@pytest.mark.parametrize(
    ("config_map", "root", "reason", "says"),
    [
        (None, core_secret(name=ROOT), "CoreCAMissing", CORE.ca_config_map),
        (core_config_map(), None, "CoreRootMissing", f"Secret {ROOT} is missing"),
        (
            core_config_map(),
            core_secret({"client.pem": "x"}, ROOT),
            "CoreRootMissing",
            "no key client-key.pem",
        ),
        (core_config_map(), {"data": {"client.pem": "="}}, "CoreRootMissing", "client.pem"),
    ],
)
def test_what_is_missing_for_it_is_named(
    config_map: Json | None, root: Json | None, reason: str, says: str
) -> None:
    found = access(config_map, root)
    assert isinstance(found, Problem)
    assert found.reason == reason
    assert says in found.message
    assert NAMESPACE not in found.message
