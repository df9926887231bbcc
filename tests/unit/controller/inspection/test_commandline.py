"""Flags, exit codes, and where what is printed goes."""

import io
import json
from pathlib import Path

import pytest

from controller import cli
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


def test_the_program_leads_there_and_is_itself_without(nowhere: str, capsys: Captured) -> None:
    assert cli.main(["status", f"--kubeconfig={nowhere}"]) == 1
    with pytest.raises(SystemExit) as ended:
        cli.main(["--workers=none", "status"])
    assert ended.value.code == 2
    assert "--workers" in capsys.readouterr().err
