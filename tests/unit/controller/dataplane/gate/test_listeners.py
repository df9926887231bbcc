"""The two listeners that carry gRPC."""

from typing import Any

import pytest

from controller.dataplane.gate import limits
from controller.dataplane.gate.listeners import STRIPPED, egress, ingress
from tests.unit.controller.dataplane.gate.conftest import MakeGate


def manager(listener: dict[str, Any]) -> dict[str, Any]:
    [chain] = listener["filter_chains"]
    *_, network_filter = chain["filters"]
    config: dict[str, Any] = network_filter["typed_config"]
    return config


def test_only_the_ingress_can_be_reached_from_outside(make_gate: MakeGate) -> None:
    gate = make_gate()
    assert ingress(gate)["address"]["socket_address"]["address"] == "0.0.0.0"  # noqa: S104
    assert egress(gate)["address"]["socket_address"]["address"] == "127.0.0.1"


def test_clients_alone_are_counted(make_gate: MakeGate) -> None:
    def first(listener: dict[str, Any]) -> str:
        name: str = listener["filter_chains"][0]["filters"][0]["name"]
        return name

    gate = make_gate()
    assert first(ingress(gate)) == "envoy.filters.network.connection_limit"
    assert "connection_limit" not in first(egress(gate))
    # A listener that is excepted from the common limit makes Envoy count wrongly.
    assert not any("ignore_global_conn_limit" in listener(gate) for listener in (ingress, egress))


def test_a_drain_of_the_inbound_leaves_the_egress_alone(make_gate: MakeGate) -> None:
    gate = make_gate()
    directions = ingress(gate)["traffic_direction"], egress(gate)["traffic_direction"]
    assert directions == ("INBOUND", "OUTBOUND")


def test_the_ingress_is_plain_or_mutual_tls(make_gate: MakeGate) -> None:
    def chain(*, tls: bool) -> dict[str, Any]:
        found: dict[str, Any] = ingress(make_gate(tls=tls))["filter_chains"][0]
        return found

    assert not any("transport_socket" in name for name in chain(tls=False))
    assert "transport_socket" in chain(tls=True)
    assert chain(tls=True)["transport_socket_connect_timeout"] == f"{limits.HANDSHAKE}s"


@pytest.mark.parametrize("which", [ingress, egress])
def test_what_a_client_may_not_say_is_taken_from_it_first(make_gate: MakeGate, which: Any) -> None:
    [early] = manager(which(make_gate()))["early_header_mutation_extensions"]
    mutations = early["typed_config"]["mutations"]
    assert {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}} in mutations
    removed = {mutation.get("remove") for mutation in mutations}
    assert {"token", "authorization", "grpcgateway-accept", "client-api-version"} <= removed
    assert set(STRIPPED) <= removed


@pytest.mark.parametrize("which", [ingress, egress])
def test_nothing_but_http2_is_spoken(make_gate: MakeGate, which: Any) -> None:
    assert manager(which(make_gate()))["codec_type"] == "HTTP2"


def test_connections_of_clients_end_some_day_and_the_proxys_do_not(make_gate: MakeGate) -> None:
    gate = make_gate()
    assert "max_connection_duration" in manager(ingress(gate))["common_http_protocol_options"]
    assert "common_http_protocol_options" not in manager(egress(gate))


def test_only_with_certificates_a_watch_ends_some_day_and_no_deadline_says_so(
    make_gate: MakeGate,
) -> None:
    plain, secured = (make_gate(tls=tls) for tls in (False, True))
    assert "max_stream_duration" not in manager(ingress(plain))["common_http_protocol_options"]
    life = manager(ingress(secured))["common_http_protocol_options"]
    assert life["max_stream_duration"] == f"{limits.STREAM_LIFE}s"
    # A route's would be sent on as the deadline of the request, and end the client's watch.
    assert "max_stream_duration" not in str(manager(ingress(secured))["route_config"])
