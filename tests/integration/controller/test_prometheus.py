"""The program's metrics as operators read them: linted, and scraped by a real Prometheus."""

import json
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.resources import ETCD_STORAGES
from hack.cluster import binaries, ports
from hack.cluster.controlplane import ControlPlane
from hack.cluster.process import Process
from tests.integration.controller.conftest import Storages
from tests.integration.controller.test_program import Program
from tests.support.eventually import eventually

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


class Prometheus:
    """One that scrapes a target every second."""

    def __init__(self, folder: Path, target: str) -> None:
        (port,) = ports.free(1)
        scrape = {"job_name": "controller", "static_configs": [{"targets": [target]}]}
        times = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        file = folder / "prometheus.yaml"
        file.write_text(yaml.safe_dump({"global": times, "scrape_configs": [scrape]}))
        self._address = f"127.0.0.1:{port}"
        self._process = Process(
            "prometheus",
            [
                binaries.ensure("prometheus")["prometheus"],
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self._address}",
            ],
            folder,
        )

    @contextmanager
    def running(self) -> Iterator["Prometheus"]:
        self._process.start()
        try:
            eventually(self._is_ready, within=30, what="Prometheus to be ready")
            yield self
        finally:
            self._process.stop()

    def query(self, query: str) -> list[dict[str, Any]]:
        """Return the series and their present values."""
        answer = self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        found: list[dict[str, Any]] = json.loads(answer)["data"]["result"]
        return found

    def value(self, query: str) -> float | None:
        """Return the value of the only series, None if there is none."""
        found = self.query(query)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def _is_ready(self) -> bool:
        self._process.check()
        try:
            return bool(self._get("/-/ready"))
        except OSError:
            return False

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{self._address}{path}", timeout=10) as answer:
            body: bytes = answer.read()
            return body


def test_prometheus_has_the_series_of_a_storage_as_long_as_there_is_one(
    target: str, storages: Storages, tmp_path: Path
) -> None:
    with Prometheus(tmp_path, target).running() as prometheus:
        eventually(lambda: prometheus.value("up") == 1, within=30, every=0.1)
        storages.create(NAME, replicas=3)
        replicas = f'etcdproxy_storage_replicas{{storage="{NAME}"}}'
        eventually(lambda: prometheus.value(replicas) == 3, within=20, every=0.1)
        assert prometheus.value(f'etcdproxy_storage_ready{{storage="{NAME}"}}') == 0
        reconciles = 'sum(controller_runtime_reconcile_total{controller="etcdstorage"})'
        eventually(lambda: (prometheus.value(reconciles) or 0) > 0, within=20, every=0.1)
        assert prometheus.value("process_start_time_seconds")
        storages.api.delete(ETCD_STORAGES, NAME)
        about = f'{{storage="{NAME}"}}'
        eventually(lambda: prometheus.query(about) == [], within=20, every=0.1)
        assert prometheus.value("up") == 1


def test_the_linter_of_prometheus_has_nothing_to_say(target: str, storages: Storages) -> None:
    tls = {"clientCertSecret": [{"namespace": "nowhere", "name": "pair"}]}
    storages.create(NAME, **tls)

    def page() -> bytes:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
            body: bytes = answer.read()
            return body

    series = f'etcdproxy_certificate_failures_total{{kind="client",storage="{NAME}"}}'
    eventually(lambda: series.encode() in page(), what=series)
    lint = [binaries.ensure("check-metrics")["check-metrics"]]
    answer = subprocess.run(lint, input=page(), capture_output=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, b"", b"")
    wrong = b"# TYPE some counter\nsome 1\n"
    assert subprocess.run(lint, input=wrong, capture_output=True, check=False).returncode == 3
