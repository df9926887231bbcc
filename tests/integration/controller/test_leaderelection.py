"""Several programs beside each other on a real API server: one works, whatever becomes of it."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.options import PROGRAM
from controller.resources import EVENTS, LEASES
from hack.cluster.controlplane import ControlPlane
from informers import Client
from tests.integration.controller.conftest import Storages
from tests.integration.controller.test_program import (
    DEPLOYMENT,
    NAMESPACE,
    Program,
    kubeconfig_of,
)
from tests.support.eventually import PATIENCE, eventually
from tests.support.tcpproxy import TcpProxy

pytestmark = pytest.mark.long

SHORT = (
    "--leader-elect-lease-duration=10s",
    "--leader-elect-renew-deadline=6s",
    "--leader-elect-retry-period=300ms",
)
"""Shorter than by default, and long enough for who shares its processors with other tests."""

Start = Callable[..., Program]


@pytest.fixture
def start(
    control_plane: ControlPlane, crd: None, namespace: str, core_credentials: None
) -> Iterator[Start]:
    """Start a program in the namespace, with further flags; what runs in the end is killed."""
    started: list[Program] = []

    def begin(*flags: str, kubeconfig: Path | None = None) -> Program:
        given = (
            "--log-format=json",
            f"--kubeconfig={kubeconfig or control_plane.kubeconfig}",
            f"--namespace={namespace}",
            "--etcd-core-url=http://core.example:2379",
            "--metrics-bind-address=0",
        )
        started.append(Program([sys.executable, "-m", "controller", *given, *flags]))
        return started[-1]

    yield begin
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
            program.end()


def entries(program: Program, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in [*program.lines]]
    return [entry for entry in found if entry["event"] == event]


def leading(program: Program) -> bool:
    return program.process.poll() is None and bool(entries(program, "leading"))


def await_leader(*programs: Program) -> Program:
    """Wait until one of them leads, and all others stand by."""
    eventually(lambda: any(leading(program) for program in programs))
    (leader,) = [program for program in programs if leading(program)]
    return leader


def standing_by(program: Program, leader: Program) -> bool:
    """Whether it has seen who leads, all its caches filled."""
    (told,) = entries(leader, "leading")
    return told["identity"] in [one["leader"] for one in entries(program, "standing_by")]


def lease(api: Client, namespace: str) -> dict[str, Any]:
    spec: dict[str, Any] = api.get(LEASES, PROGRAM, namespace)["spec"]
    return spec


def test_of_three_one_works_and_an_orderly_stop_hands_over(
    start: Start, storages: Storages, api: Client, namespace: str
) -> None:
    left = [start() for _ in range(3)]
    for number in range(3):
        leader = await_leader(*left)
        others = [program for program in left if program is not leader]
        for other in others:
            eventually(partial(standing_by, other, leader))
        assert not any(entries(other, "leading") for other in others)
        spec = lease(api, namespace)
        assert spec["holderIdentity"] == entries(leader, "leading")[0]["identity"]
        assert (spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (15, number)
        storages.create(f"{namespace}-{number}")
        storages.await_condition(f"{namespace}-{number}", "Deployed", "EtcdProxyDeployed")
        assert leader.end(signal.SIGTERM)[0] == 0, leader.lines
        assert entries(leader, "lease_released")
        left = others
    spec = lease(api, namespace)
    assert (spec.get("holderIdentity") or "", spec["leaseDurationSeconds"]) == ("", 1)
    about = "involvedObject.kind=Lease"
    events = api.list(EVENTS, namespace, fieldSelector=about)["items"]
    told = [event["message"].split(maxsplit=1)[1] for event in events]
    assert sorted(told) == ["became leader"] * 3 + ["stopped leading"] * 3


def test_after_a_crash_another_takes_over_when_the_lease_ends(
    start: Start, storages: Storages, namespace: str
) -> None:
    first = start(*SHORT)
    assert await_leader(first) is first
    second = start(*SHORT)
    eventually(lambda: standing_by(second, first))
    first.end(signal.SIGKILL)
    storages.create(f"{namespace}-a")
    assert await_leader(second) is second
    storages.await_condition(f"{namespace}-a", "Deployed", "EtcdProxyDeployed")


def test_a_leader_that_is_cut_off_ends_before_another_begins(
    start: Start, control_plane: ControlPlane, tmp_path: Path
) -> None:
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    server = config["clusters"][0]["cluster"]["server"]
    host, _, port = server.removeprefix("https://").partition(":")
    with TcpProxy((host, int(port))) as proxy:
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
        kubeconfig = tmp_path / "through-the-proxy"
        kubeconfig.write_text(yaml.safe_dump(config))
        first = start(*SHORT, kubeconfig=kubeconfig)
        assert await_leader(first) is first
        second = start(*SHORT)
        eventually(lambda: standing_by(second, first))
        proxy.cut()
        assert first.process.wait(PATIENCE) == 1, first.lines
    assert await_leader(second) is second
    first.end()
    (lost,) = entries(first, "leadership_lost")
    assert lost["error"] == "not renewed within 6 s"
    assert entries(first, "stopped")[0]["timestamp"] < entries(second, "leading")[0]["timestamp"]


def test_a_leader_that_was_frozen_for_too_long_does_not_work_on(
    start: Start, storages: Storages, namespace: str
) -> None:
    first = start(*SHORT)
    assert await_leader(first) is first
    second = start(*SHORT)
    eventually(lambda: standing_by(second, first))
    first.process.send_signal(signal.SIGSTOP)
    eventually(lambda: leading(second))
    storages.create(f"{namespace}-a")
    storages.await_condition(f"{namespace}-a", "Deployed", "EtcdProxyDeployed")
    assert first.end(signal.SIGCONT)[0] == 1, first.lines
    assert entries(first, "leadership_lost")
    assert not entries(first, "reconciled")
    assert leading(second)


def test_the_lease_of_another_program_is_waited_for(
    start: Start, api: Client, namespace: str
) -> None:
    """Whoever holds it and for however long: this one may have been made by hand."""
    spec = {"holderIdentity": "somebody", "leaseDurationSeconds": 3600}
    kind = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
    api.create(LEASES, {**kind, "metadata": {"name": PROGRAM}, "spec": spec}, namespace)
    program = start(*SHORT)
    program.await_word('"standing_by"')
    api.delete(LEASES, PROGRAM, namespace=namespace)
    assert await_leader(program) is program
    assert program.end(signal.SIGTERM)[0] == 0


def test_the_deployments_rights_are_enough(
    start: Start, control_plane: ControlPlane, tmp_path: Path
) -> None:
    control_plane.kubectl("apply", "-f", str(DEPLOYMENT))
    control_plane.kubectl("delete", "deployment", "--all", "-n", NAMESPACE)
    flags = (f"--namespace={NAMESPACE}", *SHORT)
    program = start(*flags, kubeconfig=kubeconfig_of(control_plane, tmp_path))
    assert await_leader(program) is program
    assert program.end(signal.SIGTERM)[0] == 0
    assert entries(program, "lease_released")
    told = {json.loads(line)["event"] for line in program.lines}
    assert not told & {"cannot_watch", "event_not_sent", "lease_not_renewed"}


def test_without_an_election_it_works_at_once(start: Start, api: Client, namespace: str) -> None:
    program = start("--leader-elect=false")
    program.await_word('"synced"')
    assert program.end(signal.SIGTERM)[0] == 0
    assert api.list(LEASES, namespace)["items"] == []
