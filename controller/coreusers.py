"""The users that storages have in the core: what a reconcile asks the keeper, and with what.

Made where the two flags are given; without them storages share one pair, and the keeper only
counts keys and removes them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol

from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage
from controller.core import (
    Access,
    Candidate,
    ClosableCore,
    CoreLook,
    PurgeLook,
    TrustLook,
    UserLook,
)
from controller.dataplane import CoreEtcd, UserSecrets, core_problem
from controller.dataplane.core import CA_KEY, CERT_KEY, KEY_KEY
from controller.ownership import Claim, claim
from controller.pki.coreuser import ClientAuthority, throwaway
from controller.plan import Snapshot
from controller.resources import SECRETS
from controller.secretdata import absent, decoded
from controller.tenant import Tenant, lacking, refused, with_users
from controller.userpair import PairLook, PairMaker

CORE_ROOT_MISSING: Final = "CoreRootMissing"

Json = Mapping[str, Any]


class Keeper(Protocol):
    """The part of `controller.core.UserKeeper` that is used here; none of it waits."""

    def use(self, access: Access | Problem) -> None: ...
    def core(self) -> CoreLook: ...
    def trust(self, candidate: Candidate) -> TrustLook: ...
    def want(self, storage: str, *, claimed: bool) -> UserLook: ...
    def drop(self, storage: str) -> UserLook: ...
    def count(self, storage: str, last: int | None = None) -> int | None: ...
    def purge(self, storage: str) -> PurgeLook: ...
    def forget(self, storage: str) -> None: ...


@dataclass(frozen=True, slots=True)
class CoreUsers:
    """Thread safe, as the keeper is."""

    keeper: Keeper
    pairs: PairMaker
    now: Callable[[], datetime]

    def tenant(self, storage: EtcdStorage, snapshot: Snapshot, refusal: Problem | None) -> Tenant:
        """Ask for the storage's user, and return how it stands, with its Secret if it may be.

        The user of a storage that is refused is not asked for; the pair that its pods show is
        kept up, for they go on.
        """
        core = self.keeper.core()
        if refusal:
            tenant = refused(storage, core, refusal)
            return (
                self._with_pair(tenant, storage, snapshot)
                if _has_pair(storage, snapshot)
                else tenant
            )
        user = self.keeper.want(storage.name, claimed=storage.claimed)
        tenant = with_users(storage, core, user, snapshot.replica_set)
        if not tenant.claims and (tenant.problem or tenant.holds):
            return tenant
        pair, warning = self._pair(storage, snapshot)
        problem = pair.problem
        if problem and pair.secret is None and snapshot.objects.get(SECRETS) is None:
            # No user is made, either, that nobody could come as.
            tenant = replace(tenant, claims=False, again=pair.again)
            if problem.passes:
                problem = core.problem or problem
            return lacking(tenant, problem, storage, snapshot.replica_set)
        if tenant.claims:
            return tenant
        tenant = replace(tenant, secret=pair.secret, again=pair.again)
        return _concerned(tenant, problem, warning)

    def _with_pair(self, tenant: Tenant, storage: EtcdStorage, snapshot: Snapshot) -> Tenant:
        pair, warning = self._pair(storage, snapshot)
        tenant = replace(tenant, secret=pair.secret, again=pair.again)
        return _concerned(tenant, pair.problem, warning)

    def _pair(self, storage: EtcdStorage, snapshot: Snapshot) -> tuple[PairLook, Problem | None]:
        """Return how the storage's pair stands, and what its authority is to be warned of."""
        now = self.now()
        authority = self.pairs.authority(snapshot.client_ca, now)
        if authority.by is None:
            return PairLook(None, authority.problem, authority.again), None
        trust = self.keeper.trust(self._candidate(authority.by))
        present = snapshot.objects.get(SECRETS)
        pair = self.pairs.look(storage, present, authority.by, trust, now)
        times = (pair.again, authority.again)
        again = min((time for time in times if time is not None), default=None)
        return replace(pair, again=again), authority.problem

    def _candidate(self, by: ClientAuthority) -> Candidate:
        return Candidate(by.fingerprint, lambda: throwaway(by, self.now()))


def _has_pair(storage: EtcdStorage, snapshot: Snapshot) -> bool:
    """Whether there is a pair, and it is ours to renew."""
    present = snapshot.objects.get(SECRETS)
    owned = present is not None and claim(present, storage) is Claim.OWNED
    return storage.claimed and owned


def _concerned(tenant: Tenant, problem: Problem | None, warning: Problem | None) -> Tenant:
    found = (problem, *tenant.concerns, warning)
    return replace(tenant, concerns=tuple(p for p in found if p is not None))


def connect(access: Access, may_change: Callable[[], bool]) -> ClosableCore:
    """Return the core's client. gRPC is loaded only here: it takes 22 MiB of memory."""
    from controller.core.client import CoreClient  # noqa: PLC0415 - see above

    return CoreClient(access, may_change)


def core_access(
    core: CoreEtcd,
    urls: tuple[str, ...],
    secrets: UserSecrets | None,
    config_map: Json | None,
    secret: Json | None,
) -> Access | Problem:
    """Return how the controller reaches the core, by `urls`, or what is missing for that.

    `secret` holds root's pair where there are `secrets` for users, else the one that all share.
    """
    core = replace(core, urls=urls)
    if problem := core_problem(core, config_map, secret, users=secrets is not None):
        return problem
    data = (secret or {}).get("data")
    if secrets and (missing := absent(data, (CERT_KEY, KEY_KEY))):
        what = "is missing" if secret is None else f"has no key {' and no key '.join(missing)}"
        return Problem(
            CORE_ROOT_MISSING,
            f"Secret {secrets.root} {what}: it has to hold a pair of etcd's user root, under"
            f" {CERT_KEY} and {KEY_KEY}",
        )
    if not core.tls:
        return Access(urls)
    ca: str = (config_map or {}).get("data", {})[CA_KEY]
    return Access(urls, ca.encode(), decoded(data, CERT_KEY), decoded(data, KEY_KEY))
