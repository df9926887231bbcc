"""Which figures are kept."""

from controller.dataplane.gate.methods import Method, allowed
from controller.dataplane.gate.stats import per_method, stats_config
from tests.unit.controller.dataplane.gate.conftest import MakeGate


def kept(name: str) -> bool:
    for pattern in stats_config()["stats_matcher"]["inclusion_list"]["patterns"]:
        [(how, text)] = pattern.items()
        match how:
            case "exact":
                found = name == text
            case "prefix":
                found = name.startswith(text)
            case _:
                found = name.endswith(text)
        if found:
            return True
    return False


def test_what_readiness_and_health_checks_read_is_kept() -> None:
    for cluster in ("core", "proxy"):
        for what in ("membership_healthy", "membership_total", "upstream_cx_total"):
            assert kept(f"cluster.{cluster}.{what}")


def test_what_waits_is_kept() -> None:
    for cluster in ("writes", "reads"):
        assert kept(f"cluster.{cluster}.upstream_rq_pending_active")
        assert kept(f"cluster.{cluster}.grpc.etcdserverpb.KV.Range.0")


def test_what_nobody_asks_for_is_not_kept() -> None:
    for name in ("cluster.admin.upstream_rq_total", "http.probe.downstream_rq_total", "dns.cares"):
        assert not kept(name)


def test_calls_are_counted_by_the_names_of_those_let_through(make_gate: MakeGate) -> None:
    methods = allowed(make_gate(mode="Direct", auth=True))
    services = per_method(methods)["typed_config"]["individual_method_stats_allowlist"]["services"]
    counted = {Method(s["name"], name).path for s in services for name in s["method_names"]}
    assert counted == {method.path for method in methods}
