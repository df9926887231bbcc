import json
from dataclasses import replace
from pathlib import Path

import pytest

from controller.dataplane import grpcproxy
from controller.dataplane.gate import Gate, Ports, arguments, drain_path
from hack.cluster.process import Process
from hack.dataplane import GatePod, answers
from hack.dataplane.gatepod import POD_ADDRESS, localised
from hack.dataplane.programs import Programs
from tests.unit.hack.dataplane.conftest import given

GATE = Gate("a", "Proxy", auth=False, core_urls=("http://127.0.0.1:1",), drain_token="secret")
DIRECT = replace(GATE, mode="Direct", auth=True)


def test_a_gate_becomes_a_local_one(tmp_path: Path) -> None:
    local = localised(GATE, tmp_path)
    ports = [getattr(local.ports, name) for name in Ports.__slots__]
    assert len({*ports}) == 5
    assert not {*ports} & {getattr(Ports(), name) for name in Ports.__slots__}
    assert local.address == POD_ADDRESS
    assert local.folders.core == str(tmp_path / "core")
    assert replace(local, ports=GATE.ports, folders=GATE.folders, address=GATE.address) == GATE


def test_the_programs_get_the_command_lines_of_the_pod(tmp_path: Path, noting: Programs) -> None:
    pod = GatePod(tmp_path / "pod", noting, GATE)
    try:
        pod.start()
        assert pod.processes == [pod.proxy, pod.envoy]
        for process, expected in zip(
            pod.processes, (grpcproxy.arguments(pod.gate), arguments(pod.gate)), strict=True
        ):
            assert given(process) == expected
    finally:
        pod.stop(grace=0)
    assert not any(process.alive for process in pod.processes)
    assert (tmp_path / "pod" / "config" / "envoy.json").exists()
    assert not (tmp_path / "pod" / "serving").exists()
    assert not (tmp_path / "pod" / "core").exists()


def test_a_direct_pod_has_no_sidecar(tmp_path: Path, noting: Programs) -> None:
    pod = GatePod(tmp_path, noting, DIRECT)
    assert pod.proxy is None
    assert pod.processes == [pod.envoy]


def test_who_is_let_in_by_tls(tmp_path: Path, noting: Programs) -> None:
    plain = GatePod(tmp_path / "plain", noting, GATE)
    assert plain.endpoint == f"http://{POD_ADDRESS}:{plain.gate.ports.ingress}"
    assert plain.etcdctl().tls == ()
    pod = GatePod(
        tmp_path / "tls",
        noting,
        replace(DIRECT, tls=True, core_urls=("https://127.0.0.1:1",)),
        core={"ca.pem": b"ca", "tls.crt": b"cert", "tls.key": b"key"},
    )
    try:
        pod.start()
    finally:
        pod.stop(grace=0)
    assert pod.endpoint.startswith("https://")
    assert len(pod.etcdctl().tls) == 3
    folder = tmp_path / "tls"
    assert (folder / "core" / "ca.pem").read_bytes() == b"ca"
    ca = pod.tenant.authority.cert_pem.decode()
    assert json.dumps(ca) in (folder / "serving" / "clients.json").read_text()


def test_the_hook_comes_before_the_ends(
    tmp_path: Path, noting: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = GatePod(tmp_path, noting, GATE)
    order: list[str] = []

    def get(url: str, **_: object) -> str:
        order.append(url.removeprefix(pod.probe_url))
        return ""

    monkeypatch.setattr(answers, "get", get)
    monkeypatch.setattr(Process, "stop", lambda process, _grace: order.append(process.name))
    pod.terminate()
    assert order == [drain_path("secret"), "gate", "etcdproxy"]
