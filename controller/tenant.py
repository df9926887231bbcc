"""How a storage stands towards the core: pure decisions on what the keeper of the users says.

Where storages have no users of their own, they all use one pair, and the gate alone keeps them
apart. Where they have, nothing of a storage's pods is made before its user is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage
from controller.core import CoreLook, UserLook, UserState
from controller.dataplane.interface import ISOLATED_BY_CORE, ISOLATION_LABEL
from controller.dataplane.names import object_name
from controller.dataplane.pods import uses_pair
from controller.resources import SECRETS

DIRECT_NEEDS_USERS: Final = "DirectNeedsUsers"
CORE_AUTH_DISABLED: Final = "CoreAuthDisabled"
CORE_USER_PENDING: Final = "CoreUserPending"

_PENDING: Final = Problem(
    CORE_USER_PENDING, "the storage's user in the core is being made", passes=True
)
_AUTH_DISABLED: Final = Problem(
    CORE_AUTH_DISABLED,
    "mode Direct needs a core that checks users, or it keeps no storages apart: etcdctl auth"
    " enable",
)
_FLAGS: Final = "--etcd-core-root-secret and --etcd-core-client-ca-secret"


@dataclass(frozen=True, slots=True)
class Tenant:
    """What a reconcile has to know of a storage's place in the core.

    `problem` keeps its objects from being written, `concerns` do not. `auth` is whether the core
    checks users, None while nobody knows. `suspended`: its pods must not run, as nothing would
    keep them from others' data. `claims`: the storage has to be marked as the owner of its user
    now, and nothing else. `secret`, with the user's pair, is as it should be; in `again` seconds
    it is worth another look.
    """

    users: bool
    auth: bool | None
    problem: Problem | None = None
    concerns: tuple[Problem, ...] = ()
    suspended: bool = False
    claims: bool = False
    secret: dict[str, Any] | None = None
    again: float | None = None


def without_users(storage: EtcdStorage) -> Tenant:
    """Return how a storage stands whose controller was given nothing to make users with."""
    problem = None
    if storage.mode == "Direct":
        message = f"mode Direct needs a user of each storage in the core: start with {_FLAGS}"
        problem = Problem(DIRECT_NEEDS_USERS, message)
    return Tenant(users=False, auth=None, problem=problem)


def with_users(
    storage: EtcdStorage,
    core: CoreLook,
    user: UserLook,
    replica_set: Mapping[str, Any] | None,
) -> Tenant:
    """Return how a storage stands that has a user of its own, or is to get one.

    Pods that were made for the user stay as they are while the core cannot be asked.
    """
    concerns = tuple(p for p in (user.problem, core.problem, core.compaction) if p is not None)
    runs = replica_set is not None and _runs_as_user(storage, replica_set)
    auth = core.auth
    if auth is None and runs and replica_set is not None:
        auth = _isolation(replica_set) == ISOLATED_BY_CORE
    problem = None
    suspended = core.auth is False and storage.mode == "Direct"
    if suspended:
        problem = _AUTH_DISABLED
    elif not runs and (user.state is not UserState.READY or auth is None):
        problem = user.problem or core.problem or _PENDING
    claims = user.state is UserState.FREE and not storage.claimed
    return Tenant(True, auth, problem, concerns, suspended, claims)


def _runs_as_user(storage: EtcdStorage, replica_set: Mapping[str, Any]) -> bool:
    """Whether there are pods that were made for the user; one that was suspended has none."""
    pair = object_name(SECRETS, storage.name)
    return uses_pair(replica_set, pair) and replica_set["spec"].get("replicas") != 0


def _isolation(replica_set: Mapping[str, Any]) -> str | None:
    labels = replica_set["spec"]["template"]["metadata"].get("labels") or {}
    found: str | None = labels.get(ISOLATION_LABEL)
    return found
