"""Which requests pass: one exact route for each call, and Unimplemented for all others.

One expression over all paths would exceed the size of program that Envoy takes.
"""

from typing import Final

from controller.dataplane.gate import bandwidth, leases, transactions, watches
from controller.dataplane.gate.clusters import HEALTH_AUTHORITY, next_hop
from controller.dataplane.gate.methods import LEASE_GRANT, RANGE, TXN, WATCH, Method, allowed
from controller.dataplane.gate.model import CORE, PROXY, Gate, Json, only, typed

REFUSAL: Final = "this call does not pass the gate"
"""The message of the Unimplemented that a client gets."""

# Envoy makes Unimplemented of 404, and a message of the body, for who speaks gRPC.
_REFUSED: Final = {"status": 404, "body": {"inline_string": REFUSAL}}


def of_clients(gate: Gate) -> Json:
    """Return the ingress's virtual host."""
    return _virtual_host(
        [
            {
                **_route(method, method.queue or next_hop(gate)),
                "typed_per_filter_config": _own_filters(method),
            }
            for method in allowed(gate)
        ]
    )


def _own_filters(method: Method) -> Json:
    guards = leases.on_route() if method == LEASE_GRANT else {}
    guards |= transactions.on_route() if method == TXN else {}
    guards |= watches.on_route() if method == WATCH else {}
    guards |= bandwidth.on_stream() if method.streams else {}
    return guards | (bandwidth.on_route() if method.lists else {})


def of_egress(gate: Gate) -> list[Json]:
    """Return the egress's virtual hosts: the core's, and in mode Proxy that of health checks."""
    core = _virtual_host([_route(method, CORE) for method in allowed(gate)])
    return [core] if gate.direct else [core, _readiness()]


def _readiness() -> Json:
    """Lead health checks to grpc-proxy, with connections and bounds apart from the clients'."""
    route = _route(RANGE, PROXY)
    route["route"]["priority"] = "HIGH"
    return {"name": HEALTH_AUTHORITY, "domains": [HEALTH_AUTHORITY], "routes": [route]}


def _virtual_host(routes: list[Json]) -> Json:
    return {
        "name": "etcd",
        "domains": ["*"],
        "routes": [*routes, {"match": {"prefix": "/"}, "direct_response": _REFUSED}],
        "retry_policy": _retries(),
    }


def _route(method: Method, cluster: str) -> Json:
    # `timeout` would bound a whole answer, a large list's too: the idle time bounds a dead one.
    action: Json = {"cluster": cluster, "timeout": "0s"}
    if method.streams:
        action["idle_timeout"] = "0s"
    return {"match": {**only("POST", method.path), "grpc": {}}, "route": action}


def _retries() -> Json:
    """Try another member only where the first has certainly not seen the request: writes too."""
    previous = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 3,
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": typed(previous)}
        ],
        "host_selection_retry_max_attempts": 3,
    }
