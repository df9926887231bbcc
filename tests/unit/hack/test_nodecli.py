import argparse
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import needs, nodecli
from hack.cluster.node import NodeError


class Became(Exception):  # noqa: N818 - it is no error to become another program
    """Carries the program and its arguments."""


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class StandIn:
        folder = tmp_path

        def entering(self, argv: list[str]) -> list[str]:
            return ["enter", *argv]

        def kubectl_command(self, *arguments: str) -> list[str]:
            return ["kubectl", *arguments]

    def become(argv: list[str]) -> None:
        raise Became(argv)

    monkeypatch.setattr(nodecli, "Node", StandIn)
    monkeypatch.setattr(nodecli, "_become", become)
    monkeypatch.setattr(needs, "check_root", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO())


def call(*arguments: str) -> Any:
    parser = argparse.ArgumentParser()
    nodecli.add(parser.add_subparsers(required=True))
    options = parser.parse_args(arguments)
    return options.run(options)


def program_of(*arguments: str) -> list[str]:
    with pytest.raises(Became) as caught:
        call(*arguments)
    argv: list[str] = caught.value.args[0]
    return argv


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", "pods", "-A"],
        ["-n", "kube-system", "get", "svc"],
        ["--help"],
        ["exec", "-it", "pod", "--", "sh", "-c", "echo --"],
    ],
)
def test_kubectl_gets_every_argument(arguments: list[str]) -> None:
    assert program_of("kubectl", *arguments) == ["enter", "kubectl", *arguments]


@pytest.mark.parametrize("separator", [["--"], []])
def test_exec(separator: list[str]) -> None:
    argv = program_of("exec", "etcd/core-etcd", *separator, "etcdctl", "get", "--prefix", "")
    assert argv == [
        *("enter", "kubectl", "exec", "--namespace=etcd", "--stdin", "core-etcd"),
        *("--", "etcdctl", "get", "--prefix", ""),
    ]


def test_exec_in_the_default_namespace() -> None:
    assert program_of("exec", "client", "--", "sh")[3] == "--namespace=default"


def test_exec_with_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert program_of("exec", "client", "--", "sh")[4:6] == ["--stdin", "--tty"]


def test_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("kubelet", "etcd"):
        (tmp_path / f"{name}.log").touch()
    assert call("logs") == 0
    assert capsys.readouterr().out == "etcd\nkubelet\n"
    with pytest.raises(NodeError, match="no log of x; there are: etcd, kubelet"):
        call("logs", "x")
    log = str(tmp_path / "kubelet.log")
    assert program_of("logs", "kubelet") == ["tail", "--lines=100", log]
    assert program_of("logs", "kubelet", "-f") == ["tail", "--lines=100", "--follow", log]
