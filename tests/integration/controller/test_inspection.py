"""`status` and `doctor` on a real API server: each bad input is named, with what to do."""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.inspection.apiservices import API_SERVICES
from controller.pki import Authority, Leaf
from controller.resources import ETCD_STORAGES
from hack.cluster.controlplane import ControlPlane
from informers import Client
from tests.integration.conftest import await_account
from tests.integration.controller.conftest import CRD, Pods, Storages, establish
from tests.integration.controller.test_program import DEPLOYMENT, NAMESPACE
from tests.support.eventually import PATIENCE, eventually

Finding = dict[str, str]
Examine = Callable[..., list[Finding]]


def run(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command, *flags = arguments
    return subprocess.run(
        [sys.executable, "-m", "controller", command, f"--kubeconfig={kubeconfig}", *flags],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def examine(control_plane: ControlPlane) -> Examine:
    """Run doctor and return what it found but for what is fine, and that its code says so."""

    def examined(*flags: str, kubeconfig: Path = control_plane.kubeconfig) -> list[Finding]:
        answer = run(kubeconfig, "doctor", "--output=json", *flags)
        assert not answer.stderr
        found: list[Finding] = json.loads(answer.stdout)["findings"]
        failed = any(finding["level"] == "FAIL" for finding in found)
        assert answer.returncode == (1 if failed else 0)
        assert all(finding["todo"] for finding in found if finding["level"] == "FAIL")
        return [finding for finding in found if finding["level"] != "OK"]

    return examined


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane, api: Client, crd: None) -> Iterator[None]:
    """The manifests as they are, with credentials for a core; no kubelet runs the pods."""
    eventually(lambda: not api.list(ETCD_STORAGES)["items"])
    control_plane.kubectl("apply", "-f", str(DEPLOYMENT))
    await_account(api, NAMESPACE)
    now = datetime.now(UTC)
    authority = Authority.create("core", validity=timedelta(days=90), now=now)
    pair = authority.issue(Leaf(), validity=timedelta(days=60), now=now)
    content = {"client.pem": pair.cert_pem, "client-key.pem": pair.key_pem}
    data = {key: base64.b64encode(value).decode() for key, value in content.items()}
    bundle = {"ca.pem": authority.cert_pem.decode()}
    objects = [
        _object("ConfigMap", "etcd-coreserving-ca", data=bundle),
        _object("Secret", "etcd-coreserving-cert", data=data),
    ]
    for obj in objects:
        control_plane.kubectl("apply", "-f", "-", stdin=obj)
    yield
    control_plane.kubectl("delete", "-f", str(DEPLOYMENT), "--wait=false")
    eventually(
        lambda: not control_plane.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found"),
    )


def _object(kind: str, name: str, **content: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **content}


def about(findings: list[Finding], check: str) -> Finding:
    (found,) = [finding for finding in findings if finding["check"] == check]
    return found


def test_a_wrong_core_url_is_named(installed: None, examine: Examine) -> None:
    """That of the manifest: nothing answers there in this cluster."""
    found = [one for one in examine() if one["check"] == "core etcd"]
    assert [one["level"] for one in found] == ["FAIL", "UNKNOWN"]
    assert (
        "https://etcd-svc-1.etcd.svc:2379: Service etcd-svc-1 in namespace etcd"
        in (found[0]["what"])
    )
    assert "kubectl exec" in found[1]["todo"]


def test_all_else_of_the_manifests_is_fine(installed: None, examine: Examine) -> None:
    found = examine()
    assert {one["check"] for one in found} == {"controller", "core etcd", "compaction"}
    controller = about(found, "controller")
    assert controller["what"].startswith("Deployment etcdproxy-controller-deployment: 0 of ")


def test_missing_rights_are_named(
    installed: None, control_plane: ControlPlane, examine: Examine
) -> None:
    role = ("role/etcdproxy-controller-role", "-n", NAMESPACE)
    rules = control_plane.kubectl_json("get", *role)["rules"]
    kept = [rule for rule in rules if "secrets" not in rule["resources"]]
    control_plane.kubectl("patch", *role, "--type=merge", "-p", json.dumps({"rules": kept}))
    try:
        rights = about(examine(), "rights")
    finally:
        control_plane.kubectl("apply", "-f", str(DEPLOYMENT))
    assert rights["level"] == "FAIL"
    assert rights["what"] == (
        f"system:serviceaccount:{NAMESPACE}:etcdproxy-controller-sa may not"
        f" get, list, watch, create, patch secrets in {NAMESPACE}"
    )
    assert "00-etcdproxy-controller.yaml" in rights["todo"]


def test_an_image_that_does_not_exist_is_named(
    installed: None, control_plane: ControlPlane, api: Client, examine: Examine
) -> None:
    spec = {"containers": [{"name": "gate", "image": "example.org/none:1"}]}
    secured = {**spec["containers"][0], "securityContext": _RESTRICTED}
    pod = _object("Pod", "no-image", spec={"containers": [secured]})
    control_plane.kubectl("create", "-f", "-", stdin=pod)
    try:
        state = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
        told = {"name": "gate", "image": "example.org/none:1", "state": state}
        container = {**told, "imageID": "", "ready": False, "restartCount": 0}
        patch = json.dumps({"status": {"containerStatuses": [container]}})
        where = ("pod/no-image", "-n", NAMESPACE, "--subresource=status", "--type=merge")
        control_plane.kubectl("patch", *where, "-p", patch)
        images = about(examine(), "images")
    finally:
        control_plane.kubectl("delete", "pod/no-image", "-n", NAMESPACE, "--force")
    assert images["level"] == "FAIL"
    assert images["what"] == (
        "ImagePullBackOff: example.org/none:1, of container gate in pod no-image"
    )
    assert "--gate-image" in images["todo"]


_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_an_api_service_with_a_wrong_authority_is_named(
    installed: None, control_plane: ControlPlane, api: Client, examine: Examine
) -> None:
    """The aggregated server is the API server itself, found by an external name."""
    port = control_plane.settings.ports.apiserver
    service = _object("Service", "aggregated")
    service["spec"] = {"type": "ExternalName", "externalName": "localhost"}
    control_plane.kubectl("create", "-f", "-", stdin=service)
    now = datetime.now(UTC)
    stranger = Authority.create("somebody else", validity=timedelta(days=1), now=now)
    name = "v1.aggregated.example.com"
    spec = {
        "group": "aggregated.example.com",
        "version": "v1",
        "groupPriorityMinimum": 1000,
        "versionPriority": 15,
        "service": {"namespace": NAMESPACE, "name": "aggregated", "port": port},
        "caBundle": base64.b64encode(stranger.cert_pem).decode(),
    }
    body = {"apiVersion": API_SERVICES.api_version, "kind": API_SERVICES.kind}
    api.create(API_SERVICES, {**body, "metadata": {"name": name}, "spec": spec})

    def refused() -> bool:
        conditions = api.get(API_SERVICES, name).get("status", {}).get("conditions", [])
        return any("x509" in one.get("message", "") for one in conditions)

    try:
        eventually(refused, what="the API server to distrust it")
        told = about(examine(), "APIServices")
    finally:
        api.delete(API_SERVICES, name)
        control_plane.kubectl("delete", "service/aggregated", "-n", NAMESPACE)
    assert told["level"] == "FAIL"
    assert name in told["what"]
    assert told["todo"] == (
        f"put the authority that signed the certificate of {NAMESPACE}/aggregated into"
        " spec.caBundle"
    )


def test_who_may_nothing_is_told_what_is_unknown(
    installed: None, control_plane: ControlPlane, examine: Examine
) -> None:
    found = examine(kubeconfig=control_plane.kubeconfig_for("nobody"))
    assert {one["level"] for one in found} == {"UNKNOWN"}
    assert "cannot list resource" in about(found, "CRD")["what"]


def test_a_cluster_without_the_crd_is_named(
    installed: None, control_plane: ControlPlane, api: Client, examine: Examine
) -> None:
    control_plane.kubectl("delete", "-f", str(CRD))
    try:
        found = about(examine(), "CRD")
        answer = run(control_plane.kubeconfig, "status")
    finally:
        establish(control_plane, api)
    assert (found["level"], found["todo"]) == (
        "FAIL",
        "kubectl apply -f artifacts/etcdstorage/crd.yaml",
    )
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == (
        "etcdproxy-controller status: the EtcdStorage CRD is not installed:"
        " run `etcdproxy-controller doctor`\n"
    )


@pytest.fixture(scope="module")
def metrics_server(control_plane: ControlPlane) -> Iterator[None]:
    """PodMetrics of which a test says what they are: no kubelet measures anything here."""
    name = "pods.metrics.k8s.io"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1beta1", "served": True, "storage": True}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": name,
            "annotations": {"api-approved.kubernetes.io": "unapproved, of a test"},
        },
        "spec": {
            "group": "metrics.k8s.io",
            "scope": "Namespaced",
            "names": {"plural": "pods", "kind": "PodMetrics"},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    control_plane.kubectl("create", "-f", "-", stdin=crd)
    control_plane.kubectl("wait", "--for=condition=Established", f"crd/{name}")
    yield
    control_plane.kubectl("delete", f"crd/{name}")


def test_status_lists_storages_with_what_they_take(
    metrics_server: None,
    storages: Storages,
    pods: Pods,
    core_credentials: None,
    run_controller: Any,
    control_plane: ControlPlane,
    namespace: str,
) -> None:
    with run_controller():
        storages.create("told", replicas=1)
        eventually(lambda: len(pods.of("told")) == 1)
        pods.make_ready("told")
        storages.await_condition("told", "Ready", "PodsReady")
    (pod,) = pods.of("told")
    measured = {
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "PodMetrics",
        "metadata": {"name": pod["metadata"]["name"], "namespace": namespace},
        "containers": [
            {"name": "gate", "usage": {"memory": "68Mi"}},
            {"name": "etcdproxy", "usage": {"memory": "24576Ki"}},
        ],
    }
    control_plane.kubectl("create", "-f", "-", stdin=measured)
    answer = run(control_plane.kubeconfig, "status", f"--namespace={namespace}")
    assert (answer.returncode, answer.stderr) == (0, "")
    header, line = answer.stdout.splitlines()
    row = dict(zip(header.split(), line.split(), strict=True))
    assert row == {
        "NAME": "told",
        "MODE": "Proxy",
        "ISOLATION": "Gate",
        "ENDPOINT": f"http://etcd-told.{namespace}.svc:2379",
        "PODS": "1/1",
        "MEMORY": "92Mi",
        "CERTS": "-",
        "KEYS": "-",
        "TROUBLE": "-",
    }
    told = json.loads(run(control_plane.kubeconfig, "status", "-ojson", f"-n{namespace}").stdout)
    assert told["storages"][0]["memoryBytes"] == 92 << 20


def test_a_watch_tells_of_each_change_until_ctrl_c(
    storages: Storages, control_plane: ControlPlane, tmp_path: Path
) -> None:
    storages.create("first")
    out = tmp_path / "out"
    with out.open("w") as file:
        watch = subprocess.Popen(
            [
                # As a shell has its background jobs do, who started the tests may ignore Ctrl-C.
                *("env", "--default-signal=INT"),
                *(sys.executable, "-m", "controller", "status", "--watch"),
                f"--kubeconfig={control_plane.kubeconfig}",
            ],
            stdout=file,
            stderr=subprocess.PIPE,
        )
    try:
        eventually(lambda: "first" in out.read_text())
        storages.create("second")
        eventually(lambda: "second" in out.read_text())
        control_plane.kubectl("delete", "etcdstorage/second")
        eventually(lambda: "Gone: it was deleted" in out.read_text())
        watch.send_signal(signal.SIGINT)
        _, said = watch.communicate(timeout=PATIENCE)
    finally:
        watch.kill()
        watch.wait()
    assert (watch.returncode, said) == (130, b"")
    assert [line.split()[0] for line in out.read_text().splitlines()] == [
        *("NAME", "first", "second", "second"),
    ]
