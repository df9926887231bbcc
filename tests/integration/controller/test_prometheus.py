"""The program's metrics as operators read them: linted, and scraped by a real Prometheus."""

import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.resources import ETCD_STORAGES
from hack.cluster import ports
from hack.cluster.controlplane import ControlPlane
from tests.integration.controller.conftest import Storages
from tests.integration.controller.test_program import Program
from tests.support.eventually import PATIENCE, eventually
from tests.support.prometheus import Prometheus, promtool

NAME = "scraped"


@pytest.fixture
def target(control_plane: ControlPlane, crd: None, namespace: str) -> Iterator[str]:
    """Give the address at which a program serves its metrics."""
    (port,) = ports.free(1)
    program = Program(
        [
            *(sys.executable, "-m", "controller", "--log-format=json"),
            f"--kubeconfig={control_plane.kubeconfig}",
            f"--namespace={namespace}",
            "--etcd-core-url=http://core.example:2379",
            f"--metrics-bind-address=127.0.0.1:{port}",
        ]
    )
    try:
        program.await_word('"synced"')
        yield f"127.0.0.1:{port}"
    finally:
        code, _ = program.end(signal.SIGTERM)
    assert code == 0


def scraping(target: str) -> dict[str, Any]:
    return {
        "scrape_configs": [
            {"job_name": "controller", "static_configs": [{"targets": [target]}]},
        ]
    }


def test_prometheus_has_the_series_of_a_storage_as_long_as_there_is_one(
    target: str, storages: Storages, tmp_path: Path
) -> None:
    with Prometheus(tmp_path, scraping(target)).running() as prometheus:
        eventually(lambda: prometheus.value("up") == 1, every=0.1)
        storages.create(NAME, replicas=3)
        replicas = f'etcdproxy_storage_replicas{{storage="{NAME}"}}'
        eventually(lambda: prometheus.value(replicas) == 3, every=0.1)
        ready = f'etcdproxy_storage_ready{{storage="{NAME}"}}'
        # A scrape may fail for lack of time, and then there is none for a second.
        eventually(lambda: prometheus.value(ready) == 0, every=0.1)
        reconciles = 'sum(controller_runtime_reconcile_total{controller="etcdstorage"})'
        eventually(lambda: (prometheus.value(reconciles) or 0) > 0, every=0.1)
        eventually(lambda: prometheus.value("process_start_time_seconds"), every=0.1)
        storages.api.delete(ETCD_STORAGES, NAME)
        about = f'{{storage="{NAME}"}}'
        eventually(lambda: prometheus.query(about) == [], every=0.1)
        eventually(lambda: prometheus.value("up") == 1, every=0.1)
        assert prometheus.query(about) == []


def test_the_linter_of_prometheus_has_nothing_to_say(target: str, storages: Storages) -> None:
    tls = {"clientCertSecret": [{"namespace": "nowhere", "name": "pair"}]}
    storages.create(NAME, **tls)

    def page() -> bytes:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=PATIENCE) as answer:
            body: bytes = answer.read()
            return body

    series = f'etcdproxy_certificate_failures_total{{kind="client",storage="{NAME}"}}'
    eventually(lambda: series.encode() in page(), what=series)
    answer = promtool("check", "metrics", stdin=page())
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, b"", b"")
    wrong = b"# TYPE some counter\nsome 1\n"
    assert promtool("check", "metrics", stdin=wrong).returncode == 3
