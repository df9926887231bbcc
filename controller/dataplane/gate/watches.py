"""How many watches a tenant may have: on one stream, and on all that are open in a pod.

A client puts all its watches on one stream, which so costs the core what the tenant likes. What
creates one too many does not go on: the stream ends with Unavailable, and etcd's client opens
another and resumes there those that it still wants. So nobody has to see which watches have been
cancelled: a stream's count begins anew with the stream.
"""

from typing import Final

from controller.dataplane.gate import bodies, limits
from controller.dataplane.gate.model import Json

GUARD: Final = "watch"
REFUSAL: Final = (
    f"open another stream: one carries {limits.STREAM_WATCHES} new watches,"
    f" and a pod {limits.WATCHES} on {limits.WATCH_STREAMS} streams"
)
"""The message of the Unavailable that a client gets."""

# A body is gRPC frames, in chunks of any size: a byte that says "not compressed", four bytes of
# length, then one WatchRequest: create_request 1, cancel_request 2, progress_request 3. Of these
# the last one counts (a oneof). So a frame that holds one field 2 or 3 and nothing else costs
# nothing. Every other may create one watch, and the core keeps all that it says. One that is cut
# before its third byte of content counts like those.
# A count lives as long as the coroutine of its stream, which Envoy keeps until the stream is gone
# in both directions, however that came about: the core keeps watches after the end of a request.
# What is one too many begins with a byte that no message can: a field of type 7. Where it has no
# content, that is a kind of frame that does not exist. etcd ends the stream with Internal for it,
# and grpc-proxy with Canceled, which a client would take for its own doing.
SCRIPT: Final = f"""
local counts = setmetatable({{}}, {{__mode = "k"}})
local streams, total = 0, 0

local function fit(more_streams, more)
  return streams + more_streams <= {limits.WATCH_STREAMS} and total + more <= {limits.WATCHES}
end

local function has_room(more_streams, more)
  if fit(more_streams, more) then return true end
  collectgarbage()
  streams, total = 0, 0
  for _, count in pairs(counts) do streams, total = streams + 1, total + count end
  return fit(more_streams, more)
end

local function cost(flag, size, tag, length)
  local creates_none = flag == 0 and (tag == 18 or tag == 26)
    and length and length < 128 and length == size - 2
  return creates_none and 0 or 1 + math.floor(size / {limits.WATCH_BYTES})
end

local function admits(stream, more)
  local count = counts[stream] + more
  if more > 0 and (count > {limits.STREAM_WATCHES} or not has_room(0, more)) then return false end
  counts[stream], total = count, total + more
  return true
end

-- Of the frame that the bytes so far end in, `head` is what is known of its first five, or `rest`
-- how many are still to come after those. Returns where the content of one too many begins.
local function follow(stream, frame, bytes)
  local at = 0
  while true do
    local passed = math.min(frame.rest, #bytes - at)
    at, frame.rest = at + passed, frame.rest - passed
    local head = frame.head .. bytes:sub(at + 1, at + 7 - #frame.head)
    if #head < 5 then
      frame.head = head
      return nil
    end
    local flag, a, b, c, d, tag, length = head:byte(1, 7)
    local size = ((a * 256 + b) * 256 + c) * 256 + d
    at, frame.head, frame.rest = at + 5 - #frame.head, "", size
    if not admits(stream, cost(flag, size, tag, length)) then return at end
  end
end

local function metadata(handle)
  return handle:streamInfo():dynamicMetadata()
end

function envoy_on_request(handle)
  if not has_room(1, 1) then
    handle:respond({{[":status"] = "503"}}, "{REFUSAL}")
    return
  end
  local stream, frame = coroutine.running(), {{head = "", rest = 0}}
  counts[stream], streams = 0, streams + 1
  for chunk in handle:bodyChunks() do
    local bytes = chunk:getBytes(0, chunk:length())
    local too_many = follow(stream, frame, bytes)
    if too_many then
      metadata(handle):set("{bodies.LUA}", "{GUARD}", "full")
      chunk:setBytes(bytes:sub(1, too_many) .. "\\255\\0\\0\\0\\0" .. bytes:sub(too_many + 1))
      return
    end
  end
end

function envoy_on_response(handle)
  local last = handle:headers()
  if last:get("grpc-status") == nil then last = handle:trailers() end
  local said = metadata(handle):get("{bodies.LUA}")
  if last and said and said["{GUARD}"] then
    last:replace("grpc-status", "14")
    last:replace("grpc-message", "{REFUSAL}")
  end
end
"""


def on_route() -> Json:
    """Return the filter that a route of Watch has beyond others."""
    return bodies.on_stream(GUARD)
