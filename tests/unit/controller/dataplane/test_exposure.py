"""Service, network policy and disruption budget, as pure functions of a storage."""

from pathlib import Path
from typing import Any

import yaml

from controller.dataplane.exposure import disruption_budget, network_policy, service
from controller.dataplane.pods import PORTS
from controller.ownership import STORAGE_LABEL
from tests.support.objects import NAMESPACE, read

DEPLOYMENT = Path(__file__).parents[4] / "artifacts/deployment/00-etcdproxy-controller.yaml"
ONLY_ITS_PODS = {STORAGE_LABEL: "tenant"}
STORAGE = read("tenant")


def sources(rule: dict[str, Any]) -> list[dict[str, str]] | None:
    """The labels of the namespaces, or of pods of ours, that a rule lets in; None: it lets in all.

    A peer with both selectors would let in some pods of some namespaces.
    """
    if "from" not in rule:
        return None
    return [selector["matchLabels"] for peer in rule["from"] for selector in [*peer.values()]]


def test_all_three_have_one_name_one_namespace_and_our_labels() -> None:
    for made in (service, network_policy, disruption_budget):
        metadata = made(STORAGE, NAMESPACE)["metadata"]
        assert (metadata["name"], metadata["namespace"]) == ("etcd-tenant", NAMESPACE)
        assert ONLY_ITS_PODS.items() <= metadata["labels"].items()


def test_the_service_selects_the_pods_of_its_storage_alone() -> None:
    spec = service(STORAGE, NAMESPACE)["spec"]
    assert spec["selector"] == ONLY_ITS_PODS
    assert spec["ports"] == [
        {"name": "etcd", "port": 2379, "targetPort": "etcd", "protocol": "TCP"}
    ]


def test_the_budget_lets_one_pod_go_and_whatever_serves_nobody() -> None:
    assert disruption_budget(STORAGE, NAMESPACE)["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": ONLY_ITS_PODS},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def test_without_consumers_anybody_may_be_one_but_probes_are_for_scraper_and_controller() -> None:
    spec = network_policy(STORAGE, NAMESPACE)["spec"]
    assert spec["podSelector"] == {"matchLabels": ONLY_ITS_PODS}
    assert spec["policyTypes"] == ["Ingress"]
    clients, scraper = spec["ingress"]
    assert sources(clients) is None
    assert scraper["from"] == [
        {"namespaceSelector": {"matchLabels": {"etcd.xmudrii.com/metrics": "true"}}},
        {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "etcdproxy-controller"}}},
    ]
    assert clients["ports"] == [{"port": PORTS.ingress, "protocol": "TCP"}]
    assert scraper["ports"] == [{"port": PORTS.probe, "protocol": "TCP"}]


def test_the_controllers_pods_are_those_of_our_deployment() -> None:
    objects = yaml.safe_load_all(DEPLOYMENT.read_text())
    [deployment] = [obj for obj in objects if obj["kind"] == "Deployment"]
    _, probes = network_policy(STORAGE, NAMESPACE)["spec"]["ingress"]
    label = probes["from"][1]["podSelector"]["matchLabels"]
    assert label.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_listed_consumers_are_let_in_by_their_namespaces_each_once_and_nobody_else() -> None:
    storage = read(
        caCertConfigMap=[{"name": "a", "namespace": "two"}, {"name": "b", "namespace": "one"}],
        clientCertSecret=[{"name": "c", "namespace": "two"}],
    )
    clients, _ = network_policy(storage, NAMESPACE)["spec"]["ingress"]
    assert sources(clients) == [
        {"kubernetes.io/metadata.name": "one"},
        {"kubernetes.io/metadata.name": "two"},
    ]
