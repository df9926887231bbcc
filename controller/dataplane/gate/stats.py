"""Which figures Envoy keeps: every one of its thousand costs memory in every pod."""

from collections.abc import Iterable
from typing import Final

from controller.dataplane.gate import bandwidth
from controller.dataplane.gate.methods import Method
from controller.dataplane.gate.model import CORE, INGRESS, PROXY, READS, WRITES, Json, typed

_PREFIXES: Final = (
    # Calls by service, method and code, and how long they took.
    *(f"cluster.{cluster}.grpc." for cluster in (CORE, PROXY, WRITES, READS)),
    "http.ingress.lease_grant.http_local_rate_limit.",
    "overload.envoy.overload_actions.",
    "sds.",
)
_SUFFIXES: Final = (
    *(".ssl.connection_error", ".ssl.fail_verify_error", ".ssl.fail_verify_san"),
    *(".downstream_global_cx_overflow", ".ssl.handshake", ".limited_connections"),
    # How often certificates were read and are in use, with the first time.
    ".ssl_context_update_by_sds",
)
_OF_CLUSTERS: Final = (
    # The filter behind /ready reads the first two: without them it never says yes. The health
    # checks look at the third: without it they take a cluster for one that has no traffic.
    *("membership_healthy", "membership_total", "upstream_cx_total"),
    *("health_check.attempt", "health_check.failure", "outlier_detection.ejections_active"),
    *("upstream_cx_active", "upstream_cx_connect_fail"),
    *("upstream_rq_active", "upstream_rq_pending_overflow", "upstream_rq_retry"),
)
_OF_QUEUES: Final = (
    "upstream_rq_active",
    # Those that wait, and those that found no room to.
    *("upstream_rq_pending_active", "upstream_rq_pending_overflow"),
)
_OF_INGRESS: Final = (
    *("downstream_cx_active", "downstream_cx_total", "downstream_cx_drain_close"),
    *("downstream_cx_protocol_error", "downstream_cx_max_duration_reached"),
    *("downstream_cx_rx_bytes_total", "downstream_cx_tx_bytes_total"),
    *("downstream_rq_active", "downstream_rq_total", "downstream_rq_too_large"),
    # Calls that are not let through.
    "rq_direct_response",
)
_OF_SERVER: Final = ("live", "uptime", "memory_allocated", "memory_heap_size")

_LATENCY_BUCKETS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000)
"""Milliseconds: around what etcd takes on a good disk and on a bad one."""

_CALL: Final = r"^cluster\.\w+\.grpc\."
_TAGS: Final = (
    # The first group goes from the name, the second is the value. Envoy's own would take the
    # package for the service and the service for the method.
    {"tag_name": "grpc_service", "regex": rf"{_CALL}((\w+\.\w+)\.)"},
    {"tag_name": "grpc_method", "regex": rf"{_CALL}\w+\.\w+\.((\w+)\.)"},
    {"tag_name": "grpc_code", "regex": rf"{_CALL}\w+\.\w+\.\w+(\.(\d+))$"},
    # Envoy's own.
    {"tag_name": "envoy.cluster_name"},
    {"tag_name": "envoy.http_conn_manager_prefix"},
    {"tag_name": "envoy.listener_address"},
)


def stats_config() -> Json:
    """Return the bootstrap's `stats_config`."""
    exact = [
        *(f"cluster.{cluster}.{what}" for cluster in (CORE, PROXY) for what in _OF_CLUSTERS),
        *(f"cluster.{cluster}.{what}" for cluster in (WRITES, READS) for what in _OF_QUEUES),
        *(f"http.{INGRESS}.{what}" for what in _OF_INGRESS),
        *(f"server.{what}" for what in _OF_SERVER),
        # How often a list was held back, and how often what is said on streams.
        f"{bandwidth.FIGURES}.http_bandwidth_limit.response_enforced",
        f"{bandwidth.FIGURES}.http_bandwidth_limit.request_enforced",
    ]
    patterns = [
        *({"prefix": text} for text in _PREFIXES),
        *({"suffix": text} for text in _SUFFIXES),
        *({"exact": text} for text in exact),
    ]
    latency = {"match": {"prefix": "cluster."}, "buckets": list(_LATENCY_BUCKETS)}
    return {
        "use_all_default_tags": False,
        "stats_tags": list(_TAGS),
        "stats_matcher": {"inclusion_list": {"patterns": patterns}},
        "histogram_bucket_settings": [latency],
    }


def per_method(methods: Iterable[Method]) -> Json:
    """Return the HTTP filter that counts calls, under the names of `methods` and no others."""
    names: dict[str, list[str]] = {}
    for method in methods:
        names.setdefault(method.service, []).append(method.name)
    services = [{"name": service, "method_names": which} for service, which in names.items()]
    return {
        "name": "envoy.filters.http.grpc_stats",
        "typed_config": typed(
            "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
            individual_method_stats_allowlist={"services": services},
            enable_upstream_stats=True,
        ),
    }
