"""A gate without its limits: the yardstick for what they do."""

import json
from collections.abc import Mapping
from typing import Any

from controller.dataplane.gate import CONFIG_FILE
from hack.dataplane import GatePod

_BOUNDS = frozenset({"circuit_breakers", "max_concurrent_streams", "overload_manager"})
_FILTERS = (
    *("envoy.filters.network.connection_limit", "envoy.filters.http.bandwidth_limit"),
    "envoy.filters.http.local_ratelimit",
)
_NO_BOUND = 2**32 - 1
# Envoy has bounds of its own where none are given.
_BREAKERS = dict.fromkeys(
    ("max_connections", "max_pending_requests", "max_requests", "max_retries"), _NO_BOUND
)


class LiftedPod(GatePod):
    """A pod whose gate has the same configuration, but for every bound."""

    def write_config(self, files: Mapping[str, bytes]) -> None:
        config = json.dumps(lifted(json.loads(files[CONFIG_FILE])))
        super().write_config({**files, CONFIG_FILE: config.encode()})


def lifted(config: Any) -> Any:
    """Return a bootstrap without what bounds a tenant."""
    rest = _without_bounds(config)
    for cluster in rest["static_resources"]["clusters"]:
        cluster["circuit_breakers"] = {"thresholds": [_BREAKERS]}
    return rest


def _without_bounds(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_bounds(each) for each in value if not _is_bound(each)]
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if name not in _BOUNDS}
        return {name: _without_bounds(each) for name, each in kept.items() if name not in _FILTERS}
    return value


def _is_bound(value: Any) -> bool:
    return isinstance(value, dict) and value.get("name") in _FILTERS
