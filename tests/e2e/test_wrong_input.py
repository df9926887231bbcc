"""What people get wrong, all of it at once on a real node: `doctor` names each, with what to do.

It comes last in its process, and leaves the controller as it is: with flags that cannot work.
"""

import base64
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.inspection.apiservices import API_SERVICES
from controller.inspection.pullfailures import findings as pull_failures
from controller.pki import Authority
from tests.e2e.product import ARTIFACTS, NAMESPACE, PATIENCE, Json, Product

pytestmark = [pytest.mark.usefixtures("network"), pytest.mark.timeout(600)]

STORAGE = "wrong"
CORE = "https://etcd-svc-2.etcd.svc:2379"
IMAGE = "localhost:1/envoy:none"
"""Of a registry that refuses connections, so that nothing is asked of anybody."""
ROLE = (f"-n{NAMESPACE}", "role/etcdproxy-controller-role")
API = "v1.wrong.example.com"
CRD = f"-f{ARTIFACTS / 'etcdstorage/crd.yaml'}"

Findings = list[dict[str, str]]


@pytest.fixture(scope="module")
def told(product: Product, network: None) -> Iterator[Findings]:
    """Give what doctor finds where all is wrong at once but for the CRD."""
    product.start(f"--etcd-core-url={CORE}", f"--gate-image={IMAGE}")
    product.create(STORAGE, replicas=1)
    rules = json.loads(product.kubectl("get", *ROLE, "-ojson"))["rules"]
    product.client.create(API_SERVICES, distrusted())
    product.await_(lambda: misses_image(product), "the kubelet gives up on the image")
    product.await_(lambda: "x509" in availability(product), "the API server distrusts it")
    give(product, [rule for rule in rules if "pods/eviction" not in rule["resources"]])
    yield examined(product)
    give(product, rules)
    product.client.delete(API_SERVICES, API)
    product.kubectl("delete", "--ignore-not-found", f"--timeout={PATIENCE}s", f"es/{STORAGE}")


def give(product: Product, rules: list[Json]) -> None:
    """Let the controller have these rights in its namespace."""
    patch = json.dumps({"rules": rules})
    product.kubectl("patch", *ROLE, "--type=merge", f"--patch={patch}")


def distrusted() -> Json:
    """An aggregated API whose server, the cluster's own, has another authority than it says."""
    validity, now = timedelta(days=1), datetime.now(UTC)
    stranger = Authority.create("somebody else", validity=validity, now=now)
    spec: dict[str, Any] = {
        "group": "wrong.example.com",
        "version": "v1",
        "groupPriorityMinimum": 1000,
        "versionPriority": 15,
        "service": {"namespace": "default", "name": "kubernetes", "port": 443},
        "caBundle": base64.b64encode(stranger.cert_pem).decode(),
    }
    kind = {"apiVersion": API_SERVICES.api_version, "kind": API_SERVICES.kind}
    return {**kind, "metadata": {"name": API}, "spec": spec}


def availability(product: Product) -> str:
    """Return what the API server says of the aggregated API."""
    status = product.client.get(API_SERVICES, API).get("status", {})
    return str(status.get("conditions"))


def misses_image(product: Product) -> bool:
    return any(one.todo for one in pull_failures(product.pods(STORAGE)))


def program(product: Product, *arguments: str) -> Any:
    """Run the controller's program beside the node, as an administrator."""
    kubeconfig = f"KUBECONFIG={product.node.kubeconfig}"
    root = f"PYTHONPATH={ARTIFACTS.parent}"
    command = ["env", root, kubeconfig, sys.executable, "-m", "controller", *arguments]
    return product.node.exec(command)


def examined(product: Product) -> Findings:
    """Return what doctor finds but for what is fine."""
    answer = program(product, "doctor", "--output=json")
    assert answer.returncode == 1, answer.stderr
    found: Findings = json.loads(answer.stdout)["findings"]
    assert all(one["todo"] for one in found if one["level"] == "FAIL")
    return [one for one in found if one["level"] != "OK"]


@pytest.fixture
def about(told: Findings) -> Callable[[str], dict[str, str]]:
    """Find what failed in one of the checks."""

    def found(check: str) -> dict[str, str]:
        (one,) = [o for o in told if (o["check"], o["level"]) == (check, "FAIL")]
        return one

    return found


About = Callable[[str], dict[str, str]]


def test_a_wrong_core_url_is_named_outside_and_inside(
    about: About, told: Findings, product: Product
) -> None:
    core = about("core etcd")
    assert core["what"] == f"{CORE}: Service etcd-svc-2 in namespace etcd does not exist"
    assert core["todo"] == "correct --etcd-core-url, or start the core etcd there"
    (asked,) = [o for o in told if (o["check"], o["level"]) == ("core etcd", "UNKNOWN")]
    command = shlex.split(asked["todo"].removeprefix("kubectl "))
    inside = product.node.kubectl(*command)
    assert inside.returncode == 1
    assert f"FAIL    core etcd: {CORE} does not answer here" in inside.stdout
    assert "-> is the core etcd up, and --etcd-core-url its URL?" in inside.stdout


def test_an_image_that_does_not_exist_is_named(about: About) -> None:
    images = about("images")
    assert f"{IMAGE}, of container gate in pod etcd-rs-{STORAGE}-" in images["what"]
    assert images["todo"] == "correct --gate-image, or bring the image to the nodes"


def test_a_missing_right_is_named(about: About) -> None:
    rights = about("rights")
    account = f"system:serviceaccount:{NAMESPACE}:etcdproxy-controller-sa"
    assert rights["what"] == f"{account} may not create pods/eviction in {NAMESPACE}"
    assert "kubectl apply -f artifacts/deployment/" in rights["todo"]


def test_a_wrong_authority_of_an_api_service_is_named(about: About) -> None:
    api = about("APIServices")
    assert api["what"].startswith(f"{API} is not available (FailedDiscoveryCheck): ")
    assert api["todo"] == (
        "put the authority that signed the certificate of default/kubernetes into spec.caBundle"
    )


def test_nothing_else_is_wrong(told: Findings) -> None:
    expected = {"core etcd", "images", "rights", "APIServices", "storages", "compaction"}
    assert {one["check"] for one in told} <= expected


def test_a_cluster_without_the_crd_is_named(told: Findings, product: Product) -> None:
    product.kubectl("delete", f"--timeout={PATIENCE}s", CRD)
    try:
        (found,) = [one for one in examined(product) if one["check"] == "CRD"]
        status = program(product, "status")
    finally:
        product.kubectl("apply", CRD)
    assert found["what"] == "etcdstorages.etcd.xmudrii.com is not installed"
    assert found["todo"] == "kubectl apply -f artifacts/etcdstorage/crd.yaml"
    assert (status.returncode, status.stdout) == (1, "")
    assert "the EtcdStorage CRD is not installed" in status.stderr
