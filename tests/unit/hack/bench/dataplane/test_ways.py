from contextlib import ExitStack
from pathlib import Path

import pytest

from hack.bench.dataplane.ways import BARE, DIRECT, PROXY, STRAIGHT, Way, pod_of, started
from hack.dataplane import CoreEtcd, GatePod
from hack.dataplane.programs import Programs


def test_who_puts_the_prefix(tmp_path: Path, noting: Programs) -> None:
    core = CoreEtcd(tmp_path, noting)
    ways = {name: Way(name, core, core.etcdctl()) for name in (STRAIGHT, BARE, PROXY, DIRECT)}
    assert {name for name, way in ways.items() if way.prefixed} == {BARE, PROXY}
    assert ways[DIRECT].prefix == "/direct/"
    assert ways[STRAIGHT].parts == {}


def test_the_parts_of_a_pod(tmp_path: Path, noting: Programs) -> None:
    core = CoreEtcd(tmp_path / "core", noting)
    pod = pod_of(tmp_path / "pod", noting, core, PROXY, "Proxy")
    assert not pod.tls
    assert Way(PROXY, core, pod.etcdctl(), pod).parts == {
        "gate": pod.envoy,
        "grpc-proxy": pod.proxy,
    }
    direct = pod_of(tmp_path / "direct", noting, core, DIRECT, "Direct")
    assert [*Way(DIRECT, core, direct.etcdctl(), direct).parts] == ["gate"]


def test_pods_start_together_and_end_even_if_one_does_not_get_ready(
    tmp_path: Path, noting: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = CoreEtcd(tmp_path / "core", noting)
    pods = [pod_of(tmp_path / name, noting, core, PROXY, "Proxy") for name in ("0", "1")]
    alive: list[bool] = []

    def fail(_: GatePod) -> None:
        alive.extend(pod.envoy.alive for pod in pods)
        raise TimeoutError

    monkeypatch.setattr(GatePod, "await_ready", fail)
    with pytest.raises(TimeoutError), ExitStack() as stack:
        started(stack, pods)
    assert alive == [True, True]
    assert not any(process.alive for pod in pods for process in pod.processes)
