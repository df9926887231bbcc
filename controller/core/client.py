"""Users, roles, keys and revisions of the core etcd: its calls, typed. All raise CoreError."""

from collections.abc import Callable
from typing import Any, Final, get_args

from controller.core.connection import Connection
from controller.core.errors import (
    ClosedError,
    CompactedError,
    CoreError,
    DeniedError,
    NotFoundError,
    UnreachableError,
)
from controller.core.identity import COMPACT_REV_KEY, Permission, PermissionType
from controller.core.looks import Access, AuthStatus
from controller.core.messages import MESSAGES
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

_TYPES: Final[tuple[PermissionType, ...]] = get_args(PermissionType)
"""By their number in etcd."""

_ROOT: Final = "root"
"""etcd's own user, who is there as long as auth is on."""

_NOBODY: Final = "there is no user of the certificate's common name"


class CoreClient:
    """Calls are for one thread; `close` is for any, and ends a call that waits."""

    def __init__(self, access: Access, may_change: Callable[[], bool] = lambda: True) -> None:
        """Open nothing yet. Raises ValueError for URLs that are none.

        `may_change` is asked before each change, of which none is guarded by what was seen: a
        program that stood still in between, and has lost its lease, would remove the keys of
        whoever has the name by now. Where it says no a change ends as if the client was closed.
        """
        self._connection = Connection(access)
        self._may_change = may_change

    def close(self) -> None:
        self._connection.close()

    def answers(self) -> bool:
        """Whether a member says anything to us, be it only that we are no user.

        With TLS 1.3 a client hears with its first read, and not in the handshake, that its
        certificate is refused. The call goes no further than the member itself.
        """
        try:
            self._call("Maintenance/Status", "StatusRequest", "Done")
        except ClosedError:
            raise
        except CoreError as error:
            return not isinstance(error, UnreachableError)
        return True

    def auth_status(self) -> AuthStatus:
        """Return whether auth is on; raises DeniedError if it is and we are not root."""
        # Root's roles are told to root only; etcd 3.6 tells others not even the status. Whoever
        # is no user at all is told that there is no such user, whoever it asks for.
        try:
            answer = self._call("Auth/AuthStatus", "AuthStatusRequest", "AuthStatusResponse")
        except NotFoundError as error:
            raise DeniedError(_NOBODY) from error
        if answer.enabled and self._roles(_ROOT) is None:
            raise DeniedError(_NOBODY)
        return AuthStatus(answer.enabled, answer.authRevision)

    def find(self, name: str) -> Found:
        """Return what there is of the role and the user that are both called `name`."""
        return Found(self._permissions(name), self._roles(name))

    def take(self, step: Step) -> None:
        """Make one change."""
        method, fields = _asked(step)
        self._require_change()
        self._call(f"Auth/{method}", f"Auth{method}Request", "Done", **fields)

    def revision(self) -> int:
        """Return the revision of the latest write."""
        return self._range(0)

    def is_kept(self, revision: int) -> bool:
        """Whether the keys can still be read as they were at `revision`."""
        try:
            self._range(revision)
        except CompactedError:
            return False
        return True

    def count(self, key: bytes, range_end: bytes) -> int:
        """Return how many keys there are from `key` up to, without, `range_end`."""
        return int(self._read(key=key, range_end=range_end, count_only=True).count)

    def page(self, key: bytes, range_end: bytes, limit: int) -> tuple[bytes, ...]:
        """Return the first keys of the range, in order, `limit` at most."""
        answer = self._read(key=key, range_end=range_end, limit=limit, keys_only=True)
        return tuple(bytes(found.key) for found in answer.kvs)

    def delete(self, key: bytes, range_end: bytes) -> int:
        """Remove the keys of the range at once; return how many that were."""
        self._require_change()
        answer = self._call(
            "KV/DeleteRange",
            "DeleteRangeRequest",
            "DeleteRangeResponse",
            key=key,
            range_end=range_end,
        )
        return int(answer.deleted)

    def _require_change(self) -> None:
        if not self._may_change():
            raise ClosedError("the lease is over")

    def _range(self, revision: int) -> int:
        answer = self._read(key=COMPACT_REV_KEY, revision=revision, count_only=True)
        return int(answer.header.revision)

    def _read(self, **fields: Any) -> Any:
        return self._call("KV/Range", "RangeRequest", "RangeResponse", **fields)

    def _permissions(self, role: str) -> frozenset[Permission] | None:
        try:
            answer = self._call(
                "Auth/RoleGet", "AuthRoleGetRequest", "AuthRoleGetResponse", role=role
            )
        except NotFoundError:
            return None
        return frozenset(Permission(p.key, p.range_end, _TYPES[p.permType]) for p in answer.perm)

    def _roles(self, user: str) -> frozenset[str] | None:
        try:
            answer = self._call(
                "Auth/UserGet", "AuthUserGetRequest", "AuthUserGetResponse", name=user
            )
        except NotFoundError:
            return None
        return frozenset(answer.roles)

    def _call(self, method: str, request: str, answer: str, **fields: Any) -> Any:
        return self._connection.call(method, MESSAGES[request](**fields), MESSAGES[answer])


def _asked(step: Step) -> tuple[str, dict[str, Any]]:
    """Return the method of a change and the fields of its request."""
    asked: tuple[str, dict[str, Any]]
    match step:
        case AddRole(role):
            asked = "RoleAdd", {"name": role}
        case DeleteRole(role):
            asked = "RoleDelete", {"role": role}
        case GrantPermission(role, p):
            perm = {"permType": _TYPES.index(p.type), "key": p.key, "range_end": p.range_end}
            asked = "RoleGrantPermission", {"name": role, "perm": perm}
        case RevokePermission(role, key, range_end):
            asked = "RoleRevokePermission", {"role": role, "key": key, "range_end": range_end}
        case AddUser(user):
            asked = "UserAdd", {"name": user, "options": {"no_password": True}}
        case DeleteUser(user):
            asked = "UserDelete", {"name": user}
        case GrantRole(user, role):
            asked = "UserGrantRole", {"user": user, "role": role}
        case RevokeRole(user, role):
            asked = "UserRevokeRole", {"name": user, "role": role}
    return asked
