"""Storages whose keys go with them: the real API server and a real core etcd."""

import json
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from controller.api.storage import CORE_FINALIZER
from controller.controller import EtcdStorageController
from controller.resources import ETCD_STORAGES, REPLICA_SETS
from hack.cluster.controlplane import ControlPlane
from hack.dataplane import CoreEtcd, programs
from informers import load_config
from tests.integration.controller.conftest import Pods, RunController, Storages, options
from tests.integration.controller.test_users import FLAGS, shared_objects, users
from tests.support.eventually import PATIENCE, eventually
from tests.support.mortal import Death, MortalClient
from workqueue import RealClock

pytestmark = pytest.mark.long

NEIGHBOURS = ("/", "/going-0/1", "/going0/1", "/goinga/1", "/staying/1")
MINE = tuple(f"/going/{n}" for n in range(5))


def keys_of(core: CoreEtcd) -> set[str]:
    return set(core.etcdctl().run("get", "--keys-only", "--prefix", "").split())


def fill(core: CoreEtcd) -> None:
    for key in (*NEIGHBOURS, *MINE):
        core.etcdctl().run("put", key, "value")


@pytest.fixture
def core(tmp_path: Path) -> Iterator[CoreEtcd]:
    """One that checks nobody."""
    with CoreEtcd(tmp_path / "core", programs.ensure()) as running:
        fill(running)
        yield running


@pytest.fixture
def core_with_users(tmp_path: Path) -> Iterator[CoreEtcd]:
    with CoreEtcd(tmp_path / "users", programs.ensure(), auth=True) as running:
        fill(running)
        yield running


@pytest.fixture
def deployed(storages: Storages) -> None:
    storages.create("going", replicas=1, reclaimPolicy="Delete")
    storages.await_condition("going", "Deployed", "EtcdProxyDeployed")
    assert storages.get("going")["metadata"]["finalizers"] == [CORE_FINALIZER]


@pytest.fixture
def run(run_controller: RunController, core: CoreEtcd) -> Iterator[None]:
    with run_controller(core=core.url):
        yield


def await_gone(control_plane: ControlPlane, name: str = "going") -> None:
    control_plane.kubectl("wait", "--for=delete", f"es/{name}", "--timeout=120s")


def test_keys_go_with_their_storage_and_nobody_else_s(
    core: CoreEtcd, run: None, storages: Storages, deployed: None, control_plane: ControlPlane
) -> None:
    storages.create("staying", replicas=1)
    control_plane.kubectl("delete", "es/going", "--timeout=120s")
    assert keys_of(core) == {*NEIGHBOURS}
    control_plane.kubectl("delete", "es/staying", "--timeout=120s")
    assert keys_of(core) == {*NEIGHBOURS}


def test_user_and_keys_go_with_their_storage(
    core_with_users: CoreEtcd,
    run_controller: RunController,
    storages: Storages,
    control_plane: ControlPlane,
    namespace: str,
) -> None:
    for obj in shared_objects(namespace, core_with_users):
        control_plane.kubectl("create", "-f", "-", stdin=obj)
    with run_controller(*FLAGS, core=core_with_users.url):
        for name in ("going", "staying"):
            storages.create(name, replicas=1, reclaimPolicy="Delete")
            storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
        control_plane.kubectl("delete", "es/going", "--timeout=120s")
        assert keys_of(core_with_users) == {*NEIGHBOURS}
        assert "etcdstorage:going" not in users(core_with_users)
        assert "etcdstorage:staying" in users(core_with_users)


def test_a_pod_that_does_not_end_keeps_the_keys_and_pods_are_awaited_by_name(
    core: CoreEtcd,
    run: None,
    storages: Storages,
    deployed: None,
    control_plane: ControlPlane,
    namespace: str,
    pods: Pods,
) -> None:
    """As on a node that was lost: nobody tells the server that the pod has ended."""
    eventually(lambda: len(pods.of("going")) == 1)
    (pod,) = pods.of("going")
    name = pod["metadata"]["name"]
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, "namespace": namespace},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "lost"},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/binding"
    control_plane.kubectl("create", "--raw", path, "-f", "-", stdin=binding)
    control_plane.kubectl("delete", "es/going", "--wait=false")
    eventually(
        lambda: f"its pod {name} is ending" in storages.condition("going", "Deployed")["message"],
    )
    assert keys_of(core) >= {*MINE}
    control_plane.kubectl("delete", "-n", namespace, f"pod/{name}", "--force")
    await_gone(control_plane)
    assert keys_of(core) == {*NEIGHBOURS}


def test_a_core_that_is_away_is_told_and_the_way_out_leaves_all_keys(
    core: CoreEtcd, run: None, storages: Storages, deployed: None, control_plane: ControlPlane
) -> None:
    theirs = [{"op": "add", "path": "/metadata/finalizers/0", "value": "example.org/theirs"}]
    control_plane.kubectl("patch", "es/going", "--type=json", f"--patch={json.dumps(theirs)}")
    core.stop()
    control_plane.kubectl("delete", "es/going", "--wait=false")

    way_out = storages.await_way_out("going", "keys")
    since = storages.get("going")["metadata"]["deletionTimestamp"]
    assert f"deleted since {since}" in storages.condition("going", "Degraded")["message"]
    # Others go on meanwhile.
    storages.create("staying", replicas=1)
    storages.await_condition("staying", "Deployed", "EtcdProxyDeployed")
    control_plane.kubectl(*way_out)
    assert storages.get("going")["metadata"]["finalizers"] == ["example.org/theirs"]
    core.start()
    assert keys_of(core) == {*NEIGHBOURS, *MINE}


def test_a_deletion_goes_on_when_the_core_is_back(
    core: CoreEtcd, run: None, storages: Storages, deployed: None, control_plane: ControlPlane
) -> None:
    core.stop()
    control_plane.kubectl("delete", "es/going", "--wait=false")
    storages.await_condition("going", "Degraded", "CoreUnreachable")
    core.start()
    await_gone(control_plane)
    assert keys_of(core) == {*NEIGHBOURS}


def test_a_core_out_of_reach_is_told_from_the_beginning(
    run_controller: RunController, storages: Storages, tmp_path: Path
) -> None:
    with run_controller(core="http://127.0.0.1:1"):
        for name, policy in (("asking", "Delete"), ("other", "Retain")):
            storages.create(name, replicas=1, reclaimPolicy=policy)
            storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
        storages.await_condition("asking", "Degraded", "CoreUnreachable")
        assert storages.condition("other", "Degraded")["status"] == "False"


def test_a_deletion_is_finished_from_wherever_it_was_left(
    core: CoreEtcd,
    run_controller: RunController,
    storages: Storages,
    control_plane: ControlPlane,
    namespace: str,
) -> None:
    """The controller is killed at each of its writes, before it reached the server and after."""
    core.etcdctl().run("del", "--prefix", "/going/")
    for number in range(20):
        death = Death(1 + number // 2, reached=number % 2 == 1)
        # The objects of one that is gone are in its successor's way for a while.
        name = f"try-{number}"
        for key in range(3):
            core.etcdctl().run("put", f"/{name}/{key}", "value")
        with run_controller(core=core.url):
            storages.create(name, replicas=1, reclaimPolicy="Delete")
            storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
        control_plane.kubectl("delete", f"es/{name}", "--wait=false")
        if not _dies(death, storages, namespace, core):
            break
        with run_controller(core=core.url):
            await_gone(control_plane, name)
        assert keys_of(core) == {*NEIGHBOURS}
    # The ReplicaSet, the status, the finalizer.
    assert number >= 2 * 3
    assert keys_of(core) == {*NEIGHBOURS}
    eventually(lambda: not storages.api.list(REPLICA_SETS, namespace)["items"])


def _dies(death: Death, storages: Storages, namespace: str, core: CoreEtcd) -> bool:
    """Run a controller until it is killed, or until there is nothing left to do."""
    clock, control_plane = RealClock(), storages.control_plane
    client = MortalClient(load_config(str(control_plane.kubeconfig)), death)
    controller = EtcdStorageController(
        client,
        options(control_plane, namespace, core.url),
        clock=clock,
        rng=random.Random(1),
        now=lambda: datetime.now(UTC),
        registry=CollectorRegistry(),
    )
    stop = threading.Event()
    thread = threading.Thread(target=controller.run, args=(stop,))
    thread.start()
    try:
        eventually(
            lambda: client.dead.is_set() or not storages.api.list(ETCD_STORAGES)["items"],
        )
    finally:
        stop.set()
        thread.join(PATIENCE)
    return client.dead.is_set()
