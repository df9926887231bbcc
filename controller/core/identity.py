"""What a storage is called in the core etcd, and what it may reach there."""

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

_PREFIX: Final = "etcdstorage:"
"""In front of every name of ours, so that none is ever etcd's own `root`."""

_LONGEST: Final = 52
"""Characters of a name that fit: the user's name is the common name of its certificate, and X.520
ends one after 64 characters."""

_DIGITS: Final = 32
"""128 bits of a digest: a search finds no two names with one, as it soon does with 40 bits."""

_KEPT: Final = _LONGEST - 1 - _DIGITS

COMPACT_REV_KEY: Final = b"compact_rev_key"
"""Where API servers agree on who compacts. One that may not read it asks every second."""

PermissionType = Literal["READ", "WRITE", "READWRITE"]
"""The kinds of etcd's `authpb.Permission.Type`."""


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """What a role may do with the keys from `key` up to, without, `range_end`.

    As in etcd, an empty `range_end` means the one key.
    """

    key: bytes
    range_end: bytes
    type: PermissionType


def user_name(storage: str) -> str:
    """Return the name of this storage's user and role, 64 characters at most.

    That of a storage with more than 52 characters is its first 19, a dot, which no storage's name
    has, and 32 hexadecimal digits of the whole name's SHA-256.
    """
    if len(storage) <= _LONGEST:
        return _PREFIX + storage
    digest = hashlib.sha256(storage.encode()).hexdigest()[:_DIGITS]
    return f"{_PREFIX}{storage[:_KEPT]}.{digest}"


def key_range(storage: str) -> tuple[bytes, bytes]:
    """Return the storage's first possible key, and the one with which its keys are over.

    Raises ValueError for a name that would reach into another storage's keys, or be above them.
    """
    if not storage or "/" in storage:
        raise ValueError(f"no storage can be called {storage!r}")
    # The byte after the last of the prefix, "/", ends the range of everything below it.
    return f"/{storage}/".encode(), f"/{storage}0".encode()


def permissions(storage: str) -> frozenset[Permission]:
    """Return all that the storage's role has: its own keys, and a look at the compactor's."""
    own = Permission(*key_range(storage), "READWRITE")
    return frozenset({own, Permission(COMPACT_REV_KEY, b"", "READ")})
