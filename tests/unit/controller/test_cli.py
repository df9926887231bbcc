"""The program around the controller: exit codes, signals, one line for a wrong kubeconfig."""

import gc
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from prometheus_client import CollectorRegistry, Gauge

from controller import cli
from controller.health import Check, Probes
from controller.options import CALL_TIMEOUT, Options, parse_options
from hack.cluster import ports
from tests.support.collector import same_thresholds
from workqueue import RealClock

_same_thresholds = pytest.fixture(autouse=True)(same_thresholds)

URL = ("-u", "https://core:2379")
SILENT = ("--metrics-bind-address", "0")

STANDING_IN = """
import sys, threading
from controller import cli
from controller.health import Probes
from controller.options import parse_options
from prometheus_client import CollectorRegistry
from workqueue import RealClock

class Client:
    server = "https://server"

class Controller:
    live_checks = ready_checks = {}
    def __init__(self, *_, **__):
        self.stop, self.failed = None, False
    def fail(self, why):
        self.failed = True
        self.stop.set()
    def run(self, stop):
        self.stop = stop
        print("running", flush=True)
        if "dying" in sys.argv:
            threading.Thread(target=lambda: 1 / 0, name="fragile").start()
        stop.wait()
        print("stopping", flush=True)
        if "stuck" in sys.argv:
            threading.Event().wait()
        return not self.failed

cli.EtcdStorageController = Controller
options = parse_options(["-u", "https://core", "--log-format", "json"], environment={})
cli.configure_logging("error", "json")
sys.exit(cli.run(Client(), options, RealClock(), CollectorRegistry(), Probes()))
"""
"""The program with nothing behind it: signals are of a process, not of a test."""


@pytest.fixture(autouse=True)
def _nothing_global(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the process's log as it is."""
    monkeypatch.setattr(cli, "configure_logging", lambda *_: None)


@contextmanager
def program(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """Start `STANDING_IN`; gives the process, once it runs, and its output."""
    command = [sys.executable, "-c", STANDING_IN, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
            yield process, process.stdout
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: int) -> None:
    with program() as (process, output):
        process.send_signal(number)
        assert process.wait(10) == 0
        assert output.read() == "stopping\n"


def test_a_second_signal_ends_it_at_once() -> None:
    with program("stuck") as (process, output):
        process.send_signal(signal.SIGTERM)
        assert output.readline() == "stopping\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 128 + signal.SIGINT


def test_a_thread_that_dies_ends_it_and_says_of_what() -> None:
    with program("dying") as (process, _):
        assert process.wait(10) == 1
        assert process.stderr is not None
        (line,) = [json.loads(line) for line in process.stderr]
    assert (line["event"], line["thread"]) == ("thread_died", "fragile")
    assert "ZeroDivisionError" in line["exception"]


class FakeClient:
    """Stands for the connection; the controller under it is a fake as well."""

    server = "https://server"

    def __init__(self, *_: Any, **__: Any) -> None:
        pass


@dataclass
class FakeConfig:
    """Of a server that nobody calls."""

    kubeconfig: str | None
    server: str = "https://server:6443"


class FakeController:
    """Ends at once."""

    healthy = True
    live_checks: Mapping[str, Check] = {}
    ready_checks: Mapping[str, Check] = {}

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def fail(self, why: str) -> None:
        raise AssertionError(why)

    def run(self, stop: threading.Event) -> bool:
        assert not stop.is_set()
        return self.healthy


@pytest.mark.parametrize(("healthy", "code"), [(True, 0), (False, 1)])
def test_a_thread_that_died_is_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    healthy: bool,  # noqa: FBT001 - a column of the table
    code: int,
) -> None:
    monkeypatch.setattr(FakeController, "healthy", healthy)
    monkeypatch.setattr(cli, "EtcdStorageController", FakeController)
    client: Any = FakeClient()
    options: Options = parse_options(URL, environment={})
    before = signal.getsignal(signal.SIGTERM), threading.enumerate(), threading.excepthook
    assert cli.run(client, options, RealClock(), CollectorRegistry(), Probes()) == code
    after = signal.getsignal(signal.SIGTERM), threading.enumerate(), threading.excepthook
    assert after == before


def test_main_gives_the_flags_to_what_it_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: dict[str, Any] = {}
    of_the_lease: dict[str, Any] = {}

    class Recorded(FakeClient):
        def __init__(self, config: Any, **options: Any) -> None:
            agent = options["user_agent"]
            kept = of_the_lease if agent.endswith("/leader-election") else started
            kept.update(config=config, **options)

    class Quiet(FakeController):
        def __new__(cls, _client: Any, options: Options, **_: Any) -> Self:
            started["options"] = options
            return super().__new__(cls)

    monkeypatch.setattr(cli, "load_config", FakeConfig)
    monkeypatch.setattr(cli, "Client", Recorded)
    monkeypatch.setattr(cli, "EtcdStorageController", Quiet)
    assert cli.main([*URL, *SILENT, "-k", str(tmp_path), "--workers", "7"]) == 0
    assert started["config"] == FakeConfig(str(tmp_path))
    assert started["options"].workers == 7
    # Fewer connections than threads that use them would make writers wait for each other.
    assert started["pool_size"] == 7 + 2
    assert started["timeout"] == CALL_TIMEOUT
    assert re.fullmatch(
        r"etcdproxy-controller/[\w.+]+ \(linux/\w+\) kubernetes/[0-9.]+", started["user_agent"]
    )
    assert started["throttle"] is None
    # Calls about the lease wait for no other, and one that hangs leaves time for another.
    assert of_the_lease["timeout"] == 5.0
    assert "throttle" not in of_the_lease
    assert of_the_lease["metrics"] is started["metrics"] is not None
    assert gc.get_threshold()[0] == 50_000


@pytest.mark.parametrize(("flags", "elects"), [([], True), (["--leader-elect=false"], False)])
def test_the_election_is_part_of_the_controller_and_of_its_health(
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    elects: bool,  # noqa: FBT001 - a column of the table
) -> None:
    electors: list[Any] = []

    class Quiet(FakeController):
        def __init__(self, *_: Any, elector: Any, **__: Any) -> None:
            electors.append(elector)

    monkeypatch.setattr(cli, "load_config", FakeConfig)
    monkeypatch.setattr(cli, "Client", FakeClient)
    monkeypatch.setattr(cli, "EtcdStorageController", Quiet)
    assert cli.main([*URL, *SILENT, *flags]) == 0
    assert [elector is not None for elector in electors] == [elects]


@pytest.mark.parametrize(
    ("flags", "limited"),
    [
        (["--kube-api-qps", "5"], True),
        (["--kube-api-qps", "5", "--kube-api-burst", "1"], True),
        (["--kube-api-qps", "0"], False),
        (["--kube-api-burst", "20"], False),
        (["--kube-api-qps", "5", "--kube-api-burst", "0"], False),
    ],
)
def test_requests_are_limited_if_both_flags_say_so(
    flags: list[str],
    limited: bool,  # noqa: FBT001 - a column of the table
) -> None:
    options = parse_options([*URL, *flags], environment={})
    assert (cli._throttle(options, RealClock()) is not None) == limited


def test_while_it_runs_its_metrics_are_served_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (port,) = ports.free(1)
    url = f"http://127.0.0.1:{port}/metrics"
    scraped: list[str] = []

    class Scraped(FakeController):
        def __init__(self, *_: Any, registry: CollectorRegistry, **__: Any) -> None:
            Gauge("of_the_controller", "Any", registry=registry)

        def run(self, stop: threading.Event) -> bool:
            with urllib.request.urlopen(url, timeout=10) as answer:
                scraped.append(answer.read().decode())
            return super().run(stop)

    monkeypatch.setattr(cli, "load_config", FakeConfig)
    monkeypatch.setattr(cli, "Client", FakeClient)
    monkeypatch.setattr(cli, "EtcdStorageController", Scraped)
    assert cli.main([*URL, "--metrics-bind-address", f"127.0.0.1:{port}"]) == 0
    assert "\nof_the_controller 0.0\n" in scraped[0]
    assert "\n# TYPE rest_client_requests_total counter\n" in scraped[0]
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(url, timeout=10)


def test_the_checks_of_the_controller_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = ports.free(1)
    codes: dict[str, int] = {}

    class Asked(FakeController):
        live_checks: Mapping[str, Check] = {"workers": lambda: None}
        ready_checks: Mapping[str, Check] = {"informers": lambda: "not yet"}

        def run(self, stop: threading.Event) -> bool:
            for page in ("healthz", "livez", "readyz"):
                try:
                    url = f"http://127.0.0.1:{port}/{page}"
                    codes[page] = urllib.request.urlopen(url, timeout=10).status
                except urllib.error.HTTPError as error:
                    with error:
                        codes[page] = error.code
            return super().run(stop)

    monkeypatch.setattr(cli, "load_config", FakeConfig)
    monkeypatch.setattr(cli, "Client", FakeClient)
    monkeypatch.setattr(cli, "EtcdStorageController", Asked)
    assert cli.main([*URL, "--metrics-bind-address", f"127.0.0.1:{port}"]) == 0
    assert codes == {"healthz": 200, "livez": 200, "readyz": 503}


def test_a_port_in_use_ends_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "load_config", FakeConfig)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert cli.main([*URL, "--metrics-bind-address", address]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("etcdproxy-controller: argument --metrics-bind-address: ")
    assert address.rpartition(":")[2] in err
    assert "in use" in err


@pytest.mark.parametrize("content", [None, "not: [closed", "{}", "apiVersion: v1\nkind: Config\n"])
def test_a_kubeconfig_that_cannot_be_used_is_one_line(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    assert cli.main([*URL, "--kubeconfig", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("etcdproxy-controller: argument --kubeconfig: ")
    assert str(path) in err
    assert err.count("\n") == 1


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("etcdproxy-controller ")
