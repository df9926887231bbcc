"""How a storage stands towards the core: pure decisions on what the keeper of the users says.

Where storages have no users of their own, they all use one pair, and the gate alone keeps them
apart. Where they have, nothing of a storage's pods is made before its user is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from controller import podstate
from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage
from controller.core import CoreLook, UserLook, UserState
from controller.dataplane.interface import ISOLATED_BY_CORE
from controller.dataplane.names import object_name
from controller.dataplane.pods import uses_pair
from controller.dataplane.rolling import pod_revision
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

    `auth` is whether pods are made for a core that checks users, `isolates` whether it is known to
    check them. `problem` keeps the storage's objects from being written, `concerns` do not.
    `suspended`: its pods must not run, as nothing would keep them from others' data. `claims`: the
    storage has to be marked as the owner of its user now, and nothing else. `holds`: its pods stay
    what they are. `secret`, with the user's pair, is as it should be; in `again` seconds it is
    worth another look.
    """

    users: bool
    auth: bool = False
    isolates: bool = False
    problem: Problem | None = None
    concerns: tuple[Problem, ...] = ()
    suspended: bool = False
    claims: bool = False
    holds: bool = False
    secret: dict[str, Any] | None = None
    again: float | None = None


def without_users(
    storage: EtcdStorage, refusal: Problem | None, core: CoreLook | None = None
) -> Tenant:
    """Return how a storage stands whose controller was given nothing to make users with.

    `core` is how that stands, if the storage's end needs it: what keeps its keys from being
    removed then is told now.
    """
    problem = refusal
    if problem is None and storage.mode == "Direct":
        message = f"mode Direct needs a user of each storage in the core: start with {_FLAGS}"
        problem = Problem(DIRECT_NEEDS_USERS, message)
    concerns = (_not_reclaimed(core.problem),) if core and core.problem else ()
    return Tenant(users=False, problem=problem, concerns=concerns)


def _not_reclaimed(problem: Problem) -> Problem:
    return Problem(
        problem.reason,
        f"reclaimPolicy Delete could not be carried out now, all else goes on: {problem.message}",
    )


def refused(storage: EtcdStorage, core: CoreLook, refusal: Problem) -> Tenant:
    """Return how a storage stands for which nothing can be written: no user is asked for.

    What exists goes on serving, but for pods that the core no longer keeps from others' data.
    """
    suspended = _lost_its_auth(storage, core)
    concerns = (_AUTH_DISABLED,) if suspended else ()
    isolates = _isolates(storage, core)
    return Tenant(
        users=True, isolates=isolates, problem=refusal, concerns=concerns, suspended=suspended
    )


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
        templates = [replica_set["spec"]["template"]]
        auth = podstate.isolation(templates, by_core=True) == ISOLATED_BY_CORE
    isolates = _isolates(storage, core)
    tenant = Tenant(users=True, auth=bool(auth), isolates=isolates, concerns=concerns)
    if _lost_its_auth(storage, core):
        return replace(tenant, problem=_AUTH_DISABLED, suspended=True)
    # Of a core that is away nobody knows what it has by now.
    free = user.state is UserState.FREE and core.problem is None
    tenant = replace(tenant, claims=free and not storage.claimed)
    if not runs and (user.state is not UserState.READY or auth is None):
        return lacking(tenant, user.problem or core.problem or _PENDING, storage, replica_set)
    return tenant


def lacking(
    tenant: Tenant,
    problem: Problem,
    storage: EtcdStorage,
    replica_set: Mapping[str, Any] | None,
) -> Tenant:
    """Return `tenant` as it stands without what pods of its own user need.

    Pods that show the shared pair to the core need nothing of it: they are kept and mended.
    """
    if replica_set is not None and _shares_a_pair(storage, replica_set):
        return replace(tenant, concerns=(problem, *tenant.concerns), holds=True)
    return replace(tenant, problem=problem)


def _lost_its_auth(storage: EtcdStorage, core: CoreLook) -> bool:
    """Whether nothing would keep the storage's pods from others' data."""
    return core.auth is False and storage.mode == "Direct"


def _isolates(storage: EtcdStorage, core: CoreLook) -> bool:
    """Whether the core is known to keep tenants apart: what was told last until it was asked."""
    if core.problem and not core.reachable:
        return False  # Somebody may turn its auth off meanwhile.
    if core.auth is None:
        return storage.status.get("isolation") == ISOLATED_BY_CORE
    return core.auth


def _shares_a_pair(storage: EtcdStorage, replica_set: Mapping[str, Any]) -> bool:
    """Whether there are pods from before storages had users, and of a version that has a gate."""
    pair = object_name(SECRETS, storage.name)
    known = pod_revision(replica_set["spec"]["template"]) is not None
    return storage.mode == "Proxy" and known and not uses_pair(replica_set, pair)


def _runs_as_user(storage: EtcdStorage, replica_set: Mapping[str, Any]) -> bool:
    """Whether there are pods that were made for the user; one that was suspended has none."""
    pair = object_name(SECRETS, storage.name)
    return uses_pair(replica_set, pair) and replica_set["spec"].get("replicas") != 0
