"""What a tenant may ask in one transaction: no other transaction, and a few reads.

The core reads for each Range again, and holds all answers until the last: without a bound one
small request that reads a large value thousands of times takes all of its memory. Puts and
deletes are not counted, as etcd changes a key at most once in a transaction, so that old values
come once, too.
"""

from typing import Final

from controller.dataplane.gate import bodies, limits
from controller.dataplane.gate.model import Json

GUARD: Final = "transaction"
REFUSAL: Final = (
    "send transactions uncompressed, without another inside, with at most"
    f" {limits.TXN_READS} Ranges, {limits.TXN_LISTS} Ranges or comparisons over several keys, and"
    f" {limits.TXN_FIELDS} fields: nothing else passes the gate"
)
"""The message of the Unimplemented that a client gets."""

# One gRPC frame, a byte that says "not compressed" and four bytes of length; then a TxnRequest:
# compare 1, success 2, failure 3, of which the latter hold RequestOps: request_range 1,
# request_put 2, request_delete_range 3, request_txn 4. The range_end of a RangeRequest is its
# field 2, that of a Compare 64.
# All of them are read as etcd reads them, with long varints and unknown fields; but for what only
# an attacker sends: groups, and numbers of fields that do not fit 32 bits. Values are passed over
# and not copied. The body is whole here: the buffer filter saw to that.
SCRIPT: Final = f"""
local function varint(head, at)
  local value, unit = 0, 1
  for i = at, at + 9 do
    local byte = head:byte(i)
    value, unit = value + byte % 128 * unit, unit * 128
    if byte < 128 then return value, i + 1 end
  end
  error("a number that does not end")
end

local fixed = {{[1] = 8, [5] = 4}}

-- Of the one transaction that is looked at: nothing here waits.
local body, fields, reads, lists

-- Calls see(number, from, to) for each field of the message between these two offsets.
local function each_field(from, to, see)
  while from < to do
    local head = body:getBytes(from, math.min(20, to - from))
    local tag, at = varint(head, 1)
    local number, kind, size = math.floor(tag / 8), tag % 8, 0
    if kind == 0 then
      at = select(2, varint(head, at))
    elseif kind == 2 then
      size, at = varint(head, at)
    else
      size = fixed[kind]
    end
    local content = from + at - 1
    from = content + size
    fields = fields + 1
    if tag >= 2^32 or from > to or fields > {limits.TXN_FIELDS} then error("no field") end
    see(number, content, from, kind == 2)
  end
end

local function see_compare(number)
  if number == 64 then lists = lists + 1 end
end

local function see_range(number)
  if number == 2 then lists = lists + 1 end
end

local function see_operation(number, from, to, whole)
  if number < 1 or number > 3 or not whole then error("no known operation") end
  if number == 1 then
    reads = reads + 1
    each_field(from, to, see_range)
  end
end

local function see_transaction(number, from, to, whole)
  if number < 1 or number > 3 then return end
  -- One without an operation ends a grpc-proxy.
  if not whole or number > 1 and from == to then error("no operation") end
  each_field(from, to, number == 1 and see_compare or see_operation)
end

local function lawful()
  local flag, a, b, c, d = body:getBytes(0, 5):byte(1, 5)
  local size = ((a * 256 + b) * 256 + c) * 256 + d
  if flag ~= 0 or size ~= body:length() - 5 then return false end
  fields, reads, lists = 0, 0, 0
  each_field(5, 5 + size, see_transaction)
  return reads <= {limits.TXN_READS} and lists <= {limits.TXN_LISTS}
end

function envoy_on_request(handle)
  body = handle:body()
  local parsed, passes = false, false
  if body ~= nil then parsed, passes = pcall(lawful) end
  body = nil
  if not (parsed and passes) then
    handle:respond({{[":status"] = "404"}}, "{REFUSAL}")
  end
end
"""


def on_route() -> Json:
    """Return the filters that a route of Txn has beyond others."""
    return bodies.on_route(GUARD, limits.TXN_BYTES)
