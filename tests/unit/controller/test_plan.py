"""What is written for a storage, carried out on a server with defaults, and planned again."""

from typing import Any

import pytest

from controller.api.storage import EtcdStorage
from controller.dataplane import Desired
from controller.dataplane.interface import REVISION_LABEL
from controller.ownership import STORAGE_LABEL, controller_of, controller_reference
from controller.plan import (
    Create,
    Delete,
    Evict,
    Patch,
    Plan,
    Snapshot,
    conflicts,
    plan_object,
    plan_secrets,
    plan_storage,
    plan_suspension,
    without_pods,
)
from controller.resources import (
    DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from informers import Resource
from tests.support.memoryserver import MemoryServer
from tests.support.objects import (
    NAMESPACE,
    desired_of,
    owned_by,
    pod,
    read,
    replica_set_of_2018,
    service_of_2018,
)

Json = dict[str, Any]

RS, SERVICE = "etcd-rs-etcd-name", "etcd-etcd-name"
OBJECTS = [
    (NETWORK_POLICIES, SERVICE),
    (DISRUPTION_BUDGETS, SERVICE),
    (SERVICES, SERVICE),
    (REPLICA_SETS, RS),
]
"""In the order in which they are made."""

STORAGE = read()
DESIRED = desired_of(STORAGE)


class World:
    """A server, and the plans made for what it holds."""

    def __init__(self) -> None:
        self.server = MemoryServer()

    def plan(self, storage: EtcdStorage = STORAGE, desired: Desired = DESIRED) -> Plan:
        return plan_storage(storage, desired, self.server.snapshot())

    def carry_out(self, plan: Plan) -> None:
        for write in plan.writes:
            match write:
                case Create(resource, obj):
                    self.server.create(resource, obj, NAMESPACE)
                case Patch(resource, name, patch):
                    self.server.patch(resource, name, patch, namespace=NAMESPACE)
                case Delete(resource, name, uid):
                    self.server.delete(
                        resource, name, namespace=NAMESPACE, preconditions={"uid": uid}
                    )
                case Evict(name):
                    self.server.remove(PODS, name)

    def settle(self, storage: EtcdStorage = STORAGE, desired: Desired = DESIRED) -> list[Plan]:
        """Plan and carry out until nothing is left; the plans that wrote something."""
        plans = []
        while (plan := self.plan(storage, desired)).writes:
            plans.append(plan)
            assert len(plans) < 10, plans
            self.carry_out(plan)
        return plans


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def deployed(world: World) -> World:
    world.settle()
    world.server.writes.clear()
    return world


def test_from_nothing_each_object_is_made_once_and_then_nothing(world: World) -> None:
    """The ReplicaSet last: what keeps strangers from its pods is there before them."""
    (plan,) = world.settle()
    assert [type(write) for write in plan.writes] == [Create] * 4
    assert world.server.writes == [f"create {kind.kind} {name}" for kind, name in OBJECTS]
    for resource, name in OBJECTS:
        assert controller_of(world.server.peek(resource, name)) == controller_reference(STORAGE)
    assert (plan.awaited, plan.brings_to_life) == ((), True)


def test_the_defaults_that_the_server_adds_are_no_drift(deployed: World) -> None:
    stored = deployed.server.peek(REPLICA_SETS, RS)
    assert stored["spec"]["template"]["spec"]["restartPolicy"] == "Always"
    assert deployed.plan().writes == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda rs: rs["spec"].update(replicas=7),
        lambda rs: rs["metadata"]["labels"].pop(STORAGE_LABEL),
        lambda rs: rs["metadata"].pop("labels"),
        lambda rs: rs["spec"]["template"]["spec"]["containers"][0].update(image="other"),
        lambda rs: rs["spec"]["template"]["spec"]["containers"][0]["args"].append("--more"),
        lambda rs: rs["spec"]["template"]["spec"]["containers"].append({"name": "sidecar"}),
        lambda rs: rs["spec"]["template"]["spec"].pop("volumes"),
        lambda rs: rs["spec"]["template"]["spec"].update(automountServiceAccountToken=True),
        lambda rs: rs["spec"]["template"]["metadata"].pop("annotations"),
    ],
)
def test_drift_of_the_replica_set_is_mended_by_one_patch(deployed: World, change: Any) -> None:
    before = deployed.server.peek(REPLICA_SETS, RS)
    deployed.server.edit(REPLICA_SETS, RS, change)
    (plan,) = deployed.settle()
    assert [type(write) for write in plan.writes] == [Patch]
    after = deployed.server.peek(REPLICA_SETS, RS)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


@pytest.mark.parametrize(
    "change",
    [
        lambda service: service["spec"]["selector"].update(more="pods"),
        lambda service: service["spec"].update(selector={"controller": "epc"}),
        lambda service: service["spec"]["ports"][0].update(port=1),
        lambda service: service["spec"]["ports"].append({"name": "more", "port": 80}),
        lambda service: service["spec"].update(type="NodePort"),
    ],
)
def test_drift_of_the_service_is_mended_by_one_patch(deployed: World, change: Any) -> None:
    before = deployed.server.peek(SERVICES, SERVICE)
    deployed.server.edit(SERVICES, SERVICE, change)
    (plan,) = deployed.settle()
    assert [type(write) for write in plan.writes] == [Patch]
    assert deployed.server.peek(SERVICES, SERVICE)["spec"] == before["spec"]


@pytest.mark.parametrize(("resource", "name"), OBJECTS)
def test_what_is_deleted_comes_back(deployed: World, resource: Any, name: str) -> None:
    deployed.server.remove(resource, name)
    (plan,) = deployed.settle()
    assert [type(write) for write in plan.writes] == [Create]


@pytest.mark.parametrize(
    ("resource", "change"),
    [
        (DISRUPTION_BUDGETS, lambda spec: spec.update(maxUnavailable=2)),
        # Next to ours the server would refuse it.
        (
            DISRUPTION_BUDGETS,
            lambda spec: (spec.pop("maxUnavailable"), spec.update(minAvailable=1)),
        ),
        (DISRUPTION_BUDGETS, lambda spec: spec.update(selector={})),
        (DISRUPTION_BUDGETS, lambda spec: spec.pop("unhealthyPodEvictionPolicy")),
        (NETWORK_POLICIES, lambda spec: spec.update(podSelector={})),
        (NETWORK_POLICIES, lambda spec: spec["podSelector"]["matchLabels"].update(a="b")),
        (NETWORK_POLICIES, lambda spec: spec["ingress"].append({})),
        (NETWORK_POLICIES, lambda spec: spec["ingress"][1].pop("from")),
        (NETWORK_POLICIES, lambda spec: spec["ingress"][1]["ports"][0].update(endPort=65535)),
        (NETWORK_POLICIES, lambda spec: spec["ingress"][0]["ports"].append({"port": 1})),
        (NETWORK_POLICIES, lambda spec: spec["policyTypes"].append("Egress")),
    ],
)
def test_what_a_policy_lets_in_and_a_budget_lets_go_is_ours_alone(
    deployed: World, resource: Resource, change: Any
) -> None:
    before = deployed.server.peek(resource, SERVICE)
    deployed.server.edit(resource, SERVICE, lambda obj: change(obj["spec"]))
    (plan,) = deployed.settle()
    assert [(type(write), getattr(write, "resource", None)) for write in plan.writes] == [
        (Patch, resource)
    ]
    assert deployed.server.peek(resource, SERVICE)["spec"] == before["spec"]


def test_the_fields_of_others_stay_through_every_write(deployed: World) -> None:
    def touch(obj: Json) -> None:
        obj["metadata"]["labels"]["theirs"] = "label"
        obj["metadata"]["annotations"] = {"theirs": "annotation"}
        obj["metadata"]["finalizers"] = ["their/finalizer"]
        obj["metadata"]["ownerReferences"].insert(0, {"uid": "u", "kind": "Team", "name": "t"})
        obj["spec"]["minReadySeconds"] = 5

    server = deployed.server
    for resource, name in ((REPLICA_SETS, RS), (SERVICES, SERVICE)):
        server.edit(resource, name, touch)
    assert deployed.plan().writes == ()

    # Now writes on both objects: another revision, more replicas, another port.
    server.edit(SERVICES, SERVICE, lambda obj: obj["spec"]["ports"][0].update(port=1))
    storage = read(replicas=3)
    plans = deployed.settle(storage, desired_of(storage, version=1))
    assert [len(plan.writes) for plan in plans] == [2]
    for resource, name in ((REPLICA_SETS, RS), (SERVICES, SERVICE)):
        found = server.peek(resource, name)
        assert found["metadata"]["labels"]["theirs"] == "label"
        assert found["metadata"]["annotations"] == {"theirs": "annotation"}
        assert found["metadata"]["finalizers"] == ["their/finalizer"]
        assert [o["uid"] for o in found["metadata"]["ownerReferences"]] == ["u", STORAGE.uid]
        assert found["spec"]["minReadySeconds"] == 5


def test_of_a_template_of_another_revision_nothing_is_kept(deployed: World) -> None:
    def older(rs: Json) -> None:
        template = rs["spec"]["template"]
        template["metadata"]["labels"][REVISION_LABEL] = "older"
        template["metadata"]["labels"]["dropped"] = "since"
        template["metadata"]["annotations"]["dropped"] = "since"
        template["spec"]["hostNetwork"] = True
        template["spec"]["containers"][0]["env"] = [{"name": "DROPPED", "value": "since"}]
        template["spec"]["securityContext"]["fsGroupChangePolicy"] = "Always"

    fresh = deployed.server.peek(REPLICA_SETS, RS)["spec"]["template"]
    deployed.server.edit(REPLICA_SETS, RS, older)
    (plan,) = deployed.settle()
    assert [type(write) for write in plan.writes] == [Patch]
    assert deployed.server.peek(REPLICA_SETS, RS)["spec"]["template"] == fresh


def test_every_patch_is_guarded_by_the_version_it_was_made_for(deployed: World) -> None:
    stale = read(replicas=3)
    plan = deployed.plan(stale, desired_of(stale))
    (write,) = plan.writes
    assert isinstance(write, Patch)
    version = deployed.server.peek(REPLICA_SETS, RS)["metadata"]["resourceVersion"]
    assert write.patch == {"metadata": {"resourceVersion": version}, "spec": {"replicas": 3}}
    assert not write.adopts


def test_a_foreign_object_is_in_no_write_and_stops_the_others(world: World) -> None:
    foreign: Json = {
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {"ports": [{"port": 1}]},
    }
    world.server.put(SERVICES, foreign)
    assert world.plan() == Plan()
    (conflict,) = conflicts(STORAGE, world.server.snapshot())
    assert str(conflict).startswith(f"Service {SERVICE} exists and is not ours: delete it")


def test_both_foreign_objects_are_named(world: World) -> None:
    predecessor = read(meta={"uid": "uid-of-a-predecessor"})
    for resource, obj in (
        (REPLICA_SETS, replica_set_of_2018(predecessor)),
        (SERVICES, service_of_2018(predecessor)),
    ):
        world.server.put(resource, obj)
    assert world.plan() == Plan()
    found = conflicts(STORAGE, world.server.snapshot())
    assert [conflict.kind for conflict in found] == ["Service", "ReplicaSet"]
    assert all("deleted EtcdStorage" in str(conflict) for conflict in found)


def test_no_pod_is_evicted_while_a_name_is_taken(deployed: World) -> None:
    uid = deployed.server.peek(REPLICA_SETS, RS)["metadata"]["uid"]
    deployed.server.edit(REPLICA_SETS, RS, _seen)
    for name in "abc":
        deployed.server.put(PODS, pod(name, "older", ready=False, owner_uid=uid))
    assert [type(write) for write in deployed.plan().writes] == [Patch, Evict]
    deployed.server.edit(SERVICES, SERVICE, lambda obj: obj["metadata"].pop("ownerReferences"))
    deployed.server.edit(SERVICES, SERVICE, lambda obj: obj["metadata"].pop("labels"))
    assert deployed.plan().writes == ()


def test_orphans_are_adopted(deployed: World) -> None:
    for resource, name in ((REPLICA_SETS, RS), (SERVICES, SERVICE)):
        deployed.server.edit(
            resource, name, lambda obj: obj["metadata"].update(ownerReferences=[])
        )
    (plan,) = deployed.settle()
    assert [write.adopts for write in plan.writes if isinstance(write, Patch)] == [True, True]
    for resource, name in ((REPLICA_SETS, RS), (SERVICES, SERVICE)):
        found = deployed.server.peek(resource, name)
        assert found["metadata"]["ownerReferences"] == [controller_reference(STORAGE)]


def test_an_owner_that_is_not_yet_controller_becomes_it(deployed: World) -> None:
    def demote(obj: Json) -> None:
        obj["metadata"]["ownerReferences"][0]["controller"] = False

    deployed.server.edit(SERVICES, SERVICE, demote)
    (plan,) = deployed.settle()
    assert [write.adopts for write in plan.writes if isinstance(write, Patch)] == [True]
    service = deployed.server.peek(SERVICES, SERVICE)
    assert controller_of(service) == controller_reference(STORAGE)


def test_objects_of_2018_are_made_anew_or_mended(world: World) -> None:
    old = world.server.put(REPLICA_SETS, replica_set_of_2018(STORAGE))
    world.server.put(SERVICES, service_of_2018(STORAGE))
    first, second = world.settle()
    meta = old["metadata"]
    assert first.writes[-1] == Delete(REPLICA_SETS, RS, meta["uid"], meta["resourceVersion"])
    assert world.server.writes == [
        f"create NetworkPolicy {SERVICE}",
        f"create PodDisruptionBudget {SERVICE}",
        f"patch Service {SERVICE}",
        f"delete ReplicaSet {RS}",
        f"create ReplicaSet {RS}",
    ]
    assert not [write for write in second.writes if isinstance(write, Delete)]
    service = world.server.peek(SERVICES, SERVICE)
    assert service["spec"]["selector"] == {STORAGE_LABEL: STORAGE.name}
    assert service["spec"]["ports"][0]["targetPort"] == "etcd"


def test_the_label_of_everybody_never_gets_into_a_selector(world: World) -> None:
    world.server.put(SERVICES, service_of_2018(STORAGE))
    (plan,) = world.settle()
    patches = [write.patch for write in plan.writes if isinstance(write, Patch)]
    assert [p["spec"]["selector"] for p in patches] == [
        {"controller": None, STORAGE_LABEL: STORAGE.name}
    ]


def test_only_pods_of_the_replica_set_are_rolled(deployed: World) -> None:
    deployed.server.edit(REPLICA_SETS, RS, _seen)
    for other in ("uid-of-another", ""):
        deployed.server.put(PODS, pod(f"theirs{other}", "older", ready=False, owner_uid=other))
    plan = deployed.plan()
    assert plan.writes == ()


def test_evictions_come_after_the_writes_and_name_the_pod_as_it_was_seen(deployed: World) -> None:
    uid = deployed.server.edit(REPLICA_SETS, RS, _seen)["metadata"]["uid"]
    for name in "bc":
        deployed.server.put(PODS, pod(name, DESIRED.revision, owner_uid=uid))
    stored = deployed.server.put(PODS, pod("a", "older", ready=False, owner_uid=uid))
    scale, evict = deployed.plan().writes
    assert isinstance(scale, Patch)
    assert scale.patch["spec"] == {"replicas": 3}
    assert evict == Evict("a", "uid-a", stored["metadata"]["resourceVersion"])


def test_a_new_revision_and_one_more_pod_are_one_patch(deployed: World) -> None:
    uid = deployed.server.peek(REPLICA_SETS, RS)["metadata"]["uid"]
    for name in ("a", "b"):
        deployed.server.put(PODS, pod(name, DESIRED.revision, owner_uid=uid))
    rolled = desired_of(STORAGE, version=1)
    (write,) = deployed.plan(STORAGE, rolled).writes
    assert isinstance(write, Patch)
    assert write.patch["spec"]["replicas"] == 3
    labels = write.patch["spec"]["template"]["metadata"]["labels"]
    assert labels == {REVISION_LABEL: rolled.revision}


def test_a_plan_changes_neither_the_cache_nor_the_desired_objects(deployed: World) -> None:
    storage = read(replicas=4)
    desired = desired_of(storage, version=1)
    snapshot = deployed.server.snapshot()
    plan_storage(storage, desired, snapshot)
    assert snapshot == deployed.server.snapshot()
    assert desired == desired_of(storage, version=1)


def test_a_suspension_takes_the_pods_of_our_own_replica_set_and_changes_nothing_else(
    deployed: World,
) -> None:
    before = deployed.server.peek(REPLICA_SETS, RS)
    (patch,) = plan_suspension(STORAGE, deployed.server.snapshot()).writes
    assert isinstance(patch, Patch)
    assert patch.patch["spec"] == {"replicas": 0}
    deployed.carry_out(Plan((patch,)))
    assert plan_suspension(STORAGE, deployed.server.snapshot()) == Plan()
    after = deployed.server.peek(REPLICA_SETS, RS)
    assert after["spec"]["template"] == before["spec"]["template"]
    other = {**controller_reference(STORAGE), "uid": "other"}
    deployed.server.edit(REPLICA_SETS, RS, lambda o: o["metadata"].update(ownerReferences=[other]))
    deployed.server.edit(REPLICA_SETS, RS, lambda o: o["spec"].update(replicas=2))
    assert plan_suspension(STORAGE, deployed.server.snapshot()) == Plan()


def test_a_suspension_takes_the_pods_of_an_orphan_as_well_and_adopts_it(deployed: World) -> None:
    deployed.server.edit(REPLICA_SETS, RS, lambda o: o["metadata"].pop("ownerReferences"))
    plan = plan_suspension(STORAGE, deployed.server.snapshot())
    assert plan.adopts
    deployed.carry_out(plan)
    found = deployed.server.peek(REPLICA_SETS, RS)
    assert found["spec"]["replicas"] == 0
    assert found["metadata"]["ownerReferences"] == [controller_reference(STORAGE)]
    assert plan_suspension(STORAGE, deployed.server.snapshot()) == Plan()


def test_one_object_by_itself() -> None:
    created = plan_object(SERVICES, None, DESIRED.objects[SERVICES], STORAGE)
    assert created == Create(SERVICES, owned_by(STORAGE, DESIRED.objects[SERVICES]))
    assert "ownerReferences" not in DESIRED.objects[SERVICES]["metadata"]


def secret(name: str, **fields: Any) -> Json:
    labels = {STORAGE_LABEL: STORAGE.name}
    return {"metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}, **fields}


def stored(server: MemoryServer, obj: Json, **metadata: Any) -> Json:
    owned = owned_by(STORAGE, obj)
    return server.put(SECRETS, {**owned, "metadata": {**owned["metadata"], **metadata}})


def test_secrets_are_made_and_mended_in_their_order_and_none_is_left_alone() -> None:
    server = MemoryServer()
    there = stored(server, secret("b", data={"key": "old"}))
    kept = stored(server, secret("c", data={"key": "x"}))
    plan = plan_secrets(
        STORAGE,
        (None, secret("a", data={})),
        (there, secret("b", data={"key": "new"})),
        (kept, None),
        (None, None),
    )
    create, patch = plan.writes
    assert create == Create(SECRETS, owned_by(STORAGE, secret("a", data={})))
    assert isinstance(patch, Patch)
    assert (patch.name, patch.patch["data"]) == ("b", {"key": "new"})
    assert not plan.is_stuck


def test_a_secret_that_cannot_be_written_holds_its_plan_up() -> None:
    server = MemoryServer()
    fixed = stored(server, secret("a", data={"key": "old"}, immutable=True))
    plan = plan_secrets(STORAGE, (fixed, secret("a", data={"key": "new"})), (None, secret("b")))
    assert plan.is_stuck
    assert plan.is_stuck_at("a")
    assert not plan.is_stuck_at("b")
    assert not plan_secrets(STORAGE, (fixed, secret("a", data={"key": "old"}))).is_stuck
    going = stored(server, secret("b"), deletionTimestamp="2026-01-02T03:04:05Z")
    assert plan_secrets(STORAGE, (going, secret("b"))).is_stuck


def test_without_pods_all_else_is_written(world: World) -> None:
    plan = without_pods(world.plan())
    assert [w.resource for w in plan.writes if isinstance(w, Create)] == [
        resource for resource, _ in OBJECTS[:-1]
    ]
    evicting = Plan((Evict("a", "uid", "1"), Delete(REPLICA_SETS, RS, "uid", "1")))
    assert without_pods(evicting) == Plan()


def test_foreign_secrets_with_certificates_are_conflicts_too() -> None:
    server = MemoryServer()
    foreign = server.put(SECRETS, {"metadata": {"name": "a", "namespace": NAMESPACE}})
    ours = stored(server, secret("b"))
    for snapshot in (Snapshot(authority=foreign), Snapshot(serving=foreign)):
        assert [str(c)[:8] for c in conflicts(STORAGE, snapshot)] == ["Secret a"]
        assert plan_storage(STORAGE, DESIRED, snapshot) == Plan()
    assert conflicts(STORAGE, Snapshot(authority=ours, serving=ours)) == ()


def _seen(rs: Json) -> None:
    """Let the ReplicaSet controller have seen the object as it is."""
    rs["status"]["observedGeneration"] = rs["metadata"]["generation"]


def test_no_key_is_shown_by_what_holds_objects() -> None:
    obj = secret("a", data={"tls.key": "a2V5"})
    there = Snapshot(None, {SECRETS: obj}, obj, obj, (), None, obj, obj)
    assert "a2V5" not in repr((Create(SECRETS, obj), Patch(SECRETS, "a", obj), there))
    assert "Secret" in repr(Create(SECRETS, obj))
