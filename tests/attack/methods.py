"""For every method that etcd serves: whom the gate lets call it, and what holds him there then.

The list of methods comes from etcd's own descriptors. One that a new etcd adds is missing here,
and the test fails until somebody has decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tests.attack.scene import Place

PROXY = Place("Proxy", auth=False)
PROXY_AUTH = Place("Proxy", auth=True)
DIRECT = Place("Direct", auth=True)
PLACES = (PROXY, PROXY_AUTH, DIRECT)
"""Where a tenant can be. Direct without auth is none: nothing would hold it."""

NOWHERE: frozenset[Place] = frozenset()
EVERYWHERE = frozenset(PLACES)
WITH_AUTH = frozenset((PROXY_AUTH, DIRECT))
DIRECT_ONLY = frozenset((DIRECT,))

PREFIX = "keys are rewritten by grpc-proxy, or checked by the core against the tenant's role"


@dataclass(frozen=True, slots=True)
class Decision:
    """Who may call a method."""

    places: frozenset[Place]
    bound: str
    """What keeps the method to the tenant's own, or why it is refused."""
    example: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Fields of a call that does harm, or shows something, wherever it gets through."""


def _allow(places: frozenset[Place], bound: str, **example: Any) -> Decision:
    return Decision(places, bound, example)


def _refuse(why: str, **example: Any) -> Decision:
    return Decision(NOWHERE, why, example)


_KV = {
    "Range": _allow(EVERYWHERE, PREFIX, key=b"/a/k"),
    "RangeStream": _allow(DIRECT_ONLY, f"{PREFIX}; grpc-proxy does not have it", key=b"/a/k"),
    "Put": _allow(EVERYWHERE, PREFIX, key=b"/a/k", value=b"v"),
    "DeleteRange": _allow(EVERYWHERE, PREFIX, key=b"/a/k"),
    "Txn": _allow(EVERYWHERE, PREFIX),
    "Compact": _refuse("takes history from everybody's watches", revision=2, physical=True),
}
_LEASE = {
    "LeaseGrant": _allow(EVERYWHERE, "body: no chosen id, a short life; rate", TTL=60),
    "LeaseRevoke": _allow(WITH_AUTH, "the core checks the keys attached", ID=4242),
    "LeaseKeepAlive": _allow(WITH_AUTH, "the core checks the keys attached", ID=4242),
    "LeaseTimeToLive": _allow(WITH_AUTH, "the core checks the keys attached", ID=4242),
    "LeaseLeases": _refuse("names everybody's leases"),
}
_CLUSTER = {
    "MemberAdd": _refuse("control of the core", peerURLs=["http://127.0.0.1:1"], isLearner=True),
    "MemberRemove": _refuse("control of the core", ID=1),
    "MemberUpdate": _refuse("control of the core", ID=1, peerURLs=["http://127.0.0.1:1"]),
    "MemberList": _refuse("names the core's members"),
    "MemberPromote": _refuse("control of the core", ID=1),
}
_MAINTENANCE = {
    "Alarm": _refuse("stops everybody's writes", action=1, alarm=1),
    "Status": _allow(DIRECT_ONLY, "figures of the core as a whole; API servers ask for them"),
    "Defragment": _refuse("stops the core meanwhile"),
    "Hash": _refuse("reads everything"),
    "HashKV": _refuse("reads everything"),
    "Snapshot": _refuse("everybody's data"),
    "MoveLeader": _refuse("control of the core", targetID=1),
    "Downgrade": _refuse("control of the core", action=1, version="3.6.0"),
}
_AUTH = {
    "AuthEnable": _refuse("control of the core"),
    "AuthDisable": _refuse("control of the core"),
    "AuthStatus": _refuse("shows how often users change"),
    "Authenticate": _refuse("passwords could be tried", name="root", password="root"),
    "UserAdd": _refuse("users", name="mine", password="mine"),
    "UserGet": _refuse("users", name="etcdstorage:a"),
    "UserList": _refuse("users"),
    "UserDelete": _refuse("users", name="etcdstorage:aa"),
    "UserChangePassword": _refuse("users", name="etcdstorage:a", password="mine"),
    "UserGrantRole": _refuse("users", user="etcdstorage:a", role="root"),
    "UserRevokeRole": _refuse("users", name="etcdstorage:aa", role="etcdstorage:aa"),
    "RoleAdd": _refuse("roles", name="mine"),
    "RoleGet": _refuse("roles", role="etcdstorage:a"),
    "RoleList": _refuse("roles"),
    "RoleDelete": _refuse("roles", role="etcdstorage:aa"),
    "RoleGrantPermission": _refuse(
        "roles", name="etcdstorage:a", perm={"permType": 2, "key": b"\0", "range_end": b"\0"}
    ),
    "RoleRevokePermission": _refuse(
        "roles", role="etcdstorage:aa", key=b"/aa/", range_end=b"/aa0"
    ),
}
_LEADER = {"name": b"/aa/election", "key": b"/aa/election/1", "rev": 1, "lease": 4242}
_ELECTION = {
    "Campaign": _refuse("writes with any lease", name=b"/aa/election", lease=4242),
    "Proclaim": _refuse("writes", leader=_LEADER, value=b"mine"),
    "Leader": _refuse("reads", name=b"/aa/election"),
    "Observe": _refuse("reads", name=b"/aa/election"),
    "Resign": _refuse("deletes", leader=_LEADER),
}
_LOCK = {
    "Lock": _refuse("writes with any lease", name=b"/aa/lock", lease=4242),
    "Unlock": _refuse("deletes", key=b"/aa/lock"),
}
_HEALTH = {
    "Check": _refuse("the gate's own probes say it"),
    "List": _refuse("the gate's own probes say it"),
    "Watch": _refuse("the gate's own probes say it"),
}

_SERVICES = {
    "etcdserverpb.KV": _KV,
    "etcdserverpb.Watch": {"Watch": _allow(EVERYWHERE, PREFIX, create_request={"key": b"/a/k"})},
    "etcdserverpb.Lease": _LEASE,
    "etcdserverpb.Cluster": _CLUSTER,
    "etcdserverpb.Maintenance": _MAINTENANCE,
    "etcdserverpb.Auth": _AUTH,
    "v3electionpb.Election": _ELECTION,
    "v3lockpb.Lock": _LOCK,
    "grpc.health.v1.Health": _HEALTH,
}
DECISIONS: Mapping[str, Decision] = {
    f"/{service}/{method}": decision
    for service, methods in _SERVICES.items()
    for method, decision in methods.items()
}
"""By path, `/etcdserverpb.KV/Range`."""
