"""Which changes bring a storage's user and role to what they should be: no I/O, no memory.

Every list of steps may end anywhere, as the next one begins with a new look. The order keeps what
is half made from giving more than it should: what is too much goes first, a role has its
permissions before a user has the role, and what is removed loses its permissions before all else.
"""

from dataclasses import dataclass
from typing import Final

from controller.api.conditions import Problem
from controller.core.identity import Permission, permissions, user_name

CORE_USER_CONFLICT: Final = "CoreUserConflict"


@dataclass(frozen=True, slots=True)
class AddRole:
    role: str


@dataclass(frozen=True, slots=True)
class DeleteRole:
    """Takes it from every user as well."""

    role: str


@dataclass(frozen=True, slots=True)
class GrantPermission:
    """A second grant for the same range may add to the first or replace it: revoke that before."""

    role: str
    permission: Permission


@dataclass(frozen=True, slots=True)
class RevokePermission:
    """Takes all permissions for exactly this range, of whatever type."""

    role: str
    key: bytes
    range_end: bytes


@dataclass(frozen=True, slots=True)
class AddUser:
    """Without a password: only a client certificate makes somebody this user."""

    user: str


@dataclass(frozen=True, slots=True)
class DeleteUser:
    user: str


@dataclass(frozen=True, slots=True)
class GrantRole:
    user: str
    role: str


@dataclass(frozen=True, slots=True)
class RevokeRole:
    user: str
    role: str


Step = (
    AddRole
    | DeleteRole
    | GrantPermission
    | RevokePermission
    | AddUser
    | DeleteUser
    | GrantRole
    | RevokeRole
)
"""One change of the core's users; the core makes it whole or not at all."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the core has under a storage's name."""

    permissions: frozenset[Permission] | None
    """Of the role; None: there is no such role."""
    roles: frozenset[str] | None
    """Of the user; None: there is no such user.

    etcd does not tell whether it has a password, so no such user can be told from one of ours.
    Only root can have given it one, and root reaches the storage's keys in any case.
    """


NOTHING = Found(None, None)


def keep(storage: str, found: Found) -> list[Step]:
    """Return the steps after which role and user are exactly the storage's; none if they are."""
    name = user_name(storage)
    wanted = permissions(storage)
    had = found.permissions or frozenset()
    ranges = sorted({(p.key, p.range_end) for p in had - wanted})
    left = {p for p in had if (p.key, p.range_end) not in ranges}
    roles = found.roles or frozenset()
    return [
        *(RevokeRole(name, role) for role in sorted(roles - {name})),
        *(RevokePermission(name, key, range_end) for key, range_end in ranges),
        *([AddRole(name)] if found.permissions is None else []),
        *(GrantPermission(name, permission) for permission in sorted(wanted - left)),
        *([AddUser(name)] if found.roles is None else []),
        *([GrantRole(name, name)] if name not in roles else []),
    ]


def remove(storage: str, found: Found) -> list[Step]:
    """Return the steps after which neither is there; none if they are gone.

    Watches that are open are never checked again by etcd: the storage's pods have to go too.
    """
    name = user_name(storage)
    ranges = sorted({(p.key, p.range_end) for p in found.permissions or ()})
    return [
        *(RevokePermission(name, key, range_end) for key, range_end in ranges),
        *([DeleteUser(name)] if found.roles is not None else []),
        *([DeleteRole(name)] if found.permissions is not None else []),
    ]


def conflict(storage: str, found: Found) -> Problem | None:
    """Return why the name cannot be claimed, or None.

    It can if nothing is there, or both are and exactly as they would be made: then it makes no
    difference who made them, but for a password that somebody may have. What is made after the
    last look and before the claim, seconds at most, is taken for ours: there is no transaction
    over both etcds.
    """
    if found == NOTHING or not keep(storage, found):
        return None
    name = user_name(storage)
    there = [
        *(["user"] if found.roles is not None else []),
        *(["role"] if found.permissions is not None else []),
    ]
    return Problem(
        CORE_USER_CONFLICT,
        f"the core etcd has a {' and a '.join(there)} {name} that this controller did not make; "
        "nothing of them was changed. If nobody needs them, remove them "
        f"({', '.join(f'etcdctl {what} delete {name}' for what in there)}); "
        "else give the EtcdStorage another name",
    )
