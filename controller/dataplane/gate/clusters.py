"""Where the gate sends: to the core, to grpc-proxy, and to its own administration.

Health checks are reads through to the core: `KV/Range` of one key of the storage. grpc-proxy's
own `/health` says yes while every read is denied. They do not wait behind the clients' reads.

Each member of the core is read, so that clients' calls avoid one that has stopped, or is cut off
from the others, and do not have to find out themselves: who only pings takes the second for well.
So is grpc-proxy, and readiness is that of where the clients' requests go first. grpc-proxy is
asked by way of the egress: Envoy opens its listeners after the first check, and grpc-proxy, asked
before the egress is open, would keep that one until it is timed out. A listener that is not open
refuses at once.

Writes and reads go through a cluster each whose one connection carries a few of them at once,
and wait for it here. Both lead to what is next on loopback, grpc-proxy or our own egress: so the
bound is the same for any number of members, and one cluster alone knows which of these are well.
"""

from typing import Final

from controller.dataplane.gate import limits
from controller.dataplane.gate.addresses import host_and_port
from controller.dataplane.gate.methods import RANGE
from controller.dataplane.gate.model import (
    ADMIN,
    CORE,
    PROXY,
    READS,
    WRITES,
    Gate,
    Json,
    socket_address,
    typed,
)
from controller.dataplane.gate.tls import towards_core

HEALTH_KEY: Final = "health"
"""Under the storage's prefix; it need not exist. etcdctl's own check reads a key of this name."""
HEALTH_AUTHORITY: Final = "readiness"
"""By which the egress tells a check from grpc-proxy's own requests, which name an address."""


def clusters(gate: Gate) -> list[Json]:
    """Return the clusters of this gate's mode."""
    next_port = gate.ports.egress if gate.direct else gate.ports.proxy
    queues = [
        _queue(WRITES, next_port, at_once=limits.WRITES),
        _queue(READS, next_port, at_once=limits.READS),
    ]
    proxies = [] if gate.direct else [_proxy(gate)]
    return [_core(gate), *proxies, *queues, _admin(gate)]


def next_hop(gate: Gate) -> str:
    """Return the cluster that the clients' requests go to that do not wait for their turn."""
    return CORE if gate.direct else PROXY


def _core(gate: Gate) -> Json:
    """Spread over all addresses of all URLs, but for those that do not answer."""
    tls = gate.core_urls[0].startswith("https:")
    endpoints = [_endpoint(*host_and_port(url), member=url) for url in gate.core_urls]
    sockets = [
        {"name": url, "match": {"member": url}, "transport_socket": towards_core(gate, url)}
        for url in gate.core_urls
    ]
    return {
        **_http2_cluster(CORE, endpoints),
        "cluster_type": _resolved(),
        "outlier_detection": _unreachable(),
        **_health_checks(gate.prefix + HEALTH_KEY, limits.HEALTH_INTERVAL_UNHEALTHY),
        **({"transport_socket_matches": sockets} if tls else {}),
    }


def _resolved() -> Json:
    """Resolve the names of the core again and again; every address is a member."""
    config = {
        "dns_lookup_family": "V4_PREFERRED",
        "dns_refresh_rate": f"{limits.DNS_REFRESH}s",
        "dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": "10s"},
    }
    message = "envoy.extensions.clusters.dns.v3.DnsCluster"
    return {"name": "envoy.cluster.dns", "typed_config": typed(message, **config)}


def _proxy(gate: Gate) -> Json:
    endpoint = _endpoint("127.0.0.1", gate.ports.proxy)
    endpoint["endpoint"]["health_check_config"] = {"port_value": gate.ports.egress}
    # It puts the prefix before the key itself.
    checks = _health_checks(HEALTH_KEY, limits.HEALTH_INTERVAL_START)
    return {**_http2_cluster(PROXY, [endpoint]), "type": "STATIC", **checks}


def _queue(name: str, port: int, *, at_once: int) -> Json:
    """Return a cluster that sends this many requests at once, and lets the others wait."""
    cluster = _http2_cluster(
        name,
        [_endpoint("127.0.0.1", port)],
        # Of one connection the bound on its streams is that of the whole.
        connections=1,
        requests=limits.WAITING,
        max_concurrent_streams=at_once,
    )
    return {**cluster, "type": "STATIC"}


def _admin(gate: Gate) -> Json:
    endpoints = [_endpoint("127.0.0.1", gate.ports.admin)]
    return {"name": ADMIN, "type": "STATIC", "load_assignment": _assignment(ADMIN, endpoints)}


def _http2_cluster(
    name: str,
    endpoints: list[Json],
    *,
    connections: int = limits.UPSTREAM_CONNECTIONS,
    requests: int = limits.REQUESTS,
    **bounds: int,
) -> Json:
    """Return a cluster without its type; `bounds` are those of HTTP/2 on each connection."""
    return {
        "name": name,
        "connect_timeout": f"{limits.CONNECT}s",
        "load_assignment": _assignment(name, endpoints),
        "per_connection_buffer_limit_bytes": limits.CONNECTION_BUFFER,
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": connections,
                    "max_pending_requests": requests,
                    "max_requests": requests,
                    "max_retries": limits.RETRIES,
                }
            ]
        },
        "common_lb_config": {
            # While any member is well the others are left out; with none, all are tried, so that
            # clients hear the core's own answer.
            "healthy_panic_threshold": {"value": 1},
        },
        "typed_extension_protocol_options": {_PROTOCOL: _http2(**bounds)},
    }


_PROTOCOL: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _http2(**bounds: int) -> Json:
    http2 = {
        **bounds,
        "initial_stream_window_size": limits.STREAM_WINDOW,
        "initial_connection_window_size": limits.CONNECTION_WINDOW,
        "connection_keepalive": {
            "interval": f"{limits.UPSTREAM_KEEPALIVE}s",
            "timeout": f"{limits.UPSTREAM_KEEPALIVE_TIMEOUT}s",
        },
    }
    return typed(
        _PROTOCOL,
        explicit_http_config={"http2_protocol_options": http2},
        common_http_protocol_options={"idle_timeout": f"{limits.UPSTREAM_IDLE}s"},
    )


def _unreachable() -> Json:
    """Leave out a member that does not take connections or loses them.

    What a member answers does not count: a tenant provokes errors at will.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 2,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": f"{limits.EJECTION}s",
        "max_ejection_percent": 100,
    }


def _health_checks(key: str, before_traffic: float) -> Json:
    """Read `key`, every `before_traffic` seconds before the cluster has carried any request."""
    interval = f"{limits.HEALTH_INTERVAL}s"
    unhealthy = f"{limits.HEALTH_INTERVAL_UNHEALTHY}s"
    return {
        "health_checks": [
            {
                "timeout": f"{limits.HEALTH_TIMEOUT}s",
                "interval": interval,
                # For a cluster that nobody has sent to; each is a minute if not given.
                "no_traffic_interval": f"{before_traffic}s",
                "no_traffic_healthy_interval": interval,
                "unhealthy_interval": unhealthy,
                "unhealthy_edge_interval": unhealthy,
                "interval_jitter_percent": 20,
                "healthy_threshold": 1,
                # Of time-outs; any wrong answer counts at once, whatever stands here.
                "unhealthy_threshold": 1,
                "http_health_check": {
                    "host": HEALTH_AUTHORITY,
                    "path": RANGE.path,
                    "method": "POST",
                    "codec_client_type": "HTTP2",
                    "request_headers_to_add": [
                        {"header": {"key": "content-type", "value": "application/grpc"}},
                        {"header": {"key": "te", "value": "trailers"}},
                    ],
                    "send": {"text": _frame(_range_request(key)).hex()},
                    # An answer begins with the response's header; a refusal has no body.
                    "receive": [{"text": "0a"}],
                },
            }
        ]
    }


def _range_request(key: str) -> bytes:
    """Return an etcdserverpb.RangeRequest of one key: field 1, its length, its bytes.

    Names of storages have at most 63 characters, so one byte holds the length.
    """
    encoded = key.encode()
    return bytes((0x0A, len(encoded))) + encoded


def _frame(message: bytes) -> bytes:
    """Return a gRPC frame: not compressed, four bytes of length, the message."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _endpoint(host: str, port: int, member: str = "") -> Json:
    endpoint = {"address": socket_address(host, port)}
    if not member:
        return {"endpoint": endpoint}
    matched = {"filter_metadata": {"envoy.transport_socket_match": {"member": member}}}
    return {"endpoint": endpoint, "metadata": matched}


def _assignment(name: str, endpoints: list[Json]) -> Json:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}
