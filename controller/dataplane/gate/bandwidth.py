"""How fast a tenant may read and talk: the bytes a second of answers that list, and of streams."""

from typing import Final

from controller.dataplane.gate import limits
from controller.dataplane.gate.model import Json, typed

BANDWIDTH: Final = "envoy.filters.http.bandwidth_limit"
FIGURES: Final = "lists"
"""What the names of its figures begin with."""


def http_filter() -> Json:
    """Return the HTTP filter that `on_route` and `on_stream` switch on, and nothing else does."""
    return {"name": BANDWIDTH, "typed_config": _config()}


def on_route() -> Json:
    """Return the filter of a route whose answers list; each has a bucket of its own."""
    return {BANDWIDTH: _config(enable_mode="RESPONSE", limit_kbps=limits.LISTED_KIB)}


def on_stream() -> Json:
    """Return the filter of a route whose requests stay open; the same."""
    return {BANDWIDTH: _config(enable_mode="REQUEST", limit_kbps=limits.STREAMED_KIB)}


def _config(**fields: str | int) -> Json:
    return typed(
        "envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit",
        stat_prefix=FIGURES,
        **fields,
    )
