"""What the kubelet and the scraper reach, and nobody else."""

from typing import Any

from controller.dataplane.gate import limits
from controller.dataplane.gate.probe import drain_path, probe
from tests.unit.controller.dataplane.gate.conftest import MakeGate


def manager(listener: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return config


def routes(listener: dict[str, Any]) -> dict[str, dict[str, Any]]:
    [host] = manager(listener)["route_config"]["virtual_hosts"]
    return {route["match"]["path"]: route for route in host["routes"]}


def test_nothing_but_these_paths_has_a_route(make_gate: MakeGate) -> None:
    found = routes(probe(make_gate(drain_token="secret")))
    paths = {"/live", "/metrics", "/certs", "/clients", "/drain/secret"}
    assert set(found) == {*paths, "/live/etcdproxy"}
    assert set(routes(probe(make_gate(mode="Direct", drain_token="secret")))) == paths
    for path, route in found.items():
        wanted = {h["name"]: h["string_match"]["exact"] for h in route["match"]["headers"]}
        assert wanted == {":method": "GET", ":path": path}


def test_the_administration_is_asked_for_figures_and_names_alone(
    make_gate: MakeGate,
) -> None:
    found = routes(probe(make_gate()))
    sent = {p: r["route"]["prefix_rewrite"] for p, r in found.items() if "route" in r}
    version = "/stats?filter=^sds.clients.version_text$"
    assert sent == {"/metrics": "/stats/prometheus", "/certs": "/certs", "/clients": version}


def test_a_drain_is_answered_when_it_is_over(make_gate: MakeGate) -> None:
    route = routes(probe(make_gate(drain_token="t")))[drain_path("t")]
    fault = route["typed_per_filter_config"]["envoy.filters.http.fault"]
    assert fault["delay"]["fixed_delay"] == f"{limits.DRAIN_SECONDS}s"
    # What bounds a request must not end this one.
    assert "request_timeout" not in manager(probe(make_gate()))


def test_readiness_asks_for_what_the_clients_reach_first(make_gate: MakeGate) -> None:
    for mode, cluster in (("Proxy", "proxy"), ("Direct", "core")):
        ready = manager(probe(make_gate(mode=mode)))["http_filters"][0]["typed_config"]
        assert list(ready["cluster_min_healthy_percentages"]) == [cluster]
        assert not ready["pass_through_mode"]


def test_it_is_not_drained_with_the_ingress(make_gate: MakeGate) -> None:
    assert "traffic_direction" not in probe(make_gate())
