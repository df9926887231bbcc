"""The whole of Envoy's configuration, and its command line."""

from typing import Final

import orjson

from controller.dataplane.gate import limits, tls
from controller.dataplane.gate.clusters import clusters
from controller.dataplane.gate.listeners import egress, ingress
from controller.dataplane.gate.model import Gate, Json, socket_address, typed
from controller.dataplane.gate.probe import (
    ADMIN_CERTS_PATH,
    ADMIN_CLIENTS_PATH,
    ADMIN_DRAIN_PATH,
    ADMIN_HEALTH_PATH,
    ADMIN_METRICS_PATH,
    probe,
)
from controller.dataplane.gate.stats import stats_config

CONFIG_FILE: Final = "envoy.json"


def files(gate: Gate) -> dict[str, str]:
    """Return what `gate.folders.config` holds, JSON by file name. Same gate, same bytes."""
    contents = {CONFIG_FILE: _bootstrap(gate)}
    if gate.core_urls[0].startswith("https:"):
        contents |= tls.core_secrets(gate)
    return {
        name: orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
        for name, content in contents.items()
    }


def arguments(gate: Gate) -> list[str]:
    """Return the command line after the program's name."""
    return [
        *("-c", f"{gate.folders.config}/{CONFIG_FILE}"),
        # One worker serves more than one etcd does, and each costs memory.
        *("--concurrency", "1"),
        *("--drain-time-s", str(limits.DRAIN_SECONDS)),
        # Every answer ends its connection from the first moment on, not more and more of them.
        *("--drain-strategy", "immediate"),
        # It would want shared memory, for a successor that a pod never has.
        "--disable-hot-restart",
        *("--log-level", "warning"),
    ]


def _bootstrap(gate: Gate) -> Json:
    return {
        # Envoy takes no secrets from files without both.
        "node": {"id": gate.storage, "cluster": "etcdproxy-gate"},
        "admin": _admin(gate),
        "static_resources": {
            "listeners": [ingress(gate), probe(gate), egress(gate)],
            "clusters": clusters(gate),
        },
        "stats_config": stats_config(),
        "overload_manager": _overload_manager(),
    }


def _admin(gate: Gate) -> Json:
    paths = (
        *(ADMIN_DRAIN_PATH, ADMIN_METRICS_PATH, ADMIN_CERTS_PATH),
        *(ADMIN_CLIENTS_PATH, ADMIN_HEALTH_PATH),
    )
    return {
        "address": socket_address("127.0.0.1", gate.ports.admin),
        "allow_paths": [{"exact": path} for path in paths],
    }


def _overload_manager() -> Json:
    """Refuse requests before the container's memory is used up, and connections of all kinds.

    No listener is excepted from the latter: Envoy 1.40 takes every end of a connection of such a
    listener for room for one more.
    """
    heap = "envoy.resource_monitors.fixed_heap"
    connections = "envoy.resource_monitors.global_downstream_max_connections"
    monitors = "envoy.extensions.resource_monitors"
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": heap,
                "typed_config": typed(
                    f"{monitors}.fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=limits.HEAP
                ),
            },
            {
                "name": connections,
                "typed_config": typed(
                    f"{monitors}.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=limits.ALL_CONNECTIONS,
                ),
            },
        ],
        "actions": [
            _action("shrink_heap", heap, 0.8),
            _action("stop_accepting_requests", heap, 0.95),
        ],
    }


def _action(name: str, resource: str, share: float) -> Json:
    trigger = {"name": resource, "threshold": {"value": share}}
    return {"name": f"envoy.overload_actions.{name}", "triggers": [trigger]}
