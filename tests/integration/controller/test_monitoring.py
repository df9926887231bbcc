"""artifacts/monitoring, as the real Prometheus and its tool take it."""

import base64
import json
import math
import re
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from controller.dataplane.gate import Gate
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, PODS, SECRETS
from hack.cluster import ports
from hack.cluster.controlplane import ControlPlane
from hack.dataplane import CoreEtcd, GatePod, programs
from informers import Client
from tests.integration.conftest import create_namespace
from tests.integration.controller.conftest import ARTIFACTS, Storages, core_ca, core_certs
from tests.integration.controller.test_program import (
    DEPLOYMENT,
    NAMESPACE,
    Program,
    kubeconfig_of,
)
from tests.support.eventually import eventually, none_left
from tests.support.objects import desired_of, read
from tests.support.prometheus import Prometheus, promtool

FOLDER = ARTIFACTS / "monitoring"
RULES = yaml.safe_load((FOLDER / "rules.yaml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
JOBS = yaml.safe_load((FOLDER / "scrape.yaml").read_text())["scrape_configs"]
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]

Json = dict[str, Any]


def objects(path: Path) -> list[Json]:
    return [*yaml.safe_load_all(path.read_text())]


def find(path: Path, kind: str) -> Json:
    (found,) = (obj for obj in objects(path) if obj["kind"] == kind)
    return found


# The rules.


def test_each_alert_fires_when_it_should() -> None:
    answer = promtool("test", "rules", str(FOLDER / "rules.test.yaml"))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert promtool("check", "rules", str(FOLDER / "rules.yaml")).returncode == 0


@pytest.mark.parametrize("alert", ALERTS)
def test_their_tests_notice_one_that_fires_later(tmp_path: Path, alert: str) -> None:
    rules = json.loads(json.dumps(RULES))
    for group in rules["groups"]:
        for rule in group["rules"]:
            if rule["alert"] == alert:
                rule["for"] = f"{int(rule['for'][:-1]) + 1}m"
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yaml").write_text((FOLDER / "rules.test.yaml").read_text())
    assert promtool("test", "rules", str(tmp_path / "test.yaml")).returncode == 1


def test_each_alert_says_what_is_wrong_how_bad_that_is_and_what_to_do() -> None:
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert rows == [(name, rule["labels"]["severity"]) for name, rule in ALERTS.items()]


def test_the_operators_rules_are_the_same() -> None:
    assert find(FOLDER / "etcdproxy-rules.yaml", "PrometheusRule")["spec"] == RULES


# The targets.


class Where(NamedTuple):
    """What a job asks, and where it looks for that."""

    namespace: str
    labels: str
    port: str
    storage: bool


def scraped(job: Json) -> Where:
    (found,) = job["kubernetes_sd_configs"]
    (selector,) = found["selectors"]
    relabelled = job["relabel_configs"]
    (port,) = (rule["regex"] for rule in relabelled if rule.get("action") == "keep")
    storage = any(rule.get("target_label") == "storage" for rule in relabelled)
    (namespace,) = found["namespaces"]["names"]
    return Where(namespace, selector["label"], port, storage)


def monitored(monitor: Json) -> Where:
    spec = monitor["spec"]
    (endpoint,) = spec.get("endpoints") or spec["podMetricsEndpoints"]
    labels = ",".join("=".join(pair) for pair in spec["selector"]["matchLabels"].items())
    targets = [rule["targetLabel"] for rule in endpoint.get("relabelings", ())]
    where = monitor["metadata"]["namespace"]
    return Where(where, labels, endpoint["port"], "storage" in targets)


def test_the_operators_monitors_ask_the_same() -> None:
    monitors = objects(FOLDER / "monitors.yaml")
    assert [monitored(monitor) for monitor in monitors] == [scraped(job) for job in JOBS]
    assert [monitor["metadata"]["name"] for monitor in monitors] == [j["job_name"] for j in JOBS]


def test_the_service_is_the_one_that_a_monitor_selects() -> None:
    service, deployment = (find(DEPLOYMENT, kind) for kind in ("Service", "Deployment"))
    monitor = find(FOLDER / "monitors.yaml", "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "etcdproxy-controller"
    (port,) = service["spec"]["ports"]
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    assert port["targetPort"] in [there["name"] for there in container["ports"]]


@pytest.fixture
def pods(control_plane: ControlPlane, api: Client) -> Iterator[None]:
    """Put a pod of each kind there, which says that it runs."""
    core = ARTIFACTS / "etcd/etcd.yaml"
    create_namespace(api, "etcd")
    control_plane.kubectl("apply", "-f", str(DEPLOYMENT), "-f", str(core))
    control_plane.kubectl("delete", "deployment", "--all", "-n", NAMESPACE)
    control_plane.kubectl("delete", "jobs", "--all", "-n", "etcd")
    templates = [
        find(DEPLOYMENT, "Deployment")["spec"]["template"],
        desired_of(read("foo")).replica_set["spec"]["template"],
    ]
    for number, template in enumerate(templates):
        pod = {**template, "apiVersion": "v1", "kind": "Pod"}
        pod["metadata"] = {**pod["metadata"], "name": f"scraped-{number}", "namespace": NAMESPACE}
        control_plane.kubectl("apply", "-f", "-", stdin=pod)
    places = [(NAMESPACE, "scraped-0"), (NAMESPACE, "scraped-1"), ("etcd", "core-etcd")]
    for number, (namespace, name) in enumerate(places):
        address = f"127.0.0.{number + 11}"
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
        api.patch(PODS, name, {"status": status}, namespace=namespace, subresource="status")
    yield
    for namespace, name in places:
        api.delete(PODS, name, namespace=namespace)
    control_plane.kubectl("delete", "namespace", "etcd", "--wait=false")


def test_a_prometheus_with_these_rights_finds_what_it_is_to_ask(
    control_plane: ControlPlane, pods: None, tmp_path: Path
) -> None:
    control_plane.kubectl("apply", "-f", str(FOLDER / "prometheus-role.yaml"))
    control_plane.kubectl("create", "namespace", "monitoring")
    control_plane.kubectl("create", "serviceaccount", "prometheus", "-n", "monitoring")
    account = {"account": "prometheus", "namespace": "monitoring"}
    kubeconfig = kubeconfig_of(control_plane, tmp_path, **account)
    jobs = json.loads(json.dumps(JOBS))
    for job in jobs:
        job["kubernetes_sd_configs"][0]["kubeconfig_file"] = str(kubeconfig)

    def found() -> dict[str, tuple[str, str | None, str]]:
        return {
            target["labels"]["job"]: (
                target["scrapeUrl"],
                target["labels"].get("storage"),
                target["labels"]["pod"],
            )
            for target in prometheus.targets()
        }

    with Prometheus(tmp_path, {"scrape_configs": jobs}).running() as prometheus:
        eventually(lambda: len(found()) == len(JOBS), every=0.1)
        assert found() == {
            "etcdproxy-controller": ("http://127.0.0.11:8080/metrics", None, "scraped-0"),
            "etcdproxy": ("http://127.0.0.12:2381/metrics", "foo", "scraped-1"),
            "etcd-core": ("http://127.0.0.13:2381/metrics", None, "core-etcd"),
        }
        assert len(prometheus.targets()) == len(JOBS)
    control_plane.kubectl("delete", "namespace", "monitoring", "--wait=false")


# The dashboard.


def filled_in(query: str) -> str:
    """Return the query as Grafana sends it, with all storages chosen."""
    return query.replace("$storage", ".*").replace("$__rate_interval", "20s")


def metrics(query: str) -> set[str]:
    return set(re.findall(r"\b[a-z]+_[a-z_]+(?=\{)", query)) | {"up"}


@pytest.fixture
def core(tmp_path: Path) -> Iterator[CoreEtcd]:
    with CoreEtcd(tmp_path / "core", programs.ensure(), tls=True) as running:
        yield running


@pytest.fixture
def gate(core: CoreEtcd, tmp_path: Path) -> Iterator[GatePod]:
    gate = Gate("foo", "Proxy", core.auth, core.urls, "token", tls=False)
    files = core.certificates.files(core.certificates.shared)
    with GatePod(tmp_path / "gate", programs.ensure(), gate, core=files) as running:
        yield running


@pytest.fixture
def fleet(storages: Storages) -> None:
    """Make a storage whose keys were counted before, and one that is being deleted."""
    pair = [{"namespace": "none", "name": "pair"}]
    storages.create("foo", replicas=1, clientCertSecret=pair)
    # The first count may take ten minutes.
    status = {"usage": {"keys": 1, "measuredAt": datetime.now(UTC).isoformat()}}
    storages.api.patch(ETCD_STORAGES, "foo", {"status": status}, subresource="status")
    storages.create("going", replicas=1)
    held = {"metadata": {"finalizers": ["example.org/held"]}}
    storages.api.patch(ETCD_STORAGES, "going", held)
    storages.api.delete(ETCD_STORAGES, "going")


@pytest.fixture
def credentials(core: CoreEtcd, api: Client, namespace: str) -> None:
    """What the controller, and each pod, reaches the core by."""
    authority, pair = core.certificates.authority, core.certificates.shared
    bundle = {"ca.pem": authority.cert_pem.decode()}
    api.create(CONFIG_MAPS, core_ca(namespace, **bundle), namespace)
    content = {"client.pem": pair.cert_pem, "client-key.pem": pair.key_pem}
    data = {key: base64.b64encode(value).decode() for key, value in content.items()}
    api.create(SECRETS, {**core_certs(namespace), "data": data}, namespace)


@pytest.fixture
def target(
    control_plane: ControlPlane, core: CoreEtcd, credentials: None, fleet: None, namespace: str
) -> Iterator[str]:
    """Give the address at which a controller, which leads, serves its metrics."""
    (port,) = ports.free(1)
    program = Program(
        [
            *(sys.executable, "-m", "controller", "--log-format=json"),
            f"--kubeconfig={control_plane.kubeconfig}",
            f"--namespace={namespace}",
            f"--etcd-core-url={core.url}",
            f"--metrics-bind-address=127.0.0.1:{port}",
        ]
    )
    try:
        program.await_word('"leading"')
        yield f"127.0.0.1:{port}"
    finally:
        program.end(signal.SIGTERM)


def test_every_query_of_the_dashboard_finds_something(
    target: str, core: CoreEtcd, gate: GatePod, storages: Storages, tmp_path: Path
) -> None:
    targets = {
        "etcdproxy-controller": (target, {}),
        "etcdproxy": (gate.probe_url.removeprefix("http://"), {"storage": "foo"}),
        "etcd-core": (core.metrics_url().removeprefix("http://"), {}),
    }
    assert targets.keys() == {job["job_name"] for job in JOBS}
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [address], "labels": labels}]}
        for name, (address, labels) in targets.items()
    ]
    config = {"scrape_configs": jobs, "rule_files": [str(FOLDER / "rules.yaml")]}
    tenant, turn = gate.etcdctl(), iter(range(10**6))

    def use() -> None:
        """As a storage, and a dashboard, that is used."""
        tenant.run("put", "key", "value")
        note = {"metadata": {"annotations": {"turn": str(next(turn))}}}
        storages.api.patch(ETCD_STORAGES, "foo", note)

    def empty() -> list[str]:
        use()
        names = {name for query in QUERIES for name in metrics(query)}
        absent = [name for name in names if not prometheus.query(name)]
        return absent + [query for query in QUERIES if not numbers(prometheus, query)]

    with Prometheus(tmp_path, config).running() as prometheus:
        none_left(empty, every=0.5)
        # The rules are for these very series.
        alerts = 'ALERTS{alertname="EtcdStorageDegraded",storage="foo"}'
        eventually(lambda: prometheus.query(alerts), every=0.5)


def numbers(prometheus: Prometheus, query: str) -> list[float]:
    found = prometheus.query(filled_in(query))
    values = [float(series["value"][1]) for series in found]
    return [value for value in values if not math.isnan(value)]
