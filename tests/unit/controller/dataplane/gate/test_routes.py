"""Which requests pass, as Envoy is told."""

from typing import Any

import pytest

from controller.dataplane.gate import (
    bandwidth,
    bodies,
    leases,
    routes,
    transactions,
    watches,
)
from controller.dataplane.gate.clusters import clusters
from controller.dataplane.gate.methods import allowed
from controller.dataplane.gate.model import Gate
from tests.unit.controller.dataplane.gate.conftest import MakeGate

KINDS = [("Proxy", False), ("Proxy", True), ("Direct", True), ("Direct", False)]


def core_host(gate: Gate) -> dict[str, Any]:
    """Return the egress's virtual host for all but health checks."""
    host = routes.of_egress(gate)[0]
    assert host["domains"] == ["*"]
    return host


def served(host: dict[str, Any]) -> list[dict[str, Any]]:
    return [route for route in host["routes"] if "route" in route]


@pytest.mark.parametrize(("mode", "auth"), KINDS)
def test_every_route_is_exact_and_for_grpc(make_gate: MakeGate, mode: str, *, auth: bool) -> None:
    gate = make_gate(mode=mode, auth=auth)
    for host in (routes.of_clients(gate), core_host(gate)):
        matches = [route["match"] for route in served(host)]
        assert [match["path"] for match in matches] == [m.path for m in allowed(gate)]
        for match in matches:
            assert match["grpc"] == {}
            assert {":method", ":path"} == {header["name"] for header in match["headers"]}


@pytest.mark.parametrize(("mode", "auth"), KINDS)
def test_what_matches_no_route_goes_nowhere(make_gate: MakeGate, mode: str, *, auth: bool) -> None:
    gate = make_gate(mode=mode, auth=auth)
    for host in (routes.of_clients(gate), core_host(gate)):
        *_, last = host["routes"]
        assert last["match"] == {"prefix": "/"}
        assert last["direct_response"]["status"] == 404
        assert len(host["routes"]) == len(allowed(gate)) + 1


@pytest.mark.parametrize(("mode", "entrance"), [("Proxy", "proxy"), ("Direct", "core")])
def test_writes_and_reads_wait_and_nothing_else(
    make_gate: MakeGate, mode: str, entrance: str
) -> None:
    gate = make_gate(mode=mode, auth=True)
    targets: dict[str, set[str]] = {}
    for path, route in by_path(gate).items():
        targets.setdefault(route["route"]["cluster"], set()).add(path.rpartition("/")[2])
    direct = mode == "Direct"
    assert targets == {
        "writes": {"Put", "DeleteRange", "Txn", "LeaseGrant", "LeaseRevoke"},
        "reads": {"Range", "LeaseTimeToLive"} | ({"RangeStream"} if direct else set()),
        entrance: {"Watch", "LeaseKeepAlive"} | ({"Status"} if direct else set()),
    }


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_nothing_waits_a_second_time(make_gate: MakeGate, mode: str) -> None:
    host = core_host(make_gate(mode=mode, auth=True))
    assert {route["route"]["cluster"] for route in served(host)} == {"core"}


def test_a_health_check_alone_is_led_to_the_proxy_in_room_of_its_own(make_gate: MakeGate) -> None:
    gate = make_gate()
    _, readiness = routes.of_egress(gate)
    proxy = next(cluster for cluster in clusters(gate) if cluster["name"] == "proxy")
    [check] = [each["http_health_check"] for each in proxy["health_checks"]]
    assert readiness["domains"] == [check["host"]]
    [route] = readiness["routes"]
    assert (route["match"]["path"], route["route"]["cluster"]) == (check["path"], "proxy")
    assert route["route"]["priority"] == "HIGH"
    # A tenant names what authority it likes, and in mode Direct the core's user hears of it.
    assert len(routes.of_egress(make_gate(mode="Direct", auth=True))) == 1


def by_path(gate: Gate) -> dict[str, dict[str, Any]]:
    return {route["match"]["path"]: route for route in served(routes.of_clients(gate))}


def filtered(gate: Gate, name: str) -> dict[str, Any]:
    """Return what an HTTP filter is told for each method that it does anything to."""
    return {
        path.rpartition("/")[2]: route["typed_per_filter_config"][name]
        for path, route in by_path(gate).items()
        if name in route["typed_per_filter_config"]
    }


def test_grants_transactions_and_watches_and_nothing_else_are_looked_at(
    make_gate: MakeGate,
) -> None:
    for gate in (make_gate(), make_gate(mode="Direct", auth=True)):
        scripts = {name: lua["name"] for name, lua in filtered(gate, bodies.LUA).items()}
        waited_for = {"LeaseGrant": leases.GUARD, "Txn": transactions.GUARD}
        assert scripts == {**waited_for, "Watch": watches.GUARD}
        assert set(filtered(gate, bodies.BUFFER)) == set(waited_for)
        assert set(filtered(gate, leases.RATE_LIMIT)) == {"LeaseGrant"}


def test_the_bytes_of_all_that_lists_or_stays_open_are_bounded_and_of_nothing_else(
    make_gate: MakeGate,
) -> None:
    bounded: dict[str, set[str]] = {}
    found = filtered(make_gate(mode="Direct", auth=True), bandwidth.BANDWIDTH)
    for method, config in found.items():
        bounded.setdefault(config["enable_mode"], set()).add(method)
    assert bounded == {
        "RESPONSE": {"Range", "RangeStream", "DeleteRange", "Txn", "LeaseTimeToLive"},
        "REQUEST": {"Watch", "LeaseKeepAlive"},
    }


def test_watches_may_be_silent_and_nothing_else(make_gate: MakeGate) -> None:
    found = by_path(make_gate(mode="Direct", auth=True))
    silent = {path for path, route in found.items() if "idle_timeout" in route["route"]}
    assert silent == {"/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive"}
    assert all(route["route"]["timeout"] == "0s" for route in found.values())


def test_only_what_was_certainly_not_seen_is_tried_again(make_gate: MakeGate) -> None:
    policy = routes.of_clients(make_gate())["retry_policy"]
    assert set(policy["retry_on"].split(",")) == {
        *("connect-failure", "refused-stream", "reset-before-request")
    }
