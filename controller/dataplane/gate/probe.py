"""The listener for the kubelet and the metrics scraper: what is asked of Envoy's administration.

Nothing else of the administration can be reached, and the drain only by who knows the token.
"""

from typing import Final

from controller.dataplane.gate import limits
from controller.dataplane.gate.clusters import next_hop
from controller.dataplane.gate.model import (
    ADMIN,
    CORE,
    PROXY,
    Gate,
    Json,
    only,
    socket_address,
    typed,
)

READY_PATH: Final = "/ready"
"""200 while reads through to the core succeed, else 503."""
LIVE_PATH: Final = "/live"
PROXY_LIVE_PATH: Final = "/live/etcdproxy"
"""503 while the core answers us and grpc-proxy does not: it hangs. While the core is away 200."""
METRICS_PATH: Final = "/metrics"
CERTS_PATH: Final = "/certs"
"""The certificates that are in use now, on both sides: serials, names and times, no keys."""
CLIENTS_PATH: Final = "/clients"
"""Which list of clients is in use now: the `version_info` of its file, and not the list."""

ADMIN_DRAIN_PATH: Final = "/drain_listeners?graceful&inboundonly&skip_exit"
ADMIN_METRICS_PATH: Final = "/stats/prometheus"
ADMIN_CERTS_PATH: Final = "/certs"
ADMIN_CLIENTS_PATH: Final = "/stats?filter=^sds.clients.version_text$"
ADMIN_HEALTH_PATH: Final = "/stats?filter=membership_healthy$"
"""How many members of the core, and of grpc-proxies, passed their last health check."""

_PROBE: Final = "probe"
_FILTERS: Final = "envoy.extensions.filters.http"
_LUA: Final = "envoy.filters.http.lua"
_FAULT: Final = "envoy.filters.http.fault"

# A kubelet's hook sends GET, and the pod is told to end as soon as it is answered. So this asks
# the administration, which wants POST, and the fault filter after it holds the answer back.
_DRAIN: Final = f"""
function envoy_on_request(handle)
  local headers = handle:httpCall("{ADMIN}", {{
    [":method"] = "POST", [":path"] = "{ADMIN_DRAIN_PATH}", [":authority"] = "{ADMIN}",
  }}, "", 5000)
  if headers[":status"] ~= "200" then
    handle:respond({{[":status"] = "503"}}, "the listeners could not be drained")
  end
end
"""

_PROXY_LIVE: Final = f"""
function envoy_on_request(handle)
  local _, healthy = handle:httpCall("{ADMIN}", {{
    [":method"] = "GET", [":path"] = "{ADMIN_HEALTH_PATH}", [":authority"] = "{ADMIN}",
  }}, "", 2000)
  if healthy and healthy:find("{CORE}.membership_healthy: [1-9]")
      and healthy:find("{PROXY}.membership_healthy: 0") then
    handle:respond({{[":status"] = "503"}}, "grpc-proxy does not answer")
  end
end
"""


def drain_path(token: str) -> str:
    """Return the path whose GET drains the ingress and answers when that is done."""
    return f"/drain/{token}"


def probe(gate: Gate) -> Json:
    """Return the probe listener."""
    manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=_PROBE,
        codec_type="HTTP1",
        max_request_headers_kb=limits.HEADER_KIB,
        request_headers_timeout="5s",
        stream_idle_timeout=f"{2 * limits.DRAIN_SECONDS}s",
        common_http_protocol_options={"idle_timeout": "60s"},
        use_remote_address=True,
        skip_xff_append=True,
        generate_request_id=False,
        server_header_transformation="PASS_THROUGH",
        route_config={"name": _PROBE, "virtual_hosts": [_virtual_host(gate)]},
        http_filters=_http_filters(gate),
    )
    chain = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    return {
        "name": _PROBE,
        "address": socket_address(gate.address, gate.ports.probe),
        "filter_chains": [chain],
    }


def _virtual_host(gate: Gate) -> Json:
    live = [_answer(LIVE_PATH)]
    if not gate.direct:
        live.append(_answer(PROXY_LIVE_PATH, **_script("proxy_live")))
    metrics = _administration(METRICS_PATH, ADMIN_METRICS_PATH)
    certs = _administration(CERTS_PATH, ADMIN_CERTS_PATH)
    clients = _administration(CLIENTS_PATH, ADMIN_CLIENTS_PATH)
    routes = [*live, metrics, certs, clients, _drain(gate)]
    return {"name": _PROBE, "domains": ["*"], "routes": routes}


def _answer(path: str, **filters: Json) -> Json:
    """Return a route that answers 200, if these filters of its own let it."""
    per_filter = {"typed_per_filter_config": filters} if filters else {}
    return {"match": only("GET", path), "direct_response": {"status": 200}, **per_filter}


def _script(name: str) -> dict[str, Json]:
    return {_LUA: typed(f"{_FILTERS}.lua.v3.LuaPerRoute", name=name)}


def _administration(path: str, asked: str) -> Json:
    return {
        "match": only("GET", path),
        "route": {"cluster": ADMIN, "prefix_rewrite": asked, "timeout": "10s"},
    }


def _drain(gate: Gate) -> Json:
    delay = {"fixed_delay": f"{limits.DRAIN_SECONDS}s", "percentage": {"numerator": 100}}
    fault = {_FAULT: typed(f"{_FILTERS}.fault.v3.HTTPFault", delay=delay)}
    return _answer(drain_path(gate.drain_token), **_script("drain"), **fault)


def _http_filters(gate: Gate) -> list[Json]:
    ready = {
        "pass_through_mode": False,
        "headers": only("GET", READY_PATH)["headers"],
        # One member of the core is enough to serve.
        "cluster_min_healthy_percentages": {next_hop(gate): {"value": 1}},
    }
    sources = {"drain": _DRAIN, "proxy_live": _PROXY_LIVE}
    scripts = {name: {"inline_string": source} for name, source in sources.items()}
    return [
        {
            "name": "envoy.filters.http.health_check",
            "typed_config": typed(f"{_FILTERS}.health_check.v3.HealthCheck", **ready),
        },
        {"name": _LUA, "typed_config": typed(f"{_FILTERS}.lua.v3.Lua", source_codes=scripts)},
        {"name": _FAULT, "typed_config": typed(f"{_FILTERS}.fault.v3.HTTPFault")},
        {
            "name": "envoy.filters.http.router",
            "typed_config": typed(f"{_FILTERS}.router.v3.Router", suppress_envoy_headers=True),
        },
    ]
