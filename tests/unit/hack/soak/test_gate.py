import json
from pathlib import Path

import pytest

from controller.dataplane.gate import Ports
from hack.cluster.errors import ClusterError
from hack.dataplane.programs import Programs
from hack.soak.gate import SoakGate, address_of, as_user
from tests.unit.hack.dataplane.conftest import given, noting

__all__ = ["noting"]


def test_each_gate_has_an_address_of_its_own_and_the_ports_of_a_pod(
    tmp_path: Path, noting: Programs
) -> None:
    gates = [
        SoakGate(tmp_path / name, noting, name, ("http://127.0.0.1:1",), number)
        for number, name in enumerate(("a", "b"))
    ]
    assert gates[0].address != gates[1].address
    try:
        gates[0].start()
        config = tmp_path / "a" / "config" / "envoy.json"
        assert str(config) in given(gates[0].process)
    finally:
        gates[0].stop()
    listening = json.dumps(json.loads(config.read_text()))
    for port in (Ports().ingress, Ports().probe):
        assert f'{{"address": "{gates[0].address}", "port_value": {port}}}' in listening
    assert f'"port_value": {Ports().admin}' not in listening
    assert str(gates[0].serving) in listening


def test_an_address_stands_for_a_port() -> None:
    assert address_of(20000) == "127.1.78.32"
    assert len({address_of(port) for port in range(20000, 30000)}) == 10000


def test_only_the_first_gates_run_as_ourselves() -> None:
    assert as_user(49, 0) == as_user(49, 1000) == ()
    assert "--reuid=61001" in as_user(50, 0)
    assert "--reuid=61001" in as_user(99, 0)
    assert "--reuid=61003" in as_user(199, 0)
    with pytest.raises(ClusterError, match="take root"):
        as_user(50, 1000)
