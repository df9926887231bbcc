"""Starts what is measured, each in a process of its own and on one processor if that is asked."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from hack.bench.measured import Measured
from hack.cluster.errors import ClusterError
from informers.mutation import SWITCH

_TIMEOUT = 120.0
"""Seconds; the slowest, the official watch, takes some ten."""


class SubjectError(ClusterError):
    """A measured program failed; the message carries what it said."""


def ours(kubeconfig: Path, events: int = 0) -> list[str]:
    return [sys.executable, "-m", "hack.bench.ours", str(kubeconfig), str(events)]


def official(kubeconfig: Path, objects: int, events: int = 0) -> list[str]:
    return [sys.executable, "-m", "hack.bench.official", *map(str, (kubeconfig, objects, events))]


def client_go(program: Path, kubeconfig: Path, events: int = 0) -> list[str]:
    """It speaks JSON when events are to be counted: others have no other stream."""
    plain = ["--json"] if events else []
    return [str(program), f"--kubeconfig={kubeconfig}", f"--events={events}", *plain]


def run(command: Sequence[str], *, processor: int | None = None) -> Measured:
    """Run one to its end, on `processor` alone if there is one; raises SubjectError."""
    pinned = () if processor is None else ("taskset", "--cpu-list", str(processor))
    return Measured.parse(output([*pinned, *command]))


def output(command: Sequence[str]) -> str:
    """What a measured program prints, as it runs in production; raises SubjectError."""
    try:
        answer = subprocess.run(
            command,
            # It copies all objects, to compare them.
            env={**os.environ, SWITCH: "false"},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise SubjectError(f"{' '.join(command)}:\n{error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise SubjectError(f"{' '.join(command)}: not done in {_TIMEOUT:.0f} s") from error
    return answer.stdout


def processors() -> tuple[int, int]:
    """One for the replay server and one for what is measured; the same if there is but one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


@contextmanager
def replayed(events: int, folder: Path, processor: int) -> Iterator[Path]:
    """Run a replay server; gives a kubeconfig of it, in `folder`."""
    command = [sys.executable, "-m", "hack.bench.replay", str(events)]
    server = subprocess.Popen(
        ["taskset", "--cpu-list", str(processor), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            assert server.stdout is not None  # noqa: S101 - for the type checker
            kubeconfig = folder / "replay.kubeconfig"
            kubeconfig.write_text(kubeconfig_of(server.stdout.readline().strip()))
            yield kubeconfig
        finally:
            server.kill()


def kubeconfig_of(url: str) -> str:
    """The text of a kubeconfig for a server that asks for no credentials."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": url}}],
            "users": [{"name": "it", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        }
    )
