"""What a tenant may ask when it grants a lease: a time to live, and nothing else.

A chosen ID could be the next one of somebody else, whose grant would then fail; and a lease
stays in the core's memory for as long as was asked for.
"""

from typing import Final

from controller.dataplane.gate import bodies, limits
from controller.dataplane.gate.model import Json, typed

GUARD: Final = "lease-grant"
RATE_LIMIT: Final = "envoy.filters.http.local_ratelimit"

REFUSAL: Final = (
    f"grant leases without an ID of your own and for at most {limits.LEASE_TTL} seconds:"
    " nothing else passes the gate"
)
"""The message of the PermissionDenied that a client gets."""

# One gRPC frame: a byte that says "not compressed", four bytes of length; then at most field 1,
# a varint of up to three bytes. The body is whole here: the buffer filter saw to that.
SCRIPT: Final = f"""
local function lawful(body)
  local size = body:length()
  if size < 5 or size > 9 then return false end
  local frame = body:getBytes(0, size)
  local flag, a, b, c, rest = frame:byte(1, 5)
  if flag ~= 0 or a ~= 0 or b ~= 0 or c ~= 0 or rest ~= size - 5 then return false end
  if rest == 0 then return true end
  if rest == 1 or frame:byte(6) ~= 8 then return false end
  local seconds, unit = 0, 1
  for i = 7, size do
    local byte = frame:byte(i)
    if (byte < 128) ~= (i == size) then return false end
    seconds, unit = seconds + byte % 128 * unit, unit * 128
  end
  return seconds <= {limits.LEASE_TTL}
end

function envoy_on_request(handle)
  local body = handle:body()
  if body == nil or not lawful(body) then
    handle:respond({{[":status"] = "403"}}, "{REFUSAL}")
  end
end
"""


def rate_limit() -> Json:
    """Return the HTTP filter that `on_route` switches on; elsewhere it does nothing."""
    return {"name": RATE_LIMIT, "typed_config": _rate_limit()}


def on_route() -> Json:
    """Return the filters that a route of LeaseGrant has beyond others."""
    bucket = {
        "max_tokens": limits.LEASE_GRANTS_BURST,
        "tokens_per_fill": limits.LEASE_GRANTS_PER_SECOND,
        "fill_interval": "1s",
    }
    rate = _rate_limit(token_bucket=bucket, filter_enabled=_ALWAYS, filter_enforced=_ALWAYS)
    return {RATE_LIMIT: rate, **bodies.on_route(GUARD, limits.LEASE_GRANT_BYTES)}


_ALWAYS: Final = {"default_value": {"numerator": 100}}


def _rate_limit(**fields: Json) -> Json:
    # What is over the limit is answered with 429, which gRPC reads as Unavailable: etcd's client
    # grants again on that by itself, and gives up at once on ResourceExhausted.
    return typed(
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="lease_grant",
        **fields,
    )
