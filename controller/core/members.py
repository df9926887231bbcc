"""What a member of the core tells of itself, and of the others, to whoever it lets in."""

from dataclasses import dataclass
from typing import Final

from controller.core.connection import Connection
from controller.core.messages import define

_MESSAGES: Final = define({
    "ResponseHeader": ("int64 revision 3",),
    "StatusRequest": (),
    "StatusResponse": (
        *("ResponseHeader header 1", "string version 2", "int64 dbSize 3", "uint64 leader 4"),
        *("repeated string errors 8", "int64 dbSizeQuota 12"),
    ),
    "MemberListRequest": (),
    "Member": ("string name 2", "repeated string clientURLs 4"),
    "MemberListResponse": ("repeated Member members 2",),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A member's word of itself; `quota` is 0 where it does not tell (before etcd 3.6).

    `errors` are alarms such as NOSPACE, and that there is no leader.
    """

    version: str
    size: int
    """Of its database, in bytes."""
    quota: int
    leader: bool
    """Whether the members have one."""
    errors: tuple[str, ...]
    revision: int


def member_status(connection: Connection) -> MemberStatus:
    """Ask for it; raises CoreError."""
    request = _MESSAGES["StatusRequest"]()
    answer = connection.call("Maintenance/Status", request, _MESSAGES["StatusResponse"])
    return MemberStatus(
        version=answer.version,
        size=answer.dbSize,
        quota=answer.dbSizeQuota,
        leader=answer.leader != 0,
        errors=tuple(answer.errors),
        revision=answer.header.revision,
    )


def member_urls(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Return the URLs for clients of each member, by its name; raises CoreError."""
    request = _MESSAGES["MemberListRequest"]()
    answer = connection.call("Cluster/MemberList", request, _MESSAGES["MemberListResponse"])
    return {member.name: tuple(member.clientURLs) for member in answer.members}
