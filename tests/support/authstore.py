"""The users and roles of a core etcd in memory, with etcd's own rules (its auth/store.go)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from controller.core.errors import AlreadyExistsError, NotFoundError
from controller.core.identity import Permission
from controller.core.looks import AuthStatus
from controller.core.users import (
    AddRole,
    AddUser,
    DeleteRole,
    DeleteUser,
    Found,
    GrantPermission,
    GrantRole,
    RevokePermission,
    RevokeRole,
    Step,
)
from tests.support.keystore import KeyStore


@dataclass
class AuthStore:
    """A `controller.core.rounds.Core`. A call raises what `failures` begins with, if anything."""

    roles: dict[str, list[Permission]] = field(default_factory=lambda: {"root": []})
    users: dict[str, set[str]] = field(default_factory=lambda: {"root": {"root"}})
    enabled: bool = True
    changes: int = 3
    failures: list[Exception | None] = field(default_factory=list)
    log: list[Step] = field(default_factory=list)
    written: int = 1
    """The latest revision of the keys."""
    compacted: int = 0
    closed: bool = False
    finds: int = 0
    """How often a user was looked at."""
    takes: Callable[[], object] = lambda: None
    """What happens while the core makes a change."""
    keyspace: KeyStore = field(default_factory=KeyStore)

    def answers(self) -> bool:
        return True

    def auth_status(self) -> AuthStatus:
        self._fail()
        return AuthStatus(self.enabled, self.changes)

    def find(self, name: str) -> Found:
        self._fail()
        self.finds += 1
        role, user = self.roles.get(name), self.users.get(name)
        return Found(
            None if role is None else frozenset(role), None if user is None else frozenset(user)
        )

    def take(self, step: Step) -> None:
        self._fail()
        self.takes()
        self._change(step)
        self.changes += 1
        self.log.append(step)

    def revision(self) -> int:
        return self.written

    def is_kept(self, revision: int) -> bool:
        return revision >= self.compacted

    def count(self, key: bytes, range_end: bytes) -> int:
        return self.keyspace.count(key, range_end)

    def page(self, key: bytes, range_end: bytes, limit: int) -> tuple[bytes, ...]:
        return self.keyspace.page(key, range_end, limit)

    def delete(self, key: bytes, range_end: bytes) -> int:
        return self.keyspace.delete(key, range_end)

    def close(self) -> None:
        self.closed = True

    def _fail(self) -> None:
        if self.failures and (failure := self.failures.pop(0)):
            raise failure

    def _change(self, step: Step) -> None:
        match step:
            case AddRole(role):
                _must(role not in self.roles, AlreadyExistsError)
                self.roles[role] = []
            case DeleteRole(role):
                _must(role in self.roles, NotFoundError)
                del self.roles[role]
                for had in self.users.values():
                    had.discard(role)
            case AddUser(user):
                _must(user not in self.users, AlreadyExistsError)
                self.users[user] = set()
            case DeleteUser(user):
                _must(user in self.users, NotFoundError)
                del self.users[user]
            case GrantRole(user, role):
                _must(user in self.users and role in self.roles, NotFoundError)
                self.users[user].add(role)
            case RevokeRole(user, role):
                _must(role in self.users.get(user, ()), NotFoundError)
                self.users[user].remove(role)
            case GrantPermission(role, permission):
                _must(role in self.roles, NotFoundError)
                _grant(self.roles[role], permission)
            case RevokePermission(role, key, range_end):
                granted = self.roles.get(role, [])
                left = [p for p in granted if (p.key, p.range_end) != (key, range_end)]
                _must(len(left) < len(granted), NotFoundError)
                self.roles[role] = left


def _grant(had: list[Permission], permission: Permission) -> None:
    """Only the first of a key is compared: a second range of it is added, not replaced."""
    at = next((i for i, p in enumerate(had) if p.key >= permission.key), len(had))
    same = at < len(had) and had[at].key == permission.key
    if same and had[at].range_end == permission.range_end:
        had[at] = permission
    else:
        had.append(permission)
        had.sort(key=lambda p: p.key)


def _must(holds: bool, error: type[Exception]) -> None:  # noqa: FBT001
    if not holds:
        raise error("etcd says so")
