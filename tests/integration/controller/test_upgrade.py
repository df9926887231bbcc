"""A cluster of the first controller, of 2018, by the README's commands to this one.

On the real API server, garbage collector and ReplicaSet controller; what its pods served meanwhile
is told by tests/e2e/test_upgrade.py.
"""

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from controller.options import PROGRAM
from controller.ownership import STORAGE_LABEL
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, REPLICA_SETS, SECRETS, SERVICES
from hack.cluster.controlplane import KubectlError
from tests.integration.conftest import administrator
from tests.integration.controller.conftest import (
    ARTIFACTS,
    CRD,
    RunController,
    Storages,
    core_ca,
    core_certs,
    establish,
    manifest,
    suppress_not_found,
)
from tests.integration.controller.test_program import kubeconfig_of
from tests.support import original
from tests.support.eventually import eventually
from tests.support.original import LABELS, LONG, NAMESPACE

README = (ARTIFACTS.parent / "README.md").read_text()
SECTION = "From the controller of 2018"
REFUSED = ("a.b", LONG, "registry", "root")
"""Names that it took; the first two never got a Service."""


@pytest.fixture
def old(storages: Storages) -> Iterator["OldCluster"]:
    """Give a cluster as the first controller had it, without a storage."""
    made = OldCluster(storages)
    made.store_crd()
    yield made
    establish(storages.control_plane, storages.api)


class OldCluster:
    """The cluster, and what its controller of 2018 made and an operator does."""

    def __init__(self, storages: Storages) -> None:
        self.plane = storages.control_plane
        self.api = storages.api

    def store_crd(self) -> None:
        self.plane.kubectl("delete", "-f", str(CRD))
        original.store_crd(self.plane)
        self.apply(*original.manifests(), core_ca(NAMESPACE), core_certs(NAMESPACE))

    def apply(self, *objects: Any) -> None:
        content = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.plane.kubectl("apply", "-f", "-", stdin=content)

    def create(self, name: str, **spec: Any) -> dict[str, Any]:
        """Make a storage with the status that the first controller gave it."""
        made: dict[str, Any] = {}

        def created() -> bool:
            with suppress_not_found():
                made.update(self.api.create(ETCD_STORAGES, manifest(name, spec)))
            return bool(made)

        eventually(created, what="its CRD to be served")
        self.api.patch(ETCD_STORAGES, name, {"status": original.status()}, subresource="status")
        return made

    def follow_readme(self) -> None:
        _, _, rest = README.partition(f"### {SECTION}\n")
        block = rest.partition("```sh\n")[2].partition("```")[0]
        for command in block.splitlines():
            _, *arguments = shlex.split(command)
            self.plane.kubectl(*(_found(word) for word in arguments))
        # Its image is not to be had here; the controller runs in this process instead.
        self.plane.kubectl("delete", "deployment", "-n", NAMESPACE, original.DEPLOYMENT)

    def uid(self, resource: Any, name: str) -> str:
        found: str = self.api.get(resource, name, NAMESPACE)["metadata"]["uid"]
        return found


def _found(word: str) -> str:
    return str(ARTIFACTS.parent / word) if word.startswith("artifacts/") else word


@pytest.fixture
def upgrade(old: OldCluster, run_controller: RunController, tmp_path: Path) -> Iterator[Any]:
    """Give a function that upgrades; the controller has the rights of its manifest alone."""
    with ExitStack() as ends:

        def run() -> None:
            old.follow_readme()
            kubeconfig = kubeconfig_of(old.plane, tmp_path)
            ends.enter_context(run_controller(f"--namespace={NAMESPACE}", kubeconfig=kubeconfig))

        yield run


def test_a_storage_is_taken_over_under_its_prefix_and_address(
    old: OldCluster, upgrade: Any, storages: Storages
) -> None:
    storage = old.create("mine", serverCACert=[{"name": "ca", "namespace": "n"}])
    old.apply(original.replica_set(storage), original.service(storage))
    address = old.api.get(SERVICES, "etcd-mine", NAMESPACE)["spec"]["clusterIP"]
    replica_set = old.uid(REPLICA_SETS, "etcd-rs-mine")
    upgrade()
    taken = storages.await_condition("mine", "Deployed", "EtcdProxyDeployed")
    assert taken["metadata"]["uid"] == storage["metadata"]["uid"]
    assert set(taken["status"]) & {"Conditions", "conditions"} == {"conditions"}
    assert taken["status"]["endpoint"] == f"http://etcd-mine.{NAMESPACE}.svc:2379"
    service = old.api.get(SERVICES, "etcd-mine", NAMESPACE)["spec"]
    assert (service["clusterIP"], service["selector"]) == (address, {STORAGE_LABEL: "mine"})
    replaced = old.api.get(REPLICA_SETS, "etcd-rs-mine", NAMESPACE)
    assert replaced["metadata"]["uid"] != replica_set
    assert "'--namespace=/mine/'" in str(replaced["spec"]["template"])
    expected = {
        ("Normal", "ResourceReclaimed"),
        ("Normal", "EtcdStorageDeployed"),
        ("Warning", "IgnoredFields"),
    }
    eventually(lambda: expected <= set(storages.events("mine")))


def test_names_that_are_refused_today_are_told_and_left_as_they_are(
    old: OldCluster, upgrade: Any, storages: Storages
) -> None:
    sets = {}
    for name in REFUSED:
        storage = old.create(name)
        old.apply(original.replica_set(storage))
        if name not in REFUSED[:2]:
            old.apply(original.service(storage))
        sets[name] = old.uid(REPLICA_SETS, f"etcd-rs-{name}")
    upgrade()
    for name in REFUSED:
        storages.await_condition(name, "Deployed", "InvalidName")
        told = storages.condition(name, "Deployed")["message"]
        assert "create it under another name" in told
        eventually(
            lambda name=name: ("Warning", "EtcdStorageDeployFailure") in storages.events(name)  # type: ignore[misc]
        )
        assert old.uid(REPLICA_SETS, f"etcd-rs-{name}") == sets[name]
    selector = old.api.get(SERVICES, "etcd-registry", NAMESPACE)["spec"]["selector"]
    assert selector == LABELS
    for name in REFUSED:
        old.plane.kubectl("delete", f"es/{name}", "--timeout=120s")


def test_the_last_state_with_its_certificates(
    old: OldCluster, upgrade: Any, storages: Storages, namespace: str
) -> None:
    """What it delivered is for the operator to delete; the Deployment, too."""
    consumers = {
        "caCertConfigMap": [{"name": "etcd-serving-ca", "namespace": namespace}],
        "clientCertSecret": [{"name": "etcd-client", "namespace": namespace}],
    }
    validities = {
        f"{kind}CertificateValidity": f"{hours}h0m0s"
        for kind, hours in {"signing": 43800, "serving": 2160, "client": 2160}.items()
    }
    storage = old.create("latest", **consumers, **validities)
    old.apply(
        original.deployment(storage),
        original.service(storage, {"apiserver": "latest"}),
        *original.serving(storage),
    )
    with closing(administrator(old.plane, PROGRAM)) as first:
        for obj in original.delivered(namespace):
            resource = {kind.kind: kind for kind in (CONFIG_MAPS, SECRETS)}[obj["kind"]]
            first.create(resource, obj, namespace)
    before = delivered(old, namespace)
    old.plane.kubectl("apply", "-n", namespace, "-f", str(ARTIFACTS / "consumers/role.yaml"))
    upgrade()
    storages.await_condition("latest", "CertificatesReady", "ForeignContent")
    told = storages.condition("latest", "CertificatesReady")["message"]
    assert "controller of 2018: delete the object" in told
    assert delivered(old, namespace) == before
    selector = old.api.get(SERVICES, "etcd-latest", NAMESPACE)["spec"]["selector"]
    assert selector == {STORAGE_LABEL: "latest"}
    old.plane.kubectl("delete", "deployment", "etcd-latest", "-n", NAMESPACE)
    what = ("configmap/etcd-serving-ca", "secret/etcd-client")
    old.plane.kubectl("delete", "-n", namespace, *what)
    eventually(lambda: len(delivered(old, namespace)) == 3, what="ours to be there")
    ours = delivered(old, namespace)
    assert not ours.items() & before.items()


def delivered(old: OldCluster, namespace: str) -> dict[str, str]:
    """Return what stands under our keys in a consumer's namespace."""
    found: dict[str, str] = {}
    for resource, name in ((CONFIG_MAPS, "etcd-serving-ca"), (SECRETS, "etcd-client")):
        with suppress_not_found():
            found |= old.api.get(resource, name, namespace).get("data") or {}
    return found


def test_the_old_deployment_is_in_the_way_until_it_is_deleted(old: OldCluster) -> None:
    manifests = str(ARTIFACTS / "deployment/00-etcdproxy-controller.yaml")
    with pytest.raises(KubectlError, match="field is immutable"):
        old.plane.kubectl("apply", "-f", manifests)
    old.follow_readme()
