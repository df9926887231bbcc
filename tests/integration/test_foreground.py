"""`python -m hack.cluster control-plane`, as a person at a terminal has it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hack.cluster import binaries, components
from hack.cluster.process import Process
from tests.support.eventually import PATIENCE


@dataclass(frozen=True, slots=True)
class Running:
    process: subprocess.Popen[str]
    kubeconfig: Path

    @property
    def programs(self) -> list[Process]:
        return Process.recorded(self.kubeconfig.parent)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """The command, after it has said that all is ready, with a cache of its own."""
    assets = tmp_path / "assets"
    assets.mkdir()
    for name, path in binaries.ensure(*components.CONTROL_PLANE).items():
        (assets / name).symlink_to(path)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    monkeypatch.setenv("ETCDPROXY_CACHE", str(tmp_path / "cache"))
    # Whoever started the tests may ignore Ctrl-C, as a shell has its background jobs do.
    command = ["env", "--default-signal=INT", sys.executable]
    command += ["-m", "hack.cluster", "control-plane"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        greeting = [process.stdout.readline() for _ in range(3)]
        assert greeting[1].startswith("export KUBECONFIG=")
        assert greeting[2].startswith("export PATH=")
        yield Running(process, Path(greeting[1].strip().partition("=")[2]))
        process.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_told_to_end_and_leaves_nothing(
    running: Running, how: signal.Signals
) -> None:
    kubectl = str(binaries.ensure("kubectl")["kubectl"])
    command = [kubectl, "get", "namespace", "default"]
    # kubectl keeps a cache in the home folder.
    home = str(running.kubeconfig.parent)
    environment = {"KUBECONFIG": str(running.kubeconfig), "HOME": home}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    programs = running.programs
    assert len(programs) == 3
    running.process.send_signal(how)
    assert running.process.wait(PATIENCE) == 0
    assert [program.alive for program in programs] == [False] * 3
    assert not running.kubeconfig.parent.exists()


def test_when_it_is_killed_its_programs_die(running: Running) -> None:
    programs = running.programs
    running.process.kill()
    assert [program.wait(PATIENCE) for program in programs] == [True] * 3


def test_when_one_of_the_programs_ends_it_says_so(running: Running) -> None:
    etcd = running.programs[-1]
    assert etcd.name == "etcd"
    etcd.stop(grace=0)
    assert running.process.wait(PATIENCE) == 1
    assert not running.kubeconfig.parent.exists()
