import json
from pathlib import Path
from typing import Any

import pytest

from controller.dataplane import gate as configuration
from controller.dataplane.gate import Gate
from hack.bench.dataplane.lifted import LiftedPod, lifted


def config(mode: Any) -> Any:
    gate = Gate("a", mode, auth=True, core_urls=("https://127.0.0.1:1",), drain_token="secret")
    return json.loads(configuration.files(gate)["envoy.json"])


def names(value: Any) -> set[str]:
    """Return every key and every name in it."""
    if isinstance(value, list):
        return set().union(*map(names, value))
    if isinstance(value, dict):
        named = {value["name"]} if isinstance(value.get("name"), str) else set()
        return set(value) | named | names(list(value.values()))
    return set()


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_no_bound_is_left_and_all_else_is(mode: str) -> None:
    before, after = names(config(mode)), names(lifted(config(mode)))
    gone = {
        *("max_concurrent_streams", "overload_manager", "resource_monitors"),
        *("envoy.filters.network.connection_limit", "envoy.filters.http.local_ratelimit"),
        *("envoy.filters.http.bandwidth_limit", "limit_kbps"),
    }
    assert gone <= before
    assert not gone & after
    kept = {"ingress", "probe", "core", "admin", "envoy.filters.http.router", "transport_socket"}
    assert kept <= after


def test_envoys_own_bounds_are_lifted_as_well() -> None:
    for cluster in lifted(config("Direct"))["static_resources"]["clusters"]:
        [threshold] = cluster["circuit_breakers"]["thresholds"]
        assert set(threshold.values()) == {2**32 - 1}


def test_a_pod_gets_it(tmp_path: Path) -> None:
    gate = Gate("a", "Direct", auth=True, core_urls=("https://127.0.0.1:1",), drain_token="secret")
    pod = LiftedPod(tmp_path, {"envoy": tmp_path / "envoy"}, gate)
    pod.write_config({"envoy.json": json.dumps(config("Direct")).encode(), "other": b"as it is"})
    folder = Path(pod.gate.folders.config)
    assert json.loads((folder / "envoy.json").read_text()) == lifted(config("Direct"))
    assert (folder / "other").read_bytes() == b"as it is"
