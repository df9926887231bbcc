"""The two listeners that carry gRPC: the ingress of the clients, the egress towards the core."""

from typing import Final

from controller.dataplane.gate import (
    bandwidth,
    bodies,
    leases,
    limits,
    routes,
    stats,
    transactions,
    watches,
)
from controller.dataplane.gate.methods import allowed
from controller.dataplane.gate.model import EGRESS, INGRESS, Gate, Json, socket_address, typed
from controller.dataplane.gate.tls import towards_clients

STRIPPED: Final = (
    # A token wins over the certificate, in both of its spellings (etcd's auth/store.go).
    *("token", "authorization"),
    # The core then leaves the certificate's user out of account (the same).
    "grpcgateway-accept",
    # A label of a metric of the core: any text makes one more series (v3rpc/interceptor.go).
    "client-api-version",
    # Whether the core traces a request is not for a tenant to say.
    *("traceparent", "tracestate", "baggage"),
)
"""Headers of a client that mean something to the core, and must not."""

_SCRIPTS: Final = {
    leases.GUARD: leases.SCRIPT,
    transactions.GUARD: transactions.SCRIPT,
    watches.GUARD: watches.SCRIPT,
}

_ROUTER: Final = {
    "name": "envoy.filters.http.router",
    "typed_config": typed(
        "envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
    ),
}


def ingress(gate: Gate) -> Json:
    """Return the listener for the storage's clients."""
    filters = [
        stats.per_method(allowed(gate)),
        bandwidth.http_filter(),
        leases.rate_limit(),
        *bodies.filters(_SCRIPTS),
        _ROUTER,
    ]
    manager = _manager(INGRESS, [routes.of_clients(gate)], filters)
    manager["common_http_protocol_options"] = _life(gate)
    return {
        "name": INGRESS,
        "address": socket_address(gate.address, gate.ports.ingress),
        # The drain asks for the inbound ones, so that the egress is kept meanwhile.
        "traffic_direction": "INBOUND",
        "per_connection_buffer_limit_bytes": limits.CONNECTION_BUFFER,
        "filter_chains": [
            {"filters": [_connection_limit(), _network_filter(manager)], **_tls(gate)}
        ],
    }


def egress(gate: Gate) -> Json:
    """Return the listener for grpc-proxy and for the ingress itself, on loopback."""
    manager = _manager(EGRESS, routes.of_egress(gate), [_ROUTER])
    return {
        "name": EGRESS,
        "address": socket_address("127.0.0.1", gate.ports.egress),
        "traffic_direction": "OUTBOUND",
        "per_connection_buffer_limit_bytes": limits.CONNECTION_BUFFER,
        "filter_chains": [{"filters": [_network_filter(manager)]}],
    }


def _tls(gate: Gate) -> Json:
    if not gate.tls:
        return {}
    return {
        "transport_socket": towards_clients(gate),
        "transport_socket_connect_timeout": f"{limits.HANDSHAKE}s",
    }


def _life(gate: Gate) -> Json:
    # A connection's end is announced, and requests that crossed the announcement are served.
    connection = {"max_connection_duration": f"{limits.LIFE}s"}
    if not gate.tls:
        return connection
    # Here and not on the routes, where it would be told to the core as the request's deadline: if
    # it is the core that ends a watch for that, etcd's client takes it for the end of all.
    return {**connection, "max_stream_duration": f"{limits.STREAM_LIFE}s"}


def _connection_limit() -> Json:
    message = "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit"
    return {
        "name": "envoy.filters.network.connection_limit",
        "typed_config": typed(message, stat_prefix=INGRESS, max_connections=limits.CONNECTIONS),
    }


def _network_filter(manager: Json) -> Json:
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager,
    }


def _manager(name: str, virtual_hosts: list[Json], filters: list[Json]) -> Json:
    return typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        # etcd's cmux would serve HTTP/1.1 on the same port: the JSON gateway, /metrics, /health.
        codec_type="HTTP2",
        http2_protocol_options=_http2(),
        max_request_headers_kb=limits.HEADER_KIB,
        stream_idle_timeout=f"{limits.STREAM_IDLE}s",
        drain_timeout=f"{limits.DRAIN_GRACE}s",
        early_header_mutation_extensions=[_strip()],
        use_remote_address=True,
        skip_xff_append=True,
        generate_request_id=False,
        server_header_transformation="PASS_THROUGH",
        route_config={"name": name, "virtual_hosts": virtual_hosts},
        http_filters=filters,
    )


def _strip() -> Json:
    """Take headers away before Envoy itself reads any.

    Its own, timeouts and retries among them, count from all private addresses: from every pod.
    """
    mutations = [
        {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}},
        *({"remove": header} for header in STRIPPED),
    ]
    message = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": typed(message, mutations=mutations),
    }


def _http2() -> Json:
    return {
        "max_concurrent_streams": limits.STREAMS,
        "initial_stream_window_size": limits.STREAM_WINDOW,
        "initial_connection_window_size": limits.CONNECTION_WINDOW,
        "connection_keepalive": {
            "interval": f"{limits.DOWNSTREAM_KEEPALIVE}s",
            "timeout": f"{limits.DOWNSTREAM_KEEPALIVE_TIMEOUT}s",
        },
    }
