"""Where the gate sends, and how it knows that it is heard."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane.gate import limits
from controller.dataplane.gate.clusters import clusters, next_hop
from controller.dataplane.gate.model import Gate
from tests.unit.controller.dataplane.gate.conftest import MakeGate

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,56}[a-z0-9])?", fullmatch=True)


def by_name(gate: Gate) -> dict[str, dict[str, Any]]:
    return {cluster["name"]: cluster for cluster in clusters(gate)}


def health(gate: Gate, cluster: str = "") -> dict[str, Any]:
    [check] = by_name(gate)[cluster or next_hop(gate)]["health_checks"]
    found: dict[str, Any] = check
    return found


def asked_key(gate: Gate, cluster: str = "") -> str:
    """Read the framed RangeRequest as etcd does."""
    sent = bytes.fromhex(health(gate, cluster)["http_health_check"]["send"]["text"])
    assert sent[0] == 0
    assert int.from_bytes(sent[1:5], "big") == len(sent) - 5
    message = sent[5:]
    assert message[0] == 0x0A  # field 1, the key
    assert message[1] == len(message) - 2
    assert message[1] < 128
    return message[2:].decode()


def test_there_are_no_more_clusters_than_the_mode_needs(make_gate: MakeGate) -> None:
    assert set(by_name(make_gate())) == {"core", "proxy", "writes", "reads", "admin"}
    assert set(by_name(make_gate(mode="Direct"))) == {"core", "writes", "reads", "admin"}


@pytest.mark.parametrize(("mode", "port"), [("Proxy", 23790), ("Direct", 23791)])
@pytest.mark.parametrize(("name", "at_once"), [("writes", limits.WRITES), ("reads", limits.READS)])
def test_few_go_on_at_once_and_many_may_wait(
    make_gate: MakeGate, mode: str, port: int, name: str, at_once: int
) -> None:
    cluster = by_name(make_gate(mode=mode))[name]
    [[endpoint]] = [each["lb_endpoints"] for each in cluster["load_assignment"]["endpoints"]]
    assert endpoint["endpoint"]["address"]["socket_address"] == {
        "address": "127.0.0.1",
        "port_value": port,
    }
    [protocol] = cluster["typed_extension_protocol_options"].values()
    http2 = protocol["explicit_http_config"]["http2_protocol_options"]
    [bounds] = cluster["circuit_breakers"]["thresholds"]
    assert (http2["max_concurrent_streams"], bounds["max_connections"]) == (at_once, 1)
    assert bounds["max_pending_requests"] == limits.WAITING


def test_each_member_is_checked_and_grpc_proxy(make_gate: MakeGate) -> None:
    for gate, names in ((make_gate(), {"core", "proxy"}), (make_gate(mode="Direct"), {"core"})):
        checked = {name: c for name, c in by_name(gate).items() if "health_checks" in c}
        assert set(checked) == names
        for cluster in checked.values():
            [check] = cluster["health_checks"]
            assert check["unhealthy_threshold"] == 1
            # With none that is well all are tried.
            assert cluster["common_lb_config"]["healthy_panic_threshold"] == {"value": 1}


@settings(max_examples=30)
@given(name=names)
def test_the_key_that_is_read_is_the_storages_own(name: str) -> None:
    direct = Gate(name, "Direct", True, ("http://c:2379",), "t")
    assert asked_key(direct) == f"/{name}/health"
    # grpc-proxy puts the prefix before it.
    proxied = Gate(name, "Proxy", True, ("http://c:2379",), "t")
    assert asked_key(proxied) == "health"
    assert asked_key(proxied, "core") == f"/{name}/health"


def test_a_quiet_cluster_is_asked_as_often(make_gate: MakeGate) -> None:
    for gate in (make_gate(mode="Direct", auth=True), make_gate()):
        check = health(gate, "core")
        assert check["no_traffic_healthy_interval"] == check["interval"]
        assert check["no_traffic_interval"] == check["unhealthy_interval"]


def test_the_first_check_of_the_proxy_need_not_time_out(make_gate: MakeGate) -> None:
    gate = make_gate()
    [assigned] = by_name(gate)["proxy"]["load_assignment"]["endpoints"]
    [endpoint] = [each["endpoint"] for each in assigned["lb_endpoints"]]
    # Nobody listens there before the first check.
    assert endpoint["health_check_config"] == {"port_value": gate.ports.egress}
    check = health(gate)
    assert check["no_traffic_healthy_interval"] == check["interval"]
    assert check["no_traffic_interval"] == f"{limits.HEALTH_INTERVAL_START}s"


def test_each_url_is_reached_with_tls_of_its_own(make_gate: MakeGate) -> None:
    urls = ("https://a:2379", "https://b:2379", "https://10.0.0.3:2379")
    core = by_name(make_gate(core_urls=urls))["core"]
    endpoints = core["load_assignment"]["endpoints"][0]["lb_endpoints"]
    members = [e["metadata"]["filter_metadata"]["envoy.transport_socket_match"] for e in endpoints]
    sockets = core["transport_socket_matches"]
    assert [socket["match"] for socket in sockets] == members
    snis = [socket["transport_socket"]["typed_config"].get("sni") for socket in sockets]
    assert snis == ["a", "b", None]


def test_a_plain_core_is_reached_without(make_gate: MakeGate) -> None:
    assert "transport_socket_matches" not in by_name(make_gate())["core"]


def test_answers_of_a_member_never_leave_it_out(make_gate: MakeGate) -> None:
    detection = by_name(make_gate())["core"]["outlier_detection"]
    enforcing = {k for k, v in detection.items() if k.startswith("enforcing_") and v}
    assert enforcing == {"enforcing_consecutive_local_origin_failure"}
