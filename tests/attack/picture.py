"""The core as its administrator sees it: what no tenant's attack may change."""

import time
from dataclasses import dataclass
from typing import Any

from tests.support.etcdrpc import OK, OUT_OF_RANGE, Connection, Endpoint, Schema


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that somebody else than the attacker holds."""

    granted: int
    """Seconds."""
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that must be the same after an attack."""

    keys: dict[bytes, tuple[bytes, int, int]]
    """Value, modification revision and lease of all keys but the attacker's."""
    leases: dict[int, Lease]
    """The others'."""
    members: tuple[tuple[int, str, tuple[str, ...]], ...]
    users: dict[str, tuple[str, ...]]
    roles: dict[str, tuple[str, ...]]
    auth: tuple[bool, int]
    """Whether it is on, and the revision of users and roles."""
    alarms: tuple[str, ...]
    state: tuple[str, int, str]
    """Version, leader and downgrade."""
    compacted: bool
    """Whether the first revision cannot be read any more."""


class Core:
    """The core etcd, as its root; of one thread. `close` it."""

    def __init__(self, endpoint: Endpoint, schema: Schema) -> None:
        self.schema = schema
        self._connection = Connection(endpoint)

    def close(self) -> None:
        self._connection.close()

    def call(self, path: str, **fields: Any) -> Any:
        """Call a unary method and return the message it answers."""
        method = self.schema.methods[path]
        answer = self._connection.call(path, self.schema.make(method.input, **fields))
        assert answer.code == OK, (path, answer.code, answer.text)
        return self.schema.read(method.output, answer.messages()[0])

    def put(self, key: bytes, value: bytes, lease: int = 0) -> None:
        self.call("/etcdserverpb.KV/Put", key=key, value=value, lease=lease)

    def get(self, key: bytes) -> bytes | None:
        answer = self.call("/etcdserverpb.KV/Range", key=key)
        return bytes(answer.kvs[0].value) if answer.kvs else None

    def grant(self, seconds: int, number: int = 0) -> int:
        """Grant a lease and return its number."""
        return int(self.call("/etcdserverpb.Lease/LeaseGrant", TTL=seconds, ID=number).ID)

    def revoke(self, lease: int) -> None:
        self.call("/etcdserverpb.Lease/LeaseRevoke", ID=lease)

    def leases(self) -> dict[int, Lease]:
        """Return all that exist."""
        held = self.call("/etcdserverpb.Lease/LeaseLeases").leases
        return {lease.ID: found for lease in held if (found := self._lease(lease.ID))}

    def expiry(self, lease: int) -> float:
        """Return when a lease ends, in seconds of the monotonic clock."""
        return time.monotonic() + float(self._time_to_live(lease).TTL)

    def picture(self, prefix: bytes, leases: set[int]) -> Picture:
        """Look at everything but the keys below `prefix`, with these leases of the others."""
        everything = self.call("/etcdserverpb.KV/Range", key=b"\0", range_end=b"\0").kvs
        members = self.call("/etcdserverpb.Cluster/MemberList").members
        auth = self.call("/etcdserverpb.Auth/AuthStatus")
        status = self.call("/etcdserverpb.Maintenance/Status")
        alarms = self.call("/etcdserverpb.Maintenance/Alarm").alarms
        held = {number: found for number in leases if (found := self._lease(number))}
        return Picture(
            keys={
                bytes(kv.key): (bytes(kv.value), kv.mod_revision, kv.lease)
                for kv in everything
                if not kv.key.startswith(prefix)
            },
            leases=held,
            members=tuple((m.ID, m.name, tuple(m.peerURLs)) for m in members),
            users=self._users(),
            roles=self._roles(),
            auth=(auth.enabled, auth.authRevision),
            alarms=tuple(map(str, alarms)),
            state=(status.version, status.leader, str(status.downgradeInfo)),
            compacted=self._compacted(),
        )

    def _time_to_live(self, lease: int) -> Any:
        return self.call("/etcdserverpb.Lease/LeaseTimeToLive", ID=lease, keys=True)

    def _lease(self, number: int) -> Lease | None:
        found = self._time_to_live(number)
        return Lease(found.grantedTTL, tuple(sorted(found.keys))) if found.TTL > 0 else None

    def _users(self) -> dict[str, tuple[str, ...]]:
        names = self.call("/etcdserverpb.Auth/UserList").users
        return {
            name: tuple(self.call("/etcdserverpb.Auth/UserGet", name=name).roles) for name in names
        }

    def _roles(self) -> dict[str, tuple[str, ...]]:
        names = self.call("/etcdserverpb.Auth/RoleList").roles
        return {
            name: tuple(map(str, self.call("/etcdserverpb.Auth/RoleGet", role=name).perm))
            for name in names
        }

    def _compacted(self) -> bool:
        request = self.schema.make("RangeRequest", key=b"\0", revision=1)
        answer = self._connection.call("/etcdserverpb.KV/Range", request)
        assert answer.code in {OK, OUT_OF_RANGE}, answer
        return answer.code != OK
