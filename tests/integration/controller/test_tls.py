"""Storages with mutual TLS under the whole controller, on the real API server."""

import base64
import json
import random
import secrets
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from controller.consumers import looks, polls
from controller.consumers.consumer import DEPLOYMENTS
from controller.controller import EtcdStorageController
from controller.dataplane.gate import Gate
from controller.resources import CONFIG_MAPS, EVENTS, SECRETS
from controller.served import ServedCertificates
from hack.cluster.controlplane import ControlPlane
from hack.dataplane import CoreEtcd, GatePod, programs
from hack.dataplane.gatepod import POD_ADDRESS
from informers import Client
from tests.integration.consumers.conftest import ROLE
from tests.integration.controller.conftest import (
    Pods,
    RunController,
    Storages,
    core_ca,
    core_certs,
    options,
)
from tests.integration.controller.lives import Lives
from tests.integration.controller.test_program import DEPLOYMENT, NAMESPACE, kubeconfig_of
from tests.integration.controller.tlsstorages import (
    Delivered,
    Json,
    issued,
    leaf_of,
    listing,
    rotating,
)
from tests.integration.dataplane.certified import Consumer, read_k
from tests.support.eventually import eventually
from tests.support.mortal import Death, MortalClient
from workqueue import RealClock

pytestmark = pytest.mark.long

SHORT = {
    "signingCertificateValidity": "1h",
    "servingCertificateValidity": "20s",
    "clientCertificateValidity": "20s",
}
"""They leave a busy machine five seconds to bring what follows."""


def test_a_storage_with_consumers_in_two_namespaces(
    lives: Lives, storages: Storages, run_controller: RunController, pods: Pods, tmp_path: Path
) -> None:
    name = lives.create()
    with run_controller():
        storages.await_condition(name, "CertificatesReady", "CertificatesDelivered")
        eventually(lambda: len(pods.of(name)) == 1)
        pods.make_ready(name)
        storages.await_condition(name, "Ready", "PodsReady")
        eventually(lambda: ("Normal", "EtcdStorageDeployed") in storages.events(name))
    found = lives.delivered(name)
    endpoint = f"https://etcd-{name}.{lives.namespace}.svc:2379"
    assert found.storage.status["endpoint"] == endpoint
    for consumer in lives.consumers:
        found.shake_hands(tmp_path, consumer)
        for obj in (found.bundles[consumer], found.pairs[consumer]):
            (owner,) = obj["metadata"]["ownerReferences"]
            assert (owner["uid"], owner.get("controller")) == (found.storage.uid, None)
        annotations = found.pairs[consumer]["metadata"]["annotations"]
        end = leaf_of(found.pairs[consumer]).not_valid_after_utc
        assert annotations == {
            "etcd.xmudrii.com/certificate-expiry-date": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "etcd.xmudrii.com/certificate-signed-by": found.signer.subject.rfc4514_string()[3:],
        }
    (pod,) = pods.of(name)
    assert f"etcd-ca-{name}" not in json.dumps(pod)
    assert f"etcd-serving-{name}" in json.dumps(pod["spec"]["volumes"])
    # No key is where it does not belong.
    told = json.dumps([storages.get(name), pod, storages.api.list(EVENTS, "default")])
    for secret in (found.authority, found.serving, *found.pairs.values()):
        key = secret["data"]["tls.key"]
        assert key not in told
        assert base64.b64decode(key).decode().split("\n")[1] not in told
    before = storages.get(name)["metadata"]["resourceVersion"]
    with run_controller():
        storages.create("next")
        storages.await_condition("next", "Deployed", "EtcdProxyDeployed")
        assert storages.get(name)["metadata"]["resourceVersion"] == before
    assert lives.delivered(name) == found


def test_gates_serve_what_is_renewed_and_the_status_says_what_was_seen(
    lives: Lives,
    storages: Storages,
    run_controller: RunController,
    pods: Pods,
    gate: "KubeletsGate",
) -> None:
    name = gate.storage
    with run_controller():
        lives.create(name, **SHORT)
        eventually(lambda: len(pods.of(name)) == 1)
        pods.make_ready(name, POD_ADDRESS)
        gate.sync()
        first = storages.await_condition(name, "CertificatesReady", "CertificatesDelivered")
        serial = first["status"]["certificates"]["serving"]["serial"]

        def renewed() -> bool:
            gate.sync()
            told = storages.get(name)["status"]["certificates"]["serving"]
            return bool(serial != told["serial"] == told.get("servedSerial"))

        # At three quarters of that at the latest, which is nobody's news but the clock's.
        eventually(renewed, every=0.1)
        # With what it has got by then: it may be renewed just now.
        eventually(lambda: gate.lets_in(lives.consumers[0]), every=0.1)
        lives.withdraw_first(name)

        def withdrawn() -> bool:
            gate.sync()
            return not gate.lets_in(lives.consumers[0])

        eventually(withdrawn, every=0.1)

        def stays() -> bool:
            gate.sync()
            return gate.lets_in(lives.consumers[1])

        eventually(stays, every=0.1)
    events = storages.events(name)
    assert ("Normal", "CertificateRenewed") in events
    assert ("Normal", "AuthorityRotated") not in events


def test_with_the_rights_of_the_manifests_and_a_role_each_is_served_that_may_be(
    control_plane: ControlPlane,
    api: Client,
    storages: Storages,
    run_controller: RunController,
    tmp_path: Path,
) -> None:
    control_plane.kubectl("apply", "-f", str(DEPLOYMENT))
    control_plane.kubectl("delete", "deployment", "--all", "-n", NAMESPACE)
    for obj in (core_ca(NAMESPACE), core_certs(NAMESPACE)):
        control_plane.kubectl("apply", "-f", "-", stdin=obj)
    name = f"granted-{secrets.token_hex(3)}"
    good, closed, late = (f"{name}-{which}" for which in ("good", "closed", "late"))
    account = kubeconfig_of(control_plane, tmp_path)

    def open_(namespace: str) -> None:
        control_plane.kubectl("create", "namespace", namespace)
        let_in(control_plane, namespace, f"{name}-ca", f"{name}-pair")

    def messages() -> str:
        message: str = storages.condition(name, "CertificatesReady").get("message", "")
        return message

    open_(good)
    control_plane.kubectl("create", "namespace", closed)
    try:
        with run_controller(f"--namespace={NAMESPACE}", kubeconfig=account):
            storages.create(name, **listing(name, (closed, late, good), replicas=1))
            storages.await_condition(name, "CertificatesReady", "ConsumerForbidden")
            assert f"there is no namespace {late}" in messages()
            assert f"Secret {closed}/{name}-pair: the controller may not get it" in messages()
            assert storages.condition(name, "Degraded")["status"] == "True"
            assert storages.condition(name, "Deployed")["status"] == "True"
            eventually(lambda: has_secret(api, good, f"{name}-pair"))
            open_(late)
            let_in(control_plane, closed, f"{name}-ca", f"{name}-pair")
            storages.await_condition(name, "CertificatesReady", "CertificatesDelivered")
        found = Delivered.read(api, name, NAMESPACE)
        found.check(datetime.now(UTC))
        for namespace in (good, closed, late):
            found.shake_hands(tmp_path, namespace)
    finally:
        control_plane.kubectl(
            "delete", "namespace", good, closed, late, "--wait=false", "--ignore-not-found"
        )


def test_what_somebody_spoils_is_found_by_a_look_and_mended(
    lives: Lives,
    storages: Storages,
    run_controller: RunController,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looks, "ROUND", 0.1)
    monkeypatch.setattr(polls, "POLL", 1.0)
    name = lives.create()
    first, second = lives.consumers
    with run_controller():
        storages.await_condition(name, "CertificatesReady", "CertificatesDelivered")
        before = lives.delivered(name)
        spoilt = {"data": {"serving-ca.crt": "nonsense", "mine": "stays"}}
        lives.api.patch(CONFIG_MAPS, f"{name}-ca", spoilt, namespace=first)
        lives.api.delete(SECRETS, f"{name}-pair", namespace=second)
        eventually(lambda: lives.api.list(SECRETS, second)["items"])
        # What is anybody else's is left alone, and told.
        storages.await_condition(name, "Degraded", "ForeignContent")
        theirs = {"data": {"serving-ca.crt": None}}
        lives.api.patch(CONFIG_MAPS, f"{name}-ca", theirs, namespace=first)
        storages.await_condition(name, "CertificatesReady", "CertificatesDelivered")
        eventually(lambda: storages.condition(name, "Degraded")["status"] == "False")
    after = lives.delivered(name)
    assert after.bundles[first]["data"] == {**before.bundles[first]["data"], "mine": "stays"}
    assert after.pairs[first] == before.pairs[first]
    assert leaf_of(after.pairs[second]) != leaf_of(before.pairs[second])


def test_what_left_the_lists_is_emptied_by_the_next_controller_as_well(
    lives: Lives, storages: Storages, run_controller: RunController
) -> None:
    name = lives.create()
    first, second = lives.consumers

    def left(namespace: str) -> bool:
        held = [
            lives.api.get(CONFIG_MAPS, f"{name}-ca", namespace),
            lives.api.get(SECRETS, f"{name}-pair", namespace),
        ]
        return all("data" not in obj for obj in held)

    with run_controller():
        storages.await_condition(name, "CertificatesReady", "CertificatesDelivered")
    before = lives.delivered(name)
    lives.withdraw_first(name)
    with run_controller():
        eventually(lambda: left(first))
        eventually(lambda: "clients" in storages.get(name)["status"]["certificates"])
        eventually(lambda: len(storages.get(name)["status"]["certificates"]["clients"]) == 1)
        eventually(lambda: len(delivered_to(lives, name)) == 2)
    assert lives.delivered(name).serials.items() <= before.serials.items()
    nothing: Json = {"caCertConfigMap": [], "clientCertSecret": []}
    lives.patch(name, {"spec": nothing})
    with run_controller():
        eventually(lambda: left(second))
        eventually(lambda: "certificates" not in storages.get(name)["status"])
        status = storages.get(name)["status"]
        assert status["endpoint"].startswith("http://")
        assert "CertificatesReady" not in [c["type"] for c in status["conditions"]]
        serving = lives.api.get(SECRETS, f"etcd-serving-{name}", lives.namespace)
        eventually(lambda: delivered_to(lives, name) == [])
        lives.patch(name, {"spec": listing(name, lives.consumers)})
        storages.await_condition(name, "CertificatesReady", "CertificatesDelivered")
    found = lives.delivered(name)
    assert leaf_of(found.serving) == leaf_of(serving)
    assert found.signer == before.signer


def test_a_lost_authority_comes_back_by_itself_and_restarts_what_is_listed_once(
    lives: Lives, storages: Storages, run_controller: RunController
) -> None:
    name = lives.create()
    consumer = lives.consumers[0]
    lives.api.create(DEPLOYMENTS, deployment("reads-it-at-start"), consumer)
    listed = [{"namespace": consumer, "name": "reads-it-at-start"}]
    lives.patch(name, {"spec": {"restartDeployments": listed}})

    def restarted_for() -> str | None:
        template = lives.api.get(DEPLOYMENTS, "reads-it-at-start", consumer)["spec"]["template"]
        annotations = template["metadata"].get("annotations") or {}
        return annotations.get(f"serving-ca.etcd.xmudrii.com/{name}")

    def signer() -> str:
        return f"{leaf_of(lives.api.get(SECRETS, *authority)).serial_number:x}"

    authority = f"etcd-ca-{name}", lives.namespace
    with run_controller():
        storages.await_condition(name, "CertificatesReady", "CertificatesDelivered")
        old = lives.delivered(name)
        assert restarted_for() is None
        lives.api.delete(SECRETS, authority[0], namespace=authority[1])
        eventually(lambda: lives.exists(SECRETS, authority[0]))
        eventually(lambda: restarted_for() == signer())
        assert lives.read(name).leaves == old.leaves
        assert signer() != f"{old.signer.serial_number:x}"
        lost = signer()
        lives.patch(name, rotating("now"))
        eventually(lambda: restarted_for() == signer() != lost)
        generation = lives.api.get(DEPLOYMENTS, "reads-it-at-start", consumer)["metadata"]
    with run_controller():
        lives.patch(name, {"spec": {"replicas": 2}})
        eventually(lambda: storages.get(name)["status"]["observedGeneration"] == 3)
    now = lives.api.get(DEPLOYMENTS, "reads-it-at-start", consumer)["metadata"]
    # Made, noted under the first authority, and restarted twice.
    assert now["generation"] == generation["generation"] == 4


@pytest.mark.parametrize("death", [Death(5, reached=True), Death(8, reached=False)])
def test_a_whole_controller_that_is_killed_is_followed_by_another(
    lives: Lives,
    control_plane: ControlPlane,
    storages: Storages,
    run_controller: RunController,
    death: Death,
) -> None:
    client = MortalClient(lives.config, death)
    given = options(control_plane, lives.namespace, "https://core.example:2379")
    controller = EtcdStorageController(
        client,
        given,
        clock=RealClock(),
        rng=random.Random(1),
        now=lambda: datetime.now(UTC),
        registry=CollectorRegistry(),
    )
    name = lives.create()
    assert not controller.run(threading.Event())
    assert client.dead.is_set()
    with run_controller():
        storages.await_condition(name, "CertificatesReady", "CertificatesDelivered")
    found = lives.delivered(name)
    for purpose, serials in issued(client.stored).items():
        assert serials == [found.serials[purpose]]


def has_secret(api: Client, namespace: str, secret: str) -> bool:
    return secret in [o["metadata"]["name"] for o in api.list(SECRETS, namespace)["items"]]


def let_in(control_plane: ControlPlane, namespace: str, *names: str) -> None:
    """Give the controller the Role of the manifest, for these names."""
    documents = [*yaml.safe_load_all(ROLE.read_text())]
    for rule, name in zip(documents[0]["rules"], names, strict=True):
        rule["resourceNames"] = [name]
    for document in documents:
        control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=document)


def delivered_to(lives: Lives, name: str) -> list[Any]:
    serving = lives.api.get(SECRETS, f"etcd-serving-{name}", lives.namespace)
    found: list[Any] = json.loads(serving["metadata"]["annotations"]["etcd.xmudrii.com/delivered"])
    return found


def deployment(name: str) -> Json:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "example.org/none"}]},
            },
        },
    }


class KubeletsGate:
    """A real gate, in the place of a pod; its folder holds what the kubelet would bring there."""

    def __init__(self, lives: Lives, pod: GatePod, folder: Path) -> None:
        self.storage = pod.gate.storage
        self._lives = lives
        self._pod = pod
        self._folder = folder
        self._version = ""

    def sync(self) -> None:
        """Bring the Secret as it is now."""
        secret = self._lives.api.get(
            SECRETS, f"etcd-serving-{self.storage}", self._lives.namespace
        )
        if secret["metadata"]["resourceVersion"] != self._version:
            self._version = secret["metadata"]["resourceVersion"]
            self._pod.write_serving(decoded_all(secret))

    def lets_in(self, namespace: str) -> bool:
        """Whether the consumer there can read with what it has got now."""
        api, name = self._lives.api, self.storage
        bundle = api.get(CONFIG_MAPS, f"{name}-ca", self._lives.consumers[1])
        pair = api.get(SECRETS, f"{name}-pair", namespace)
        if "data" not in pair:
            return False
        consumer = Consumer(self._folder)
        ca = bundle["data"]["serving-ca.crt"].encode()
        consumer.take({**decoded_all(pair), "ca.crt": ca})
        try:
            return read_k(self._pod, consumer.context(), f"etcd-{name}") == 0
        except TimeoutError:
            raise
        except OSError:
            return False


def decoded_all(secret: Json) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in secret["data"].items()}


@pytest.fixture
def gate(
    lives: Lives,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[KubeletsGate]:
    """A gate for a storage that is still to be made, at the address of its pod."""
    folder, parts = tmp_path_factory.mktemp("gate"), programs.ensure()
    name = f"served-{secrets.token_hex(3)}"
    try:
        with CoreEtcd(folder / "core", parts) as core:
            made = Gate(name, "Proxy", core.auth, core.urls, "of-the-kubelet", tls=True)
            with GatePod(folder / "pod", parts, made) as pod:
                served = partial(ServedCertificates, port=pod.gate.ports.probe)
                monkeypatch.setattr("controller.controller.ServedCertificates", served)
                yield KubeletsGate(lives, pod, folder / "consumer")
    finally:
        shutil.rmtree(folder)
