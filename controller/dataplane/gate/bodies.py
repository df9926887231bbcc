"""Requests whose body a script looks at: as a whole before any of it goes on, or as it comes."""

from collections.abc import Mapping
from typing import Final

from controller.dataplane.gate.model import Json, typed

LUA: Final = "envoy.filters.http.lua"
BUFFER: Final = "envoy.filters.http.buffer"

_BUFFER: Final = "envoy.extensions.filters.http.buffer.v3.Buffer"
_LUA: Final = "envoy.extensions.filters.http.lua.v3.Lua"


def filters(scripts: Mapping[str, str]) -> list[Json]:
    """Return the HTTP filters that `on_route` switches on; elsewhere they do nothing.

    `scripts` are Lua by the name that routes give.
    """
    sources = {name: {"inline_string": script} for name, script in scripts.items()}
    return [
        # It bounds what the script waits for: a route's own limit does not count there.
        {"name": BUFFER, "disabled": True, "typed_config": typed(_BUFFER, **_bound(1))},
        {"name": LUA, "typed_config": typed(_LUA, source_codes=sources)},
    ]


def on_route(script: str, most: int) -> Json:
    """Return the filters of a route whose bodies this script looks at, of at most `most` bytes."""
    return {
        BUFFER: typed(f"{_BUFFER}PerRoute", buffer=_bound(most)),
        **on_stream(script),
    }


def on_stream(script: str) -> Json:
    """Return the filter of a route whose bodies this script looks at as they come."""
    return {LUA: typed(f"{_LUA}PerRoute", name=script)}


def _bound(most: int) -> Json:
    return {"max_request_bytes": most}
