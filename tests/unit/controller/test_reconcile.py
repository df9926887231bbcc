"""Whole reconciles against a server in memory: what is written, reported and told."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.api.conditions import find_condition
from controller.consistency import CacheBehind, ConsistencyStore
from controller.dataplane.pods import DRAIN_TOKEN_ANNOTATION
from controller.dataplane.rolling import PROGRESS_DEADLINE, Stage
from controller.events import Event, Subject
from controller.ownership import STORAGE_LABEL, controller_reference
from controller.resources import (
    CONFIG_MAPS,
    ETCD_STORAGES,
    NETWORK_POLICIES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from controller.rollouts import LOOK, Rollouts
from controller.writer import EVICTION_PAUSE, is_stale
from informers import ApiError, ConnectionFailed, Lister, Resource
from tests.support.clock import FakeClock
from tests.support.corekeeper import CoreKeeper
from tests.support.memoryserver import WATCHED, MemoryServer
from tests.support.objects import (
    CORE,
    NAMESPACE,
    core_config_map,
    core_secret,
    desired_of,
    etcd_storage,
    owned_by,
    plane,
    pod,
    read,
    replica_set_of_2018,
    service_of_2018,
)
from tests.support.reconcilers import reconciler

Json = dict[str, Any]

RS, SERVICE = "etcd-rs-etcd-name", "etcd-etcd-name"
STATUS = "patch EtcdStorage/status etcd-name"
FROM_NOTHING = [
    f"create NetworkPolicy {SERVICE}",
    f"create PodDisruptionBudget {SERVICE}",
    f"create Service {SERVICE}",
    f"create ReplicaSet {RS}",
    STATUS,
]


class Told:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.messages: list[str] = []

    def record(self, storage: Subject, event: Event) -> None:
        assert storage.uid
        self.events.append((event.type, event.reason))
        self.messages.append(event.message)


class World:
    """A server with the core's credentials and one storage, and a reconciler of it."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.told = Told()
        self.again: float | None = None
        self.moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.woken: list[str] = []
        self.keeper = CoreKeeper()
        self.rollouts = Rollouts(1, FakeClock(), self.woken.append)
        made = reconciler(self.server, self.told, self._now)
        self.reconciler = replace(made, keeper=self.keeper, rollouts=self.rollouts)
        self.server.put(CONFIG_MAPS, core_config_map())
        self.server.put(SECRETS, core_secret())

    def _now(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment

    def storage(self, name: str = "etcd-name", **fields: Any) -> None:
        self.server.put(ETCD_STORAGES, etcd_storage(name, **fields))

    def reconcile(self, name: str = "etcd-name") -> list[str]:
        """Return what was written; the caches' objects must come out of it as they went in."""
        self.server.writes.clear()
        self.server.bodies.clear()
        cached = [o for r in WATCHED for o in self.server.pictures[r].store.list()]
        before = deepcopy(cached)
        try:
            self.again = self.reconciler.reconcile(name)
        finally:
            assert cached == before
        return self.server.writes

    def status(self, name: str = "etcd-name") -> Json:
        found: Json = self.server.peek(ETCD_STORAGES, name).get("status", {})
        return found

    def condition(self, type_: str = "Deployed", name: str = "etcd-name") -> tuple[str, str, str]:
        found = find_condition(self.status(name), type_)
        assert found is not None
        return found["status"], found["reason"], found["message"]


@pytest.fixture
def world() -> World:
    world = World()
    world.storage()
    return world


@pytest.fixture
def deployed(world: World) -> World:
    world.reconcile()
    world.told.events.clear()
    return world


def test_from_nothing_it_takes_a_write_for_each_object_and_one_status(world: World) -> None:
    assert world.reconcile() == FROM_NOTHING
    assert world.condition() == (
        "True",
        "EtcdProxyDeployed",
        "every object of this storage exists as desired",
    )
    assert world.status()["endpoint"] == desired_of().endpoint
    assert world.condition("Ready")[:2] == ("False", "NoPodReady")
    assert world.told.events == [("Normal", "EtcdStorageDeployed")]
    for _ in range(3):
        assert world.reconcile() == []
    assert world.told.events == [("Normal", "EtcdStorageDeployed")]


def test_a_storage_without_a_spec_gets_what_the_defaults_give() -> None:
    world = World()
    obj = etcd_storage()
    obj["spec"] = {}
    world.server.put(ETCD_STORAGES, obj)
    assert world.reconcile() == FROM_NOTHING
    assert world.server.peek(REPLICA_SETS, RS)["spec"]["replicas"] == 2


def test_pods_becoming_ready_are_one_status_each(deployed: World) -> None:
    add_pods(deployed, "a", "b", ready=False)
    assert deployed.reconcile() == [STATUS]
    add_pods(deployed, "a", "b")
    assert deployed.reconcile() == [STATUS]
    assert deployed.condition("Ready")[:2] == ("True", "PodsReady")
    assert (deployed.status()["replicas"], deployed.status()["readyReplicas"]) == (2, 2)
    assert deployed.reconcile() == []
    assert deployed.told.events == []


def test_a_storage_that_is_gone_or_going_is_left_to_the_garbage_collector(world: World) -> None:
    assert world.reconcile("another") == []
    world.storage(meta={"deletionTimestamp": "2026-01-02T03:04:05Z"})
    assert world.reconcile() == []


def test_two_storages_do_not_touch_each_other(world: World) -> None:
    world.storage("other", replicas=1)
    world.reconcile()
    before = world.server.peek(REPLICA_SETS, RS)
    assert "create ReplicaSet etcd-rs-other" in world.reconcile("other")
    assert world.server.peek(REPLICA_SETS, RS) == before
    add_pods(world, "a", storage="other")
    assert world.reconcile() == []


@pytest.mark.parametrize(
    ("resource", "obj", "name", "reason"),
    [
        (CONFIG_MAPS, core_config_map(), CORE.ca_config_map, "CoreCAMissing"),
        (SECRETS, core_secret(), CORE.certs_secret, "CoreCertsMissing"),
    ],
)
@pytest.mark.parametrize("how", ["gone", "without the key"])
def test_missing_credentials_are_named_and_mended(
    world: World, resource: Resource, obj: Json, name: str, reason: str, how: str
) -> None:
    if how == "gone":
        world.server.remove(resource, name)
    else:
        world.server.put(resource, {**obj, "data": {"other": "eA=="}})
    assert world.reconcile() == [STATUS]
    status, found, message = world.condition()
    assert (status, found) == ("False", reason)
    assert f"{resource.kind} {name}" in message
    assert world.told.events == [("Warning", "EtcdStorageDeployFailure")]
    assert "endpoint" not in world.status()
    assert world.reconcile() == []

    world.server.put(resource, obj)
    assert world.reconcile() == FROM_NOTHING
    assert world.condition()[:2] == ("True", "EtcdProxyDeployed")
    assert world.told.events[1:] == [("Normal", "EtcdStorageDeployed")]
    assert world.reconcile() == []


def test_credentials_that_go_later_stop_nothing_that_serves(deployed: World) -> None:
    add_pods(deployed, "a", "b")
    deployed.reconcile()
    deployed.server.remove(CONFIG_MAPS, CORE.ca_config_map)
    assert deployed.reconcile() == [STATUS]
    assert deployed.condition()[:2] == ("False", "CoreCAMissing")
    assert deployed.condition("Ready")[0] == "True"
    assert "endpoint" in deployed.status()
    # What is wanted cannot be told without the bundle: nothing is called outdated for that.
    assert deployed.status()["updatedReplicas"] == 2
    assert deployed.condition("Progressing")[0] == "False"


@pytest.mark.parametrize(("resource", "name"), [(REPLICA_SETS, RS), (SERVICES, SERVICE)])
def test_a_foreign_object_is_reported_and_not_touched(
    world: World, resource: Resource, name: str
) -> None:
    foreign = {"metadata": {"name": name, "namespace": NAMESPACE}, **foreign_spec(resource)}
    before = world.server.put(resource, foreign)
    assert world.reconcile() == [STATUS]
    assert world.server.peek(resource, name) == before
    status, reason, message = world.condition()
    assert (status, reason) == ("False", "NameConflict")
    assert f"{resource.kind} {name}" in message
    assert world.told.events == [("Warning", "ErrResourceReclaimed")]
    assert world.reconcile() == []

    world.server.remove(resource, name)
    assert world.reconcile() == FROM_NOTHING
    assert world.told.events[1:] == [("Normal", "EtcdStorageDeployed")]


def test_a_service_that_becomes_foreign_takes_the_endpoint_along(deployed: World) -> None:
    def take(obj: Json) -> None:
        obj["metadata"]["ownerReferences"][0].update(uid="another", kind="Deployment", name="d")

    deployed.server.edit(SERVICES, SERVICE, take)
    assert deployed.reconcile() == [STATUS]
    assert deployed.condition()[:2] == ("False", "NameConflict")
    assert deployed.condition("Ready")[:2] == ("False", "NotDeployed")
    assert "endpoint" not in deployed.status()


def test_an_orphan_is_adopted_and_told_of(deployed: World) -> None:
    deployed.server.edit(SERVICES, SERVICE, lambda o: o["metadata"].pop("ownerReferences"))
    assert deployed.reconcile() == [f"patch Service {SERVICE}"]
    adopted = deployed.server.peek(SERVICES, SERVICE)
    assert adopted["metadata"]["ownerReferences"] == [controller_reference(read())]
    assert deployed.told.events == [("Normal", "ResourceReclaimed")]
    assert deployed.reconcile() == []


def test_a_storage_of_2018_comes_over(world: World) -> None:
    old = world.server.put(REPLICA_SETS, replica_set_of_2018(read()))
    world.server.put(SERVICES, service_of_2018(read()))
    assert world.reconcile() == [
        *FROM_NOTHING[:2],
        f"patch Service {SERVICE}",
        f"delete ReplicaSet {RS}",
        STATUS,
    ]
    assert world.server.bodies[3] == {
        "preconditions": {key: old["metadata"][key] for key in ("uid", "resourceVersion")},
        "propagation": "Background",
    }
    assert world.condition()[:2] == ("False", "AwaitingDeletion")
    assert world.reconcile() == [f"create ReplicaSet {RS}", STATUS]
    assert world.condition()[:2] == ("True", "EtcdProxyDeployed")
    assert world.told.events[0] == ("Normal", "ResourceReclaimed")
    assert world.reconcile() == []


def test_a_deletion_that_the_cache_has_not_seen_is_no_failure(world: World) -> None:
    world.server.put(REPLICA_SETS, replica_set_of_2018(read()))
    world.server.lagging.add(REPLICA_SETS)
    world.reconcile()
    before = world.condition()
    try_again(world)
    assert world.condition() == before
    world.server.catch_up()
    assert world.reconcile() == [f"create ReplicaSet {RS}", STATUS]


def test_an_object_deleted_behind_the_cache_is_no_failure(deployed: World) -> None:
    deployed.server.edit(SERVICES, SERVICE, lambda o: o["spec"].update(type="NodePort"))
    deployed.server.lagging.add(SERVICES)
    deployed.server.remove(SERVICES, SERVICE)
    before = deployed.status()
    try_again(deployed)
    assert deployed.status() == before
    deployed.server.catch_up()
    assert deployed.reconcile() == [f"create Service {SERVICE}"]


@pytest.mark.parametrize("write", FROM_NOTHING[:-1])
def test_an_error_of_the_server_is_reported_and_raised(world: World, write: str) -> None:
    refused = ApiError(403, "Forbidden", "exceeded quota: of-the-namespace")
    world.server.failures[write] = refused
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            world.reconcile()
        assert caught.value is refused
    assert world.condition() == ("False", "WriteFailed", "exceeded quota: of-the-namespace")
    assert world.told.events == [("Warning", "EtcdStorageDeployFailure")]
    # The second try failed alike and had nothing new to say.
    assert world.server.writes[-1] == write

    world.server.failures.clear()
    assert world.reconcile()[-1] == STATUS
    assert world.condition()[0] == "True"


def test_a_missing_namespace_is_a_failure_and_no_stale_cache(world: World) -> None:
    details = {"name": NAMESPACE, "kind": "namespaces"}
    gone = ApiError(404, "NotFound", f'namespaces "{NAMESPACE}" not found', details=details)
    world.server.failures[f"create ReplicaSet {RS}"] = gone
    with pytest.raises(ApiError):
        world.reconcile()
    assert world.condition()[1:] == ("WriteFailed", f'namespaces "{NAMESPACE}" not found')


def test_a_connection_that_fails_is_raised_and_writes_no_status(world: World) -> None:
    world.server.failures[f"create Service {SERVICE}"] = ConnectionFailed("https://s", "refused")
    with pytest.raises(ConnectionFailed):
        world.reconcile()
    assert world.server.writes == FROM_NOTHING[:3]
    world.server.failures.clear()
    assert world.reconcile() == FROM_NOTHING[2:]


def test_a_write_that_hangs_is_reported_and_raised(world: World) -> None:
    """As when a webhook of that kind does not answer: other writes go through."""
    hung = ConnectionFailed("https://s", "no answer in time", timed_out=True)
    world.server.failures[f"create Service {SERVICE}"] = hung
    with pytest.raises(ConnectionFailed):
        world.reconcile()
    assert world.condition() == ("False", "WriteFailed", "https://s: no answer in time")
    world.server.failures.clear()
    assert world.reconcile() == FROM_NOTHING[2:]
    assert world.condition()[0] == "True"


@pytest.mark.parametrize(
    "details",
    [{"name": "of-the-namespace", "kind": "resourcequotas"}, {}],
    ids=["quota", "webhook"],
)
def test_a_conflict_about_another_object_is_a_failure_and_no_stale_cache(
    world: World, details: Json
) -> None:
    world.server.failures[FROM_NOTHING[0]] = ApiError(409, "Conflict", "why", details=details)
    with pytest.raises(ApiError):
        world.reconcile()
    assert world.condition()[1:] == ("WriteFailed", "why")


class CatchesUp:
    """A cache that hears of everything at the moment at which it is asked how new it is."""

    def __init__(self, server: MemoryServer, lister: Lister) -> None:
        self.server = server
        self.lister = lister

    @property
    def resource_version(self) -> str:
        self.server.catch_up()
        return self.lister.resource_version


@pytest.mark.parametrize("lagging", [ETCD_STORAGES, REPLICA_SETS, SERVICES])
def test_a_cache_is_read_after_it_was_found_to_be_new_enough(
    world: World, lagging: Resource
) -> None:
    written = world.reconciler.listers.written()
    caches = {kind: CatchesUp(world.server, lister) for kind, lister in written.items()}
    world.reconciler = replace(world.reconciler, consistency=ConsistencyStore(caches, FakeClock()))
    world.server.lagging.add(lagging)
    assert world.reconcile() == FROM_NOTHING
    # `World.reconcile` looks for objects that a reconcile changed; here the caches move in it.
    world.server.writes.clear()
    world.reconciler.reconcile("etcd-name")
    assert world.server.writes == []


@pytest.mark.parametrize("lagging", [ETCD_STORAGES, REPLICA_SETS, SERVICES])
def test_a_cache_that_has_not_seen_our_writes_is_not_read(world: World, lagging: Resource) -> None:
    world.server.lagging.add(lagging)
    world.reconcile()
    wait(world, lagging)
    # What others wrote meanwhile lies behind our write in that cache, or in another.
    for resource, name in ((REPLICA_SETS, RS), (SERVICES, SERVICE)):
        world.server.edit(resource, name, lambda o: o["metadata"].update(annotations={"a": "b"}))
    wait(world, lagging)
    world.server.pictures[lagging].catch_up(1)
    assert world.reconcile() == []


def test_a_change_that_is_taken_back_behind_the_cache_is_not_taken_for_done(
    deployed: World,
) -> None:
    """The cache shows the number of before both: nothing would be written, and Synced be said."""
    scale(deployed, 3)
    deployed.server.lagging.add(REPLICA_SETS)
    assert deployed.reconcile() == [f"patch ReplicaSet {RS}", STATUS]
    scale(deployed, 2)
    wait(deployed, REPLICA_SETS)
    deployed.server.catch_up()
    assert deployed.reconcile() == [f"patch ReplicaSet {RS}", STATUS]
    assert deployed.server.peek(REPLICA_SETS, RS)["spec"]["replicas"] == 2


def test_each_write_before_one_that_fails_is_waited_for_and_the_failed_one_is_not(
    world: World,
) -> None:
    world.server.lagging |= {ETCD_STORAGES, NETWORK_POLICIES, SERVICES}
    refused = ApiError(403, "Forbidden", "exceeded quota")
    world.server.failures[f"create Service {SERVICE}"] = refused
    with pytest.raises(ApiError):
        world.reconcile()
    wait(world, NETWORK_POLICIES)
    world.server.catch_up(NETWORK_POLICIES)
    # The failure that was written into the status.
    wait(world, ETCD_STORAGES)
    world.server.catch_up(ETCD_STORAGES)
    world.server.failures.clear()
    assert world.reconcile() == FROM_NOTHING[2:]


@pytest.mark.parametrize("happened", [True, False])
def test_a_write_with_unknown_outcome_is_decided_anew_and_harms_nothing(
    world: World, *, happened: bool
) -> None:
    world.server.lagging.add(REPLICA_SETS)
    lost = ConnectionFailed("https://server", "lost", dropped=True)
    world.server.failures[f"create ReplicaSet {RS}"] = lost
    with pytest.raises(ConnectionFailed):
        world.reconcile()
    world.server.failures.clear()
    if happened:
        world.server.put(REPLICA_SETS, owned_by(read(), orphan_replica_set()))
        try_again(world)
    else:
        world.reconcile()
    world.server.catch_up()
    world.reconcile()
    assert world.condition()[:2] == ("True", "EtcdProxyDeployed")
    assert world.reconcile() == []


def test_a_storage_that_is_gone_leaves_nothing_behind(deployed: World) -> None:
    deployed.server.lagging.add(SERVICES)
    deployed.server.remove(SERVICES, SERVICE)
    deployed.server.catch_up()
    assert deployed.reconcile() == [f"create Service {SERVICE}"]
    deployed.server.remove(ETCD_STORAGES, "etcd-name")
    deployed.server.remove(SERVICES, SERVICE)
    wait(deployed, SERVICES)
    deployed.server.catch_up()
    assert deployed.reconcile() == []
    assert deployed.reconciler.consistency.waiting() == {}


def test_a_patch_made_for_an_older_version_writes_no_status(deployed: World) -> None:
    deployed.server.edit(SERVICES, SERVICE, lambda o: o["spec"].update(type="NodePort"))
    deployed.server.lagging.add(SERVICES)
    deployed.server.edit(SERVICES, SERVICE, lambda o: o["metadata"].update(annotations={"a": "b"}))
    with pytest.raises(ApiError) as caught:
        deployed.reconcile()
    assert is_stale(caught.value)
    assert deployed.server.writes == [f"patch Service {SERVICE}"]
    deployed.server.catch_up()
    assert deployed.reconcile() == [f"patch Service {SERVICE}"]
    service = deployed.server.peek(SERVICES, SERVICE)
    assert (service["spec"]["type"], service["metadata"]["annotations"]) == (
        "ClusterIP",
        {"a": "b"},
    )


def test_a_status_made_for_an_older_storage_is_not_written(world: World) -> None:
    world.server.lagging.add(ETCD_STORAGES)
    world.storage(generation=2, replicas=5)
    with pytest.raises(ApiError) as caught:
        world.reconcile()
    assert is_stale(caught.value)
    assert world.status() == {}
    assert world.told.events == []


@pytest.mark.parametrize(
    ("name", "spec", "reason", "says"),
    [
        ("a.b", {}, "InvalidName", "no DNS label"),
        ("a" * 59, {}, "InvalidName", "59 characters"),
        ("registry", {}, "InvalidName", "reserved"),
        ("root", {}, "InvalidName", "reserved"),
        ("a", {"mode": "Direct"}, "DirectNeedsUsers", "--etcd-core-root-secret"),
        ("a", {"mode": "Fast"}, "NotSupported", "no mode Fast"),
        ("a", {"reclaimPolicy": "Recycle"}, "NotSupported", "reclaimPolicy Recycle"),
    ],
)
def test_what_cannot_be_served_is_refused_and_nothing_is_made(
    world: World, name: str, spec: Json, reason: str, says: str
) -> None:
    world.storage(name, **spec)
    assert world.reconcile(name) == [f"patch EtcdStorage/status {name}"]
    status, found, message = world.condition(name=name)
    assert (status, found) == ("False", reason)
    assert says in message
    assert world.told.events == [("Warning", "EtcdStorageDeployFailure")]
    assert world.reconcile(name) == []


def test_a_spec_that_can_no_longer_be_served_stops_nothing_that_serves(deployed: World) -> None:
    add_pods(deployed, "a", "b")
    deployed.reconcile()
    deployed.server.edit(
        ETCD_STORAGES, "etcd-name", lambda o: o["spec"].update(reclaimPolicy="Recycle")
    )
    assert deployed.reconcile() == [STATUS]
    assert deployed.condition()[:2] == ("False", "NotSupported")
    assert deployed.condition("Ready")[0] == "True"


def test_fields_of_2018_are_warned_of_once_per_generation(world: World) -> None:
    world.storage("old", serverCACert=[{"name": "ca"}], clientCert=[])
    for ready in (False, False, True):
        world.reconcile("old")
        # The status changes with the pod, the generation does not.
        world.server.put(PODS, pod("p", storage="old", ready=ready))
    assert world.reconcile("old") == ["patch EtcdStorage/status old"]
    assert world.told.events == [("Warning", "IgnoredFields"), ("Normal", "EtcdStorageDeployed")]
    assert "spec.serverCACert (use spec.caCertConfigMap)" in world.told.messages[0]
    world.server.edit(ETCD_STORAGES, "old", lambda o: o["spec"].update(replicas=3))
    for _ in range(3):
        world.reconcile("old")
    assert world.told.events[2:] == [("Warning", "IgnoredFields"), ("Normal", "Synced")]


def test_a_change_of_the_spec_is_carried_out_and_told(deployed: World) -> None:
    deployed.server.edit(ETCD_STORAGES, "etcd-name", lambda o: o["spec"].update(replicas=5))
    assert deployed.reconcile() == [f"patch ReplicaSet {RS}", STATUS]
    assert deployed.server.peek(REPLICA_SETS, RS)["spec"]["replicas"] == 5
    assert deployed.status()["observedGeneration"] == 2
    assert deployed.told.events == [("Normal", "Synced")]


def test_a_changed_bundle_writes_nothing(deployed: World) -> None:
    """The kubelet brings it to the pods, and the gates read it anew by themselves."""
    deployed.server.put(CONFIG_MAPS, core_config_map({"ca.pem": "another bundle"}))
    assert deployed.reconcile() == []


def test_a_changed_template_rolls_the_pods_one_by_one(deployed: World) -> None:
    add_pods(deployed, "a", "b")
    deployed.reconcile()
    deployed.reconciler = replace(deployed.reconciler, dataplane=plane(1))
    assert deployed.reconcile() == [f"patch ReplicaSet {RS}", STATUS]
    assert deployed.condition("Progressing")[:2] == ("True", "RollingPods")
    assert deployed.condition("Ready")[0] == "True"
    assert deployed.status()["updatedReplicas"] == 0

    add_pods(deployed, "c", revision=desired_of(version=1).revision)
    deployed.server.edit(REPLICA_SETS, RS, seen)
    assert deployed.reconcile() == ["create Pod/eviction a", STATUS]
    assert deployed.server.bodies[0] == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "a", "namespace": NAMESPACE},
        "deleteOptions": {"preconditions": {"uid": "uid-a"}},
    }
    # The pod ends: nobody else goes before it is refilled.
    assert [write for write in deployed.reconcile() if "eviction" in write] == []


@pytest.mark.parametrize("token", ["", "short", "../../quitquitquit", "F" * 32])
def test_a_drain_token_that_is_kept_is_one_of_ours(deployed: World, token: str) -> None:
    """It becomes a part of a path, and of the gate's configuration."""

    def set_token(value: str) -> Any:
        return lambda rs: rs["spec"]["template"]["metadata"]["annotations"].update(
            {DRAIN_TOKEN_ANNOTATION: value}
        )

    def kept() -> Any:
        template = deployed.server.peek(REPLICA_SETS, RS)["spec"]["template"]
        return template["metadata"]["annotations"][DRAIN_TOKEN_ANNOTATION]

    deployed.server.edit(REPLICA_SETS, RS, set_token("ab" * 16))
    deployed.reconcile()
    assert kept() == "ab" * 16
    deployed.server.edit(REPLICA_SETS, RS, set_token(token))
    assert f"patch ReplicaSet {RS}" in deployed.reconcile()
    assert (
        kept()
        == desired_of().replica_set["spec"]["template"]["metadata"]["annotations"][
            DRAIN_TOKEN_ANNOTATION
        ]
    )


def test_a_pod_that_is_gone_already_needs_no_eviction(deployed: World) -> None:
    deployed.server.edit(REPLICA_SETS, RS, seen)
    add_pods(deployed, "a", "b", "c", revision="older", ready=False)
    deployed.server.lagging.add(PODS)
    deployed.server.remove(PODS, "c")
    writes = deployed.reconcile()
    assert writes == [f"patch ReplicaSet {RS}", STATUS]


def test_a_disruption_budget_is_waited_for_and_the_status_stays_true(deployed: World) -> None:
    deployed.server.edit(REPLICA_SETS, RS, seen)
    add_pods(deployed, "a", "b", "c", revision="older", ready=False)
    busy = ApiError(429, "TooManyRequests", "Cannot evict pod as it would violate the budget")
    deployed.server.failures["create Pod/eviction c"] = busy
    assert deployed.reconcile()[-2:] == ["create Pod/eviction c", STATUS]
    assert deployed.again == EVICTION_PAUSE
    assert deployed.condition("Ready")[0] == "False"
    status, reason, message = deployed.condition("Progressing")
    assert (status, reason) == ("True", "EvictionBlocked")
    assert "pod c" in message
    assert "violate the budget" in message
    deployed.server.failures.clear()
    deployed.server.edit(REPLICA_SETS, RS, seen)
    assert "create Pod/eviction c" in deployed.reconcile()
    assert deployed.again == LOOK


def test_a_spec_that_cannot_be_read_is_a_problem_of_that_storage_alone(world: World) -> None:
    world.storage("odd", caCertConfigMap=[{"name": "x"}])
    assert world.reconcile("odd") == ["patch EtcdStorage/status odd"]
    status, reason, message = world.condition(name="odd")
    assert (status, reason) == ("False", "InvalidSpec")
    assert "spec.caCertConfigMap" in message


@pytest.mark.parametrize("how", ["deleted", "made anew", "being deleted"])
def test_nothing_is_made_again_for_a_storage_that_only_the_cache_still_has(
    deployed: World, how: str
) -> None:
    """The garbage collector takes it again, and so on until the cache catches up."""
    server = deployed.server
    server.lagging.add(ETCD_STORAGES)
    if how == "being deleted":
        server.edit(ETCD_STORAGES, "etcd-name", lambda o: o["metadata"].update(going()))
    else:
        server.remove(ETCD_STORAGES, "etcd-name")
    if how == "made anew":
        deployed.storage(meta={"uid": "another"})
    server.remove(REPLICA_SETS, RS)
    server.remove(SERVICES, SERVICE)
    assert deployed.reconcile() == []


def test_an_old_storage_without_a_status_is_asked_for_as_well(world: World) -> None:
    world.moment += timedelta(hours=1)
    world.server.lagging.add(ETCD_STORAGES)
    world.server.remove(ETCD_STORAGES, "etcd-name")
    assert world.reconcile() == []


def test_an_orphan_is_tied_to_no_storage_that_only_the_cache_still_has(world: World) -> None:
    """However new the storage: the garbage collector would take along what it did not have."""
    world.server.put(REPLICA_SETS, orphan_replica_set())
    world.server.lagging.add(ETCD_STORAGES)
    world.server.remove(ETCD_STORAGES, "etcd-name")
    assert world.reconcile() == []


def test_without_an_answer_on_whether_the_storage_is_there_nothing_is_adopted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.server.put(REPLICA_SETS, orphan_replica_set())

    def refuse(*_: object) -> Json:
        raise ApiError(500, "InternalError", "no answer")

    monkeypatch.setattr(world.server, "get", refuse)
    with pytest.raises(ApiError, match="no answer"):
        world.reconcile()
    assert world.server.writes == [STATUS]
    assert world.condition()[1:] == ("WriteFailed", "no answer")


@pytest.mark.parametrize(("resource", "name"), [(REPLICA_SETS, RS), (SERVICES, SERVICE)])
def test_an_object_that_is_being_deleted_is_awaited(
    deployed: World, resource: Resource, name: str
) -> None:
    deployed.server.edit(resource, name, lambda o: o["metadata"].update(going(), labels={}))
    assert deployed.reconcile() == [STATUS]
    status, reason, message = deployed.condition()
    assert (status, reason) == ("False", "AwaitingDeletion")
    assert f"{resource.kind} {name}" in message
    deployed.server.remove(resource, name)
    assert deployed.reconcile() == [f"create {resource.kind} {name}", STATUS]
    assert deployed.condition()[0] == "True"


def test_an_adoption_is_told_even_if_the_next_write_fails(world: World) -> None:
    world.server.put(SERVICES, desired_of().objects[SERVICES])
    world.server.failures[f"create ReplicaSet {RS}"] = ApiError(403, "Forbidden", "may not")
    with pytest.raises(ApiError):
        world.reconcile()
    assert ("Normal", "ResourceReclaimed") in world.told.events


def test_the_first_error_is_raised_even_if_it_cannot_be_reported(world: World) -> None:
    world.server.failures[f"create Service {SERVICE}"] = ApiError(403, "Forbidden", "the cause")
    world.server.failures[STATUS] = ConnectionFailed("https://server", "gone")
    with pytest.raises(ApiError, match="the cause"):
        world.reconcile()


def test_a_stop_between_any_two_writes_is_resumed(world: World) -> None:
    class Stop(Exception):  # noqa: N818 - no error: the program ends here
        pass

    written: list[str] = []
    for write in FROM_NOTHING:
        world.server.failures[write] = Stop()
        with pytest.raises(Stop):
            world.reconcile()
        written += world.server.writes[:-1]
        del world.server.failures[write]
    written += world.reconcile()
    assert written == FROM_NOTHING
    assert world.condition()[0] == "True"


def test_the_writes_are_guarded(deployed: World) -> None:
    add_pods(deployed, "a")
    version = deployed.server.peek(ETCD_STORAGES, "etcd-name")["metadata"]["resourceVersion"]
    assert deployed.reconcile() == [STATUS]
    assert deployed.server.bodies[0]["metadata"] == {"resourceVersion": version}
    assert set(deployed.server.bodies[0]) == {"metadata", "status"}


def test_the_label_is_what_the_pods_are_found_by(deployed: World) -> None:
    template = deployed.server.peek(REPLICA_SETS, RS)["spec"]["template"]
    assert template["metadata"]["labels"][STORAGE_LABEL] == "etcd-name"


def add_pods(
    world: World,
    *names: str,
    ready: bool = True,
    revision: str | None = None,
    storage: str = "etcd-name",
) -> None:
    desired = desired_of()
    owner = world.server.peek(REPLICA_SETS, RS)["metadata"]["uid"]
    for name in names:
        obj = pod(
            name, revision or desired.revision, ready=ready, owner_uid=owner, storage=storage
        )
        world.server.put(PODS, obj)


def try_again(world: World) -> None:
    """Reconcile on a cache that is behind, which is to be tried again and is no failure."""
    with pytest.raises(ApiError) as caught:
        world.reconcile()
    assert is_stale(caught.value)
    assert STATUS not in world.server.writes


def wait(world: World, resource: Resource) -> None:
    """Reconcile, and be told to wait for the cache of `resource`, without any write."""
    with pytest.raises(CacheBehind) as behind:
        world.reconcile()
    assert behind.value.resource == resource
    assert world.server.writes == []


def scale(world: World, replicas: int) -> None:
    world.server.edit(
        ETCD_STORAGES, "etcd-name", lambda obj: obj["spec"].update(replicas=replicas)
    )


def seen(rs: Json) -> None:
    """Let the ReplicaSet controller have seen the object as it is."""
    count = rs["spec"]["replicas"]
    rs["status"].update(observedGeneration=rs["metadata"]["generation"], readyReplicas=count)


def foreign_spec(resource: Resource) -> Json:
    if resource == SERVICES:
        return {"spec": {"ports": [{"port": 80}]}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}}
    return {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}


def going() -> Json:
    return {"deletionTimestamp": "2026-01-02T03:04:05Z"}


def orphan_replica_set() -> Json:
    """Return the ReplicaSet as the controller makes it, but without an owner."""
    made = desired_of().replica_set
    assert "ownerReferences" not in made["metadata"]
    return made


def test_a_storage_without_a_slot_waits_and_is_woken(deployed: World) -> None:
    add_pods(deployed, "a", "b")
    deployed.reconciler = replace(deployed.reconciler, dataplane=plane(1))
    running = deployed.server.peek(REPLICA_SETS, RS)["spec"]
    assert deployed.rollouts.may_roll("another", "x", Stage.OUTDATED)
    assert deployed.reconcile() == [STATUS]
    assert deployed.condition("Progressing")[:2] == ("True", "RolloutQueued")
    assert deployed.condition("Deployed")[0] == "True"
    assert deployed.status()["updatedReplicas"] == 0
    assert deployed.again is None
    deployed.server.edit(REPLICA_SETS, RS, lambda rs: rs["spec"].update(replicas=9))
    assert deployed.reconcile() == [f"patch ReplicaSet {RS}"]
    assert deployed.server.peek(REPLICA_SETS, RS)["spec"] == running

    deployed.rollouts.may_roll("another", "x", Stage.SETTLED)
    assert deployed.woken == ["etcd-name"]
    assert deployed.reconcile() == [f"patch ReplicaSet {RS}", STATUS]
    assert deployed.server.peek(REPLICA_SETS, RS)["spec"]["template"] != running["template"]
    assert deployed.condition("Progressing")[:2] == ("True", "RollingPods")
    assert deployed.again == LOOK


@pytest.mark.parametrize("how", ["gone", "being deleted", "refused"])
def test_who_is_deleted_or_refused_while_it_rolls_gives_its_slot_back(
    deployed: World, how: str
) -> None:
    add_pods(deployed, "a", "b")
    deployed.reconciler = replace(deployed.reconciler, dataplane=plane(1))
    deployed.reconcile()
    assert not deployed.rollouts.may_roll("another", "x", Stage.OUTDATED)
    match how:
        case "gone":
            deployed.server.remove(ETCD_STORAGES, "etcd-name")
        case "being deleted":
            deployed.server.edit(
                ETCD_STORAGES, "etcd-name", lambda o: o["metadata"].update(going())
            )
        case "refused":
            deployed.server.remove(SECRETS, CORE.certs_secret)
    deployed.reconcile()
    assert deployed.woken == ["another"]


def test_a_storage_that_never_gets_a_pod_needs_a_person_and_is_looked_at_by_then(
    deployed: World,
) -> None:
    assert 0 < (deployed.again or 0) <= PROGRESS_DEADLINE.total_seconds()
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    deployed.server.edit(REPLICA_SETS, RS, lambda rs: rs["status"].update(conditions=[failure]))
    deployed.reconcile()
    assert deployed.condition("Ready")[1:] == (
        "NoPodReady",
        "the ReplicaSet cannot make pods: exceeded quota",
    )
    assert deployed.condition("Degraded")[0] == "False"
    deployed.moment += timedelta(seconds=deployed.again or 0)
    deployed.reconcile()
    assert deployed.condition("Degraded")[:2] == ("True", "NoPodReady")
    assert "exceeded quota" in deployed.condition("Degraded")[2]
    assert deployed.again is None
    add_pods(deployed, "a", "b")
    deployed.reconcile()
    assert deployed.condition("Degraded")[0] == "False"


def test_a_stuck_roll_needs_a_person(deployed: World) -> None:
    add_pods(deployed, "a", "b")
    deployed.reconciler = replace(deployed.reconciler, dataplane=plane(1))
    deployed.reconcile()
    revision = desired_of(version=1).revision
    add_pods(deployed, "c", revision=revision, ready=False)
    made = {"creationTimestamp": f"{deployed.moment:%Y-%m-%dT%H:%M:%SZ}"}
    deployed.server.edit(PODS, "c", lambda p: p["metadata"].update(made))
    deployed.reconcile()
    assert deployed.condition("Degraded")[0] == "False"
    deployed.moment += timedelta(minutes=10)
    deployed.reconcile()
    assert deployed.condition("Degraded")[:2] == ("True", "RolloutStuck")
    assert deployed.again == LOOK
    deployed.server.remove(PODS, "c")
    add_pods(deployed, "d", revision=revision)
    deployed.reconcile()
    assert deployed.condition("Degraded")[0] == "False"


def test_metrics_tell_of_certificates_until_there_are_none_any_more(world: World) -> None:
    def series() -> int:
        return sum(len(family.samples) for family in world.reconciler.metrics.collect())

    bundle = [{"namespace": "consumer", "name": "serving-ca"}]
    world.storage(caCertConfigMap=bundle)
    world.reconcile()
    world.reconcile()
    assert series() == 2 + 3 + 3
    world.server.edit(ETCD_STORAGES, "etcd-name", lambda o: o["spec"].pop("caCertConfigMap"))
    world.reconcile()
    assert series() == 0
    world.storage(caCertConfigMap=bundle)
    world.reconcile()
    assert series() > 0
    world.server.remove(ETCD_STORAGES, "etcd-name")
    world.reconcile()
    assert series() == 0


def test_the_number_of_keys_outlives_a_start_and_errors_but_not_what_it_was_counted_by(
    deployed: World,
) -> None:
    deployed.keeper.keys["etcd-name"] = 7
    deployed.reconcile()
    told = deployed.status()["usage"]
    assert told["keys"] == 7
    # Another program has not counted yet.
    deployed.keeper.keys.clear()
    assert deployed.reconcile() == []
    deployed.server.remove(SERVICES, "etcd-etcd-name")
    deployed.server.catch_up()
    deployed.server.failures["create Service etcd-etcd-name"] = ApiError(403, "Forbidden", "no")
    with pytest.raises(ApiError):
        deployed.reconcile()
    assert deployed.status()["usage"] == told
    # One that is refused is not counted.
    deployed.server.edit(ETCD_STORAGES, "etcd-name", lambda o: o["spec"].update(mode="Direct"))
    deployed.reconcile()
    assert "usage" not in deployed.status()
