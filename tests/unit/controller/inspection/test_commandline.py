"""Flags, exit codes, and where what is printed goes."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from controller.inspection import commandline, doctor, listing
from controller.inspection.commandline import inspect
from controller.inspection.rows import Row
from controller.program import INSPECTIONS
from hack.cluster import ports
from tests.support.kubeconfig import kubeconfig

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _nothing_global(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the process's log as it is."""
    monkeypatch.setattr(commandline, "configure_logging", lambda *_: None)


def code_of(*arguments: str) -> int:
    try:
        return inspect(arguments, environment={}, service_account=Path("/nonexistent"))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else -1


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    """A kubeconfig of a server that does not listen."""
    server = f"https://127.0.0.1:{ports.free(1)[0]}"
    return kubeconfig(tmp_path, cluster={"server": server, "insecure-skip-tls-verify": True})


@pytest.mark.parametrize("command", INSPECTIONS)
def test_a_missing_kubeconfig_is_one_line_and_code_2(
    command: str, tmp_path: Path, capsys: Captured
) -> None:
    missing = tmp_path / "none"
    assert code_of(command, f"--kubeconfig={missing}") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"etcdproxy-controller {command}: argument --kubeconfig: " in said
    assert f"{missing}: no such file" in said


@pytest.mark.parametrize("command", INSPECTIONS)
def test_a_wrong_flag_is_one_line_and_code_2(command: str, capsys: Captured) -> None:
    assert code_of(command, "--output=yaml") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--output" in said


def test_a_server_that_is_away_is_one_line_of_status(nowhere: str, capsys: Captured) -> None:
    assert code_of("status", f"--kubeconfig={nowhere}") == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "Connection refused" in said.err
    assert not said.out


def test_a_server_that_is_away_is_the_only_finding(nowhere: str, capsys: Captured) -> None:
    assert code_of("doctor", f"--kubeconfig={nowhere}", "-o", "json") == 1
    (only,) = json.loads(capsys.readouterr().out)["findings"]
    assert (only["level"], only["check"]) == ("FAIL", "API server")
    assert "Connection refused" in only["what"]


def test_another_context_is_asked_by_name(tmp_path: Path, capsys: Captured) -> None:
    away, there = (f"https://127.0.0.1:{port}" for port in ports.free(2))
    config = kubeconfig(
        tmp_path,
        contexts=[{"name": n, "context": {"cluster": n, "user": "u"}} for n in ("here", "there")],
        clusters=[
            {"name": "here", "cluster": {"server": away}},
            {"name": "there", "cluster": {"server": there}},
        ],
    )
    assert code_of("status", f"--kubeconfig={config}", "--context=there") == 1
    assert f"{there}: " in capsys.readouterr().err
    assert code_of("doctor", f"--kubeconfig={config}", "--context=nowhere") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "nowhere" in said


def test_a_pod_without_a_kubeconfig_has_no_contexts(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "token").write_text("abc")
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    with pytest.raises(SystemExit) as ended:
        inspect(["status", "--context=a"], environment=pod, service_account=tmp_path)
    assert ended.value.code == 2
    assert "argument --context: " in capsys.readouterr().err


def test_ctrl_c_ends_a_plugin_that_asks_and_waits(
    nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commandline, "load_config", interrupted)
    assert code_of("doctor", f"--kubeconfig={nowhere}") == 130


def test_a_full_disk_is_one_line(nowhere: str) -> None:
    command = [sys.executable, "-m", "controller", "doctor", f"--kubeconfig={nowhere}"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr == "etcdproxy-controller doctor: No space left on device\n"


def test_flags_of_the_controller_come_after_two_dashes() -> None:
    parser = commandline._parser("doctor", {}, Path("/nonexistent"))
    given = parser.parse_args(["-u", "http://a:1,http://b:1", "--", "--etcd-core-url=http://c"])
    assert given.flags == ["--etcd-core-url=http://c"]
    assert given.etcd_core_url == ["http://a:1", "http://b:1"]
    assert parser.parse_args([]).namespace == "kube-apiserver-storage"


def test_ctrl_c_ends_it_as_a_shell_expects(nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> list[Row]:
        raise KeyboardInterrupt

    monkeypatch.setattr(listing, "read", interrupted)
    assert code_of("status", f"--kubeconfig={nowhere}", "--watch") == 130


def test_no_colour_goes_into_a_file(
    nowhere: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert code_of("doctor", f"--kubeconfig={nowhere}") == 1
    assert "\033" not in capsys.readouterr().out
    shown: list[bool] = []

    def text(findings: object, out: object, *, colour: bool) -> int:
        shown.append(colour)
        return 0

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(doctor, "print_text", text)
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert code_of("doctor", f"--kubeconfig={nowhere}") == 0
    assert shown == [True]
