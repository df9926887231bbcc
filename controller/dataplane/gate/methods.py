"""The calls that a gate lets through, each with its reason; every other is Unimplemented.

- Compact, Snapshot, Defragment, Hash, Alarm, MoveLeader, Downgrade, Cluster and Auth act on the
  core, so on everybody. Lock and Election are not served by API servers' clients, and their keys
  are made by the core. LeaseLeases lists everybody's leases.
- A lease has no owner. Only a core with auth checks the keys attached before it extends, revokes
  or shows one, so only there those three calls pass; a revoke deletes the keys of whomever.
- `Maintenance/Status` tells API servers the core's version, from which they conclude that watch
  progress can be asked for. grpc-proxy drops such a request, and each consistent list would take
  3 s; so it passes in mode Direct alone.
- In mode Direct nothing but the core's users keeps tenants apart: without auth nothing passes.
- `KV/RangeStream` passes in mode Direct alone: grpc-proxy has no such call, and answers
  Unimplemented as we do.

Calls that make work for the core wait for their turn in the gate, writes and reads each in a
queue of their own, so that one tenant's do not pile up before everybody in the core. Calls that
are open for long do not wait, nor does `Status`, whose answer the core has at hand.
"""

from dataclasses import dataclass
from typing import Final

from controller.dataplane.gate.model import READS, WRITES, Gate


@dataclass(frozen=True, slots=True)
class Method:
    """One call of etcd's gRPC API."""

    service: str
    """With its package: `etcdserverpb.KV`."""
    name: str
    streams: bool = False
    """Whether it stays open for as long as the client likes."""
    queue: str = ""
    """The cluster in which it waits for its turn, if it does."""
    lists: bool = False
    """Whether an answer may hold any number of keys."""

    @property
    def path(self) -> str:
        """The path of its requests in HTTP/2."""
        return f"/{self.service}/{self.name}"


RANGE: Final = Method("etcdserverpb.KV", "Range", queue=READS, lists=True)
"""Every read of keys; health checks are such ones, too."""
TXN: Final = Method("etcdserverpb.KV", "Txn", queue=WRITES, lists=True)
WATCH: Final = Method("etcdserverpb.Watch", "Watch", streams=True)
LEASE_GRANT: Final = Method("etcdserverpb.Lease", "LeaseGrant", queue=WRITES)

_EVERYWHERE: Final = (
    RANGE,
    Method("etcdserverpb.KV", "Put", queue=WRITES),
    Method("etcdserverpb.KV", "DeleteRange", queue=WRITES, lists=True),
    TXN,
    WATCH,
    LEASE_GRANT,
)
_DIRECT: Final = (
    Method("etcdserverpb.KV", "RangeStream", queue=READS, lists=True),
    Method("etcdserverpb.Maintenance", "Status"),
)
_WITH_AUTH: Final = (
    Method("etcdserverpb.Lease", "LeaseKeepAlive", streams=True),
    Method("etcdserverpb.Lease", "LeaseRevoke", queue=WRITES),
    Method("etcdserverpb.Lease", "LeaseTimeToLive", queue=READS, lists=True),
)


def allowed(gate: Gate) -> tuple[Method, ...]:
    """Return the calls that pass the gate.

    The same ones pass the egress: in mode Proxy grpc-proxy adds only a watch of its own.
    """
    if gate.direct:
        return (*_EVERYWHERE, *_DIRECT, *_WITH_AUTH) if gate.auth else ()
    return (*_EVERYWHERE, *_WITH_AUTH) if gate.auth else _EVERYWHERE
