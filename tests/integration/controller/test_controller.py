"""The controller from an EtcdStorage to its status, on the real API server."""

import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from controller.dataplane.names import object_name
from controller.plan import Create, Delete, Evict, Patch, Write
from controller.reconcile import Reconciler
from controller.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ETCD_STORAGES,
    NETWORK_POLICIES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from controller.watches import OF_EVERY_STORAGE
from controller.writer import Writer, is_stale
from hack.cluster.controlplane import ControlPlane
from informers import ApiError, Client, Resource
from informers.errors import is_not_found
from tests.integration.controller.conftest import (
    CRD,
    Pods,
    RunController,
    Storages,
    await_crd,
    core_ca,
    core_certs,
    manifest,
)
from tests.support.eventually import eventually

pytestmark = pytest.mark.long


def objects_of(storage: str) -> list[tuple[Resource, str]]:
    """What every storage has: kinds and names."""
    return [(resource, object_name(resource, storage)) for resource in OF_EVERY_STORAGE]


def _uid(api: Client, namespace: str, resource: Resource, name: str) -> str:
    """Return "" if there is no such object."""
    try:
        found = api.get(resource, name, namespace)
    except ApiError as error:
        if not is_not_found(error):
            raise
        return ""
    return str(found["metadata"]["uid"])


def test_a_storage_gets_its_objects_and_a_true_status(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
    api: Client,
    namespace: str,
    pods: Pods,
) -> None:
    with run_controller():
        created = storages.create("first", replicas=2)
        storage = storages.await_condition("first", "Deployed", "EtcdProxyDeployed")
        assert storages.condition("first", "Ready")["reason"] == "NoPodReady"
        assert storage["status"]["endpoint"] == f"http://etcd-first.{namespace}.svc:2379"
        for resource, name in objects_of("first"):
            (owner,) = api.get(resource, name, namespace)["metadata"]["ownerReferences"]
            assert (owner["uid"], owner["controller"]) == (created["metadata"]["uid"], True)
        eventually(lambda: len(pods.of("first")) == 2)
        pods.make_ready("first")
        storages.await_condition("first", "Ready", "PodsReady")
        eventually(lambda: storages.get("first")["status"]["readyReplicas"] == 2)
        control_plane.kubectl("wait", "--for=condition=Ready", "es/first", "--timeout=120s")
        eventually(lambda: ("Normal", "EtcdStorageDeployed") in storages.events("first"))


def test_many_storages_at_once_cost_their_writes_and_no_refusal(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    namespace: str,
    pods: Pods,
) -> None:
    """Their events overtake each other: who acts on a cache that is behind gets refusals."""
    names = [f"many-{n}" for n in range(50)]
    refused = _refusals(storages)
    with capture_logs() as logs, run_controller():
        with ThreadPoolExecutor(8) as pool:
            objects = (manifest(name, {"replicas": 1}) for name in names)
            list(pool.map(lambda obj: storages.api.create(ETCD_STORAGES, obj), objects))
        for name in names:
            storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
            eventually(lambda name=name: len(pods.of(name)) == 1)  # type: ignore[misc]
            pods.make_ready(name)
        for name in names:
            storages.await_condition(name, "Ready", "PodsReady")
    writes = [log for log in logs if log["event"] == "wrote"]
    written = [(log["write"], log["kind"], log["object"]) for log in writes]
    assert sorted(one for one in written if one[1] != "EtcdStorage/status") == sorted(
        ("create", resource.kind, object_name(resource, name))
        for resource in OF_EVERY_STORAGE
        for name in names
    )
    assert [log for log in logs if log["event"] == "cache_was_behind"] == []
    assert _refusals(storages) == refused


def _refusals(storages: Storages) -> list[str]:
    """What the server counts of writes that came too late or twice, to the kinds that we write."""
    ours = re.compile(r'resource="(etcdstorages|services)"|resource="replicasets".*verb="POST"')
    counters = storages.api.raw_get("/metrics").decode().splitlines()
    return [
        line
        for line in counters
        if line.startswith("apiserver_request_total")
        and 'code="409"' in line
        and ours.search(line)
    ]


def test_a_write_that_comes_too_late_is_told_from_other_refusals(
    storages: Storages, namespace: str
) -> None:
    """By the kind that the server names: a plural mostly, but not for preconditions."""
    writer = Writer(storages.api, namespace, lambda _resource, _version: None)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "late", "namespace": namespace},
        "spec": {"ports": [{"port": 80}]},
    }
    container = {"name": "c", "image": "example.com/none"}
    storages.api.create(
        PODS, {"metadata": {"name": "late"}, "spec": {"containers": [container]}}, namespace
    )
    writer.carry_out(Create(SERVICES, service))
    late: tuple[Write, ...] = (
        Create(SERVICES, service),
        Patch(
            SERVICES, "late", {"metadata": {"resourceVersion": "1"}, "spec": {"type": "NodePort"}}
        ),
        Patch(
            SERVICES, "gone", {"metadata": {"resourceVersion": "1"}, "spec": {"type": "NodePort"}}
        ),
        Delete(SERVICES, "late", "another-uid", "1"),
        Evict("late", "another-uid", "1"),
    )
    for write in late:
        with pytest.raises(ApiError) as refused:
            writer.carry_out(write)
        assert is_stale(refused.value), (write, refused.value.details)
    storages.create("late")
    patch = {"metadata": {"resourceVersion": "1"}, "status": {"replicas": 1}}
    with pytest.raises(ApiError) as refused:
        storages.api.patch(ETCD_STORAGES, "late", patch, subresource="status")
    assert is_stale(refused.value)


def test_a_second_look_writes_nothing(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
    pods: Pods,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def versions() -> list[str]:
        objects = (
            storages.get("quiet"),
            *(api.get(resource, name, namespace) for resource, name in objects_of("quiet")),
        )
        return [obj["metadata"]["resourceVersion"] for obj in objects]

    with run_controller():
        storages.create("quiet", replicas=1)
        eventually(lambda: len(pods.of("quiet")) == 1)
        pods.make_ready("quiet")
        storages.await_condition("quiet", "Ready", "PodsReady")
        eventually(lambda: storages.get("quiet")["status"]["readyReplicas"] == 1)
        replica_set = (REPLICA_SETS, "etcd-rs-quiet", namespace)
        eventually(lambda: api.get(*replica_set)["status"].get("readyReplicas") == 1)
        # The disruption controller counts pods in its own time, and writes that to the budget.
        budget = (DISRUPTION_BUDGETS, "etcd-quiet", namespace)
        eventually(lambda: api.get(*budget)["status"].get("currentHealthy") == 1)
    before = versions()
    looks: list[str] = []
    reconcile = Reconciler.reconcile

    def counted(self: Reconciler, name: str) -> float | None:
        looks.append(name)
        return reconcile(self, name)

    monkeypatch.setattr(Reconciler, "reconcile", counted)
    with run_controller("--resync-period=1s"):
        # Once at the start, and then for two resyncs.
        eventually(lambda: looks.count("quiet") >= 3)
    assert versions() == before


def test_what_is_changed_or_deleted_comes_back_and_what_others_added_stays(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
    api: Client,
    namespace: str,
) -> None:
    with run_controller():
        storages.create("drift")
        storages.await_condition("drift", "Deployed", "EtcdProxyDeployed")
        selector = {"spec": {"selector": {"app": "other"}}, "metadata": {"labels": {"team": "x"}}}
        api.patch(SERVICES, "etcd-drift", selector, namespace=namespace)

        def mended() -> bool:
            service = api.get(SERVICES, "etcd-drift", namespace)
            return bool(service["spec"]["selector"] == {"etcd.xmudrii.com/storage": "drift"})

        eventually(mended)
        service = api.get(SERVICES, "etcd-drift", namespace)
        assert service["metadata"]["labels"]["team"] == "x"
        control_plane.kubectl("scale", "-n", namespace, "rs/etcd-rs-drift", "--replicas=7")

        def scaled_back() -> bool:
            replica_set = api.get(REPLICA_SETS, "etcd-rs-drift", namespace)
            return bool(replica_set["spec"]["replicas"] == 2)

        eventually(scaled_back)
        for what in objects_of("drift"):
            resource, name = what
            uid = _uid(api, namespace, *what)
            control_plane.kubectl("delete", "-n", namespace, f"{resource.plural}/{name}")

            def back(what: tuple[Resource, str] = what, uid: str = uid) -> bool:
                return _uid(api, namespace, *what) not in {"", uid}

            eventually(back)


@pytest.mark.parametrize(
    ("resource", "change"),
    [
        # Next to ours the server would refuse it.
        (DISRUPTION_BUDGETS, {"maxUnavailable": None, "minAvailable": 1}),
        (DISRUPTION_BUDGETS, {"maxUnavailable": 0, "unhealthyPodEvictionPolicy": None}),
        (NETWORK_POLICIES, {"ingress": [{}], "policyTypes": ["Ingress", "Egress"]}),
        (NETWORK_POLICIES, {"podSelector": {"matchLabels": {"more": "labels"}}}),
    ],
)
def test_what_a_policy_lets_in_and_a_budget_lets_go_is_ours_alone(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
    resource: Resource,
    change: dict[str, Any],
) -> None:
    def spec() -> Any:
        return api.get(resource, "etcd-strict", namespace)["spec"]

    with run_controller():
        storages.create("strict")
        storages.await_condition("strict", "Deployed", "EtcdProxyDeployed")
        before = spec()
        api.patch(resource, "etcd-strict", {"spec": change}, namespace=namespace)
        eventually(lambda: spec() == before)


@pytest.mark.parametrize("holder", ["nobody", "a ConfigMap"])
def test_an_object_that_is_not_ours_is_not_touched(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
    api: Client,
    namespace: str,
    holder: str,
) -> None:
    foreign: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "etcd-taken", "namespace": namespace},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}},
    }
    if holder != "nobody":
        owner = control_plane.kubectl_json(
            "create",
            "-f",
            "-",
            stdin={**core_ca(namespace), "metadata": {"name": "holder", "namespace": namespace}},
        )
        foreign["metadata"]["labels"] = {"etcd.xmudrii.com/storage": "taken"}
        foreign["metadata"]["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": "holder",
                "uid": owner["metadata"]["uid"],
                "controller": True,
            }
        ]
    before = api.create(SERVICES, foreign, namespace)
    with run_controller():
        storages.create("taken")
        storages.await_condition("taken", "Deployed", "NameConflict")
        assert "Service etcd-taken" in storages.condition("taken", "Deployed")["message"]
        assert api.get(SERVICES, "etcd-taken", namespace) == before
        assert not _uid(api, namespace, REPLICA_SETS, "etcd-rs-taken")
        eventually(lambda: ("Warning", "ErrResourceReclaimed") in storages.events("taken"))
        control_plane.kubectl("delete", "-n", namespace, "svc/etcd-taken")
        storages.await_condition("taken", "Deployed", "EtcdProxyDeployed")


def test_an_orphan_of_ours_is_adopted(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
    api: Client,
    namespace: str,
) -> None:
    with run_controller():
        storages.create("orphan")
        storages.await_condition("orphan", "Deployed", "EtcdProxyDeployed")
        control_plane.kubectl("delete", "es/orphan", "--cascade=orphan")
    before = api.get(REPLICA_SETS, "etcd-rs-orphan", namespace)
    assert "ownerReferences" not in before["metadata"]
    with run_controller():
        again = storages.create("orphan")
        storages.await_condition("orphan", "Deployed", "EtcdProxyDeployed")
        after = api.get(REPLICA_SETS, "etcd-rs-orphan", namespace)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        (owner,) = after["metadata"]["ownerReferences"]
        assert owner["uid"] == again["metadata"]["uid"]
        eventually(lambda: ("Normal", "ResourceReclaimed") in storages.events("orphan"))


def test_missing_core_credentials_are_named_and_their_arrival_mends(
    storages: Storages,
    run_controller: RunController,
    api: Client,
    namespace: str,
) -> None:
    with run_controller():
        storages.create("waiting")
        storages.await_condition("waiting", "Deployed", "CoreCAMissing")
        assert "etcd-coreserving-ca" in storages.condition("waiting", "Deployed")["message"]
        api.create(CONFIG_MAPS, core_ca(namespace, other="key"), namespace)
        eventually(lambda: "no key ca.pem" in storages.condition("waiting", "Deployed")["message"])
        api.patch(CONFIG_MAPS, "etcd-coreserving-ca", core_ca(namespace), namespace=namespace)
        storages.await_condition("waiting", "Deployed", "CoreCertsMissing")
        assert "etcd-coreserving-cert" in storages.condition("waiting", "Deployed")["message"]
        assert not _uid(api, namespace, REPLICA_SETS, "etcd-rs-waiting")
        api.create(SECRETS, core_certs(namespace), namespace)
        storages.await_condition("waiting", "Deployed", "EtcdProxyDeployed")
        eventually(lambda: ("Warning", "EtcdStorageDeployFailure") in storages.events("waiting"))


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_pods_are_rolled_without_ever_having_fewer_ready(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
    pods: Pods,
    replicas: int,
) -> None:
    with run_controller():
        storages.create("rolled", replicas=replicas)
        eventually(lambda: len(pods.of("rolled")) == replicas)
        pods.make_ready("rolled")
        storages.await_condition("rolled", "Ready", "PodsReady")
        old = {pod["metadata"]["uid"] for pod in pods.of("rolled")}
    fewest = replicas
    with run_controller("--etcd-proxy-image=example.org/etcd:new"):

        def rolled() -> bool:
            nonlocal fewest
            fewest = min(fewest, len(pods.ready("rolled")))
            pods.make_ready("rolled")
            present = {pod["metadata"]["uid"] for pod in pods.of("rolled")}
            return len(present) == replicas and not present & old

        eventually(rolled)
        assert fewest == replicas
        eventually(lambda: storages.get("rolled")["status"]["updatedReplicas"] == replicas)
        eventually(lambda: storages.condition("rolled", "Progressing")["status"] == "False")
        # The last gap is filled before the number goes back.
        rolled_set = (REPLICA_SETS, "etcd-rs-rolled", namespace)
        eventually(lambda: api.get(*rolled_set)["spec"]["replicas"] == replicas)
    images = {pod["spec"]["initContainers"][0]["image"] for pod in pods.of("rolled")}
    assert images == {"example.org/etcd:new"}


def test_fields_of_2018_are_named_in_a_warning(
    storages: Storages, core_credentials: None, run_controller: RunController
) -> None:
    with run_controller():
        storages.create("etcd-name", serverCACert=[{"name": "ca", "namespace": "n"}])
        storages.await_condition("etcd-name", "Deployed", "EtcdProxyDeployed")
        eventually(lambda: ("Warning", "IgnoredFields") in storages.events("etcd-name"))


def test_the_replica_set_of_2018_is_replaced(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
    api: Client,
    namespace: str,
) -> None:
    storage = storages.create("legacy")
    labels = {"controller": "epc"}
    control_plane.kubectl(
        "create",
        "-f",
        "-",
        stdin={
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": "etcd-rs-legacy",
                "namespace": namespace,
                "ownerReferences": [
                    {
                        "apiVersion": "etcd.xmudrii.com/v1alpha1",
                        "kind": "EtcdStorage",
                        "name": "legacy",
                        "uid": storage["metadata"]["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "etcdproxy", "image": "old"}]},
                },
            },
        },
    )
    with run_controller():
        storages.await_condition("legacy", "Deployed", "EtcdProxyDeployed")
        replica_set = api.get(REPLICA_SETS, "etcd-rs-legacy", namespace)
        selector = replica_set["spec"]["selector"]["matchLabels"]
        assert selector == {"etcd.xmudrii.com/storage": "legacy"}


def test_direct_without_users_is_refused_and_named(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
) -> None:
    with run_controller():
        storages.create("asking", mode="Direct")
        storages.await_condition("asking", "Degraded", "DirectNeedsUsers")
        assert "--etcd-core-root-secret" in storages.condition("asking", "Deployed")["message"]
        for what in objects_of("asking"):
            assert not _uid(api, namespace, *what)


def test_a_refused_write_is_in_the_status_and_mends(
    storages: Storages, run_controller: RunController, control_plane: ControlPlane
) -> None:
    late = f"late-{secrets.token_hex(3)}"
    # A plain core, so that no credentials are waited for.
    with run_controller(f"--namespace={late}", core="http://core.example:2379"):
        storages.create("homeless")
        storages.await_condition("homeless", "Deployed", "WriteFailed")
        assert late in storages.condition("homeless", "Deployed")["message"]
        control_plane.kubectl("create", "namespace", late)
        storages.await_condition("homeless", "Deployed", "EtcdProxyDeployed")
    control_plane.kubectl("delete", "namespace", late, "--wait=false")


def test_two_storages_do_not_share_pods(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
    api: Client,
    namespace: str,
    pods: Pods,
) -> None:
    with run_controller():
        for name in ("a", "a-b"):
            storages.create(name, replicas=1)
        eventually(lambda: [len(pods.of(name)) for name in ("a", "a-b")] == [1, 1])
        pods.make_ready("a")
        storages.await_condition("a", "Ready", "PodsReady")
        # It is looked at once more, by whoever knows of the other one's pod.
        control_plane.kubectl("scale", "es/a-b", "--replicas=2")
        eventually(lambda: storages.get("a-b").get("status", {}).get("observedGeneration") == 2)
        assert storages.condition("a-b", "Ready")["status"] == "False"
        selectors = [
            api.get(SERVICES, f"etcd-{name}", namespace)["spec"]["selector"]
            for name in ("a", "a-b")
        ]
        assert selectors[0] != selectors[1]


def test_what_belongs_to_a_deleted_storage_is_collected(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
    api: Client,
    namespace: str,
) -> None:
    with run_controller():
        storages.create("gone")
        storages.await_condition("gone", "Deployed", "EtcdProxyDeployed")
        control_plane.kubectl("delete", "es/gone")
        # The collector learns of a new CRD every 30 s only.
        for what in objects_of("gone"):
            eventually(lambda what=what: not _uid(api, namespace, *what))  # type: ignore[misc]


def test_an_object_of_a_crd_without_a_schema_harms_no_other(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
) -> None:
    permissive = yaml.safe_load(CRD.read_text())
    version = permissive["spec"]["versions"][0]
    version["schema"]["openAPIV3Schema"] = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    }
    odd = manifest("odd", {"caCertConfigMap": [{"name": "x"}]})
    control_plane.kubectl("replace", "-f", "-", stdin=permissive)
    try:
        eventually(lambda: _created(storages.api, odd), what="the permissive CRD to be served")
    finally:
        control_plane.kubectl("apply", "-f", str(CRD))
        await_crd(storages.api)
    with run_controller():
        storages.create("fine")
        storages.await_condition("fine", "Deployed", "EtcdProxyDeployed")
        eventually(lambda: storages.condition("odd", "Deployed").get("reason") == "InvalidSpec")


def _created(api: Client, obj: dict[str, Any]) -> bool:
    try:
        api.create(ETCD_STORAGES, obj)
    except ApiError:
        return False
    return True


def test_a_budget_of_somebody_else_stops_a_roll_and_is_told(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
    pods: Pods,
) -> None:
    with run_controller():
        storages.create("held", replicas=2)
        eventually(lambda: len(pods.of("held")) == 2)
        pods.make_ready("held")
        storages.await_condition("held", "Ready", "PodsReady")
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "held", "namespace": namespace},
        "spec": {
            "maxUnavailable": 0,
            "selector": {"matchLabels": {"etcd.xmudrii.com/storage": "held"}},
        },
    }
    api.create(DISRUPTION_BUDGETS, budget, namespace)
    with run_controller("--etcd-proxy-image=example.org/etcd:new"):
        eventually(lambda: len(pods.of("held")) == 3)
        pods.make_ready("held")
        # No pod with two budgets can be evicted.
        storages.await_condition("held", "Degraded", "WriteFailed")
        message = storages.condition("held", "Degraded")["message"]
        assert "more than one PodDisruptionBudget" in message
        eventually(lambda: storages.get("held")["status"]["readyReplicas"] == 3)
        assert storages.condition("held", "Ready")["status"] == "True"
