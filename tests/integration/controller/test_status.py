"""The status on the real API server: soon, true, and without a flutter."""

import threading
import time
from typing import Any

import pytest

from controller.reporting import Reporter
from controller.resources import PODS
from hack.cluster.controlplane import ControlPlane
from informers import Client
from tests.integration.controller.conftest import Pods, RunController, Storages
from tests.support.eventually import eventually

Json = dict[str, Any]

pytestmark = pytest.mark.long


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, tuple[str, str]]]]:
    """Return every status that is written from now on: whose, and its conditions."""
    found: list[tuple[str, dict[str, tuple[str, str]]]] = []
    write = Reporter._write

    def noted(self: Reporter, storage: Any, status: Json, patch: Json) -> None:
        write(self, storage, status, patch)
        told = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
        found.append((storage.name, told))

    monkeypatch.setattr(Reporter, "_write", noted)
    return found


def say(api: Client, pods: Pods, storage: str, *, ready: bool) -> None:
    """Say of every pod of a storage whether it is ready, as the kubelet does."""
    if ready:
        pods.make_ready(storage)
        return
    for pod in pods.of(storage):
        condition = {"type": "Ready", "status": "False"}
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        patch = {"status": {"phase": "Running", "conditions": [condition]}}
        api.patch(PODS, name, patch, namespace=namespace, subresource="status")


def test_readiness_follows_the_pods(
    storages: Storages, core_credentials: None, run_controller: RunController, pods: Pods
) -> None:
    took = []
    with run_controller():
        storages.create("prompt", replicas=1)
        eventually(lambda: len(pods.of("prompt")) == 1)
        for ready in (True, False) * 5:
            say(storages.api, pods, "prompt", ready=ready)
            began = time.monotonic()
            wanted = str(ready)
            eventually(
                lambda wanted=wanted: (
                    storages.condition("prompt", "Ready").get("status")  # type: ignore[misc]
                    == wanted
                )
            )
            took.append(time.monotonic() - began)
    print(f"Ready follows a pod after {max(took) * 1000:.0f} ms at most")


def test_nothing_flaps_while_pods_are_rolled(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    pods: Pods,
    written: list[tuple[str, dict[str, tuple[str, str]]]],
) -> None:
    with run_controller():
        storages.create("steady", replicas=2)
        eventually(lambda: len(pods.of("steady")) == 2)
        pods.make_ready("steady")
        eventually(lambda: storages.get("steady")["status"].get("readyReplicas") == 2)
    del written[:]
    old = {pod["metadata"]["uid"] for pod in pods.of("steady")}
    with run_controller("--etcd-proxy-image=example.org/etcd:new"):

        def rolled() -> bool:
            pods.make_ready("steady")
            there = {pod["metadata"]["uid"] for pod in pods.of("steady")}
            return len(there) == 2 and not there & old

        eventually(rolled)
        storages.await_condition("steady", "Progressing", "PodsUpToDate")
    told = [conditions for name, conditions in written if name == "steady"]
    for type_, always in (("Deployed", "True"), ("Ready", "True"), ("Degraded", "False")):
        assert {conditions[type_][0] for conditions in told} == {always}, type_
    changes = [told[0]["Progressing"][0]]
    for conditions in told:
        if conditions["Progressing"][0] != changes[-1]:
            changes.append(conditions["Progressing"][0])
    assert changes == ["True", "False"]
    print(f"{len(told)} statuses for the roll of two pods")


def test_who_waits_from_the_creation_on_sees_it_get_ready(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
    pods: Pods,
    written: list[tuple[str, dict[str, tuple[str, str]]]],
) -> None:
    """Also before there is any status, and any controller."""
    storages.create("awaited", replicas=1)
    said: list[str] = []
    wait = ("wait", "--for=condition=Ready", "es/awaited", "--timeout=120s")
    waiting = threading.Thread(target=lambda: said.append(control_plane.kubectl(*wait)))
    waiting.start()
    try:
        with run_controller():
            eventually(lambda: len(pods.of("awaited")) == 1)
            pods.make_ready("awaited")
            waiting.join()
    finally:
        waiting.join()
    assert ["condition met" in one for one in said] == [True]
    first = next(conditions for name, conditions in written if name == "awaited")
    assert first["Ready"][0] == "False"


def test_the_columns(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
) -> None:
    with run_controller():
        storages.create("shown", replicas=3)
        storages.await_condition("shown", "Deployed", "EtcdProxyDeployed")
        header, row = control_plane.kubectl("get", "es", "shown").splitlines()
        assert header.split() == ["NAME", "MODE", "ENDPOINT", "READY", "REPLICAS", "AGE"]
        endpoint = storages.get("shown")["status"]["endpoint"]
        assert row.split()[:5] == ["shown", "Proxy", endpoint, "False", "0"]
        wide, _ = control_plane.kubectl("get", "es", "shown", "-owide").splitlines()
        assert {"ISOLATION", "EXPIRES"} <= {*wide.split()}
