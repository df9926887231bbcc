"""A real Prometheus, and its tool, for what is read by them."""

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import binaries, ports
from hack.cluster.process import Process
from tests.support.eventually import PATIENCE, eventually

_TIMES = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}


def promtool(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run promtool, whatever it says."""
    command = [str(binaries.ensure("promtool")["promtool"]), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


class Prometheus:
    """One that scrapes and judges every second; the rest of its configuration is given."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        (port,) = ports.free(1)
        file = folder / "prometheus.yaml"
        file.write_text(yaml.safe_dump({"global": _TIMES, **config}))
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
            eventually(self._is_ready, what="Prometheus to be ready")
            yield self
        finally:
            self._process.stop()

    def query(self, query: str) -> list[dict[str, Any]]:
        """Return the series and their present values."""
        found: list[dict[str, Any]] = self._data(f"query?{_encoded(query)}")["result"]
        return found

    def value(self, query: str) -> float | None:
        """Return the value of the only series, None if there is none."""
        found = self.query(query)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def targets(self) -> list[dict[str, Any]]:
        """Return what it scrapes, with `labels`, `scrapeUrl` and so on."""
        found: list[dict[str, Any]] = self._data("targets?state=active")["activeTargets"]
        return found

    def _data(self, path: str) -> Any:
        return json.loads(self._get(f"/api/v1/{path}"))["data"]

    def _is_ready(self) -> bool:
        self._process.check()
        try:
            return bool(self._get("/-/ready"))
        except OSError:
            return False

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{self._address}{path}", timeout=PATIENCE) as answer:
            body: bytes = answer.read()
            return body


def _encoded(query: str) -> str:
    return urllib.parse.urlencode({"query": query})
