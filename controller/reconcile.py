"""One storage from how it is to how it should be: read the caches, plan, write, report.

Level triggered: nothing but the name comes in, and nothing is kept between two calls but the
versions of our own writes, which the caches have to reach first. A write that fails is raised, so
that the queue comes back with growing delay, and reported in the status if somebody has to act.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from math import isfinite
from typing import Any, Final

from controller import events
from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage, name_problem, read_storage
from controller.certificates import CertificateLook
from controller.certifier import Certifier
from controller.certmetrics import CertificateMetrics
from controller.certstatus import Certified, News, delivered_news, stored_news
from controller.consistency import ConsistencyStore
from controller.consumers import Report
from controller.coreusers import CoreUsers, Keeper
from controller.dataplane import CoreEtcd, DataPlane, Desired, Facts, core_problem
from controller.dataplane.names import object_name, serving_secret
from controller.dataplane.pods import drain_token
from controller.deletion import Deletion
from controller.edits import remarked
from controller.events import Recorder
from controller.fights import Fights
from controller.finalizer import CoreFinalizer, lacks_finalizer
from controller.observed import (
    after_fights,
    after_turn,
    after_writes,
    conflict_problem,
    observe,
    plan_problem,
)
from controller.plan import (
    Create,
    Plan,
    Snapshot,
    conflicts,
    plan_pair,
    plan_suspension,
    without_pods,
)
from controller.reporting import Reporter
from controller.resources import SECRETS, SERVICES
from controller.rollouts import Rollouts
from controller.snapshots import Done, Snapshots, with_written
from controller.status import INVALID_NAME, INVALID_SPEC, NOT_SUPPORTED, TLS_REQUIRED, Observed
from controller.tenant import Tenant, without_users
from controller.turn import Turn, held_back, take_turn
from controller.watches import Listers
from controller.writer import EVICTION_PAUSE, EvictionBlocked, Writer
from informers import ApiError, Client
from informers.errors import is_already_exists

Json = Mapping[str, Any]

_NEW: Final = timedelta(minutes=5)
"""A storage of this age without a status has only just been made, maybe with a thousand others."""

_TLS_REQUIRED: Final = (
    "only storages with TLS are served here (flag --require-tls): list a ConfigMap in"
    " spec.caCertConfigMap and a Secret in spec.clientCertSecret for each consumer"
)


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen of one storage, and what to write for it; `again` as `Tenant` has it.

    `decided` is about its certificates, None if it has none; `certificates` is the same, but None
    where nothing of it can be delivered. The first writes of the plan, `secrets` in number, are
    those of the Secrets with certificates.
    """

    snapshot: Snapshot
    tenant: Tenant
    decided: CertificateLook | None
    certificates: CertificateLook | None
    secrets: int
    plan: Plan
    seen: Observed
    again: float | None


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Brings single storages up to date; thread safe as long as no two share a name.

    `users`, by the same `keeper`, is None where storages have none in the core. With `require_tls`
    those that ask for no TLS are refused. `rng` makes secrets: nobody may be able to foretell it.
    """

    client: Client
    listers: Listers
    consistency: ConsistencyStore
    dataplane: DataPlane
    core: CoreEtcd
    namespace: str
    reserved_names: frozenset[str]
    recorder: Recorder
    now: Callable[[], datetime]
    rng: random.Random
    rollouts: Rollouts
    certifier: Certifier
    metrics: CertificateMetrics
    fights: Fights
    keeper: Keeper
    users: CoreUsers | None = None
    require_tls: bool = False

    def reconcile(self, name: str) -> float | None:
        """Bring the storage `name` up to date; raises what should be tried again later.

        Before anything else `CacheBehind`, which is no failure. Returns the seconds after which
        it is worth another look without any news, or None.
        """
        self.consistency.ensure_ready(name)
        obj = self.listers.storages.find(name)
        storage = read_storage(obj) if obj else None
        if storage is None or storage.deleting:
            self.rollouts.leave(name)
        if storage is None or (storage.deleting and not storage.held):
            self.certifier.forget(name)
            self.metrics.forget(name)
            self.fights.forget(name)
            self.keeper.forget(name)
            if storage and storage.finalizers:
                self._deletion.tell_who_holds(storage)
            return None  # The garbage collector follows the owner references.
        if storage.deleting:
            with self._reporter.telling(storage, lambda: Observed(None)):
                return self._deletion.work_off(storage)
        return self._bring_up_to_date(storage)

    def _bring_up_to_date(self, storage: EtcdStorage) -> float | None:
        """Make what a new storage needs; look for what may be there already only if it is."""
        take = self._snapshots.take
        if self._is_new(storage):
            try:
                return self._attempt(storage, take(storage), look_for_strays=False)
            except ApiError as error:
                if not is_already_exists(error):
                    raise
                # What was written before that is not to be made again.
                self.consistency.ensure_ready(storage.name)
        return self._attempt(storage, take(storage), look_for_strays=True)

    def _attempt(
        self, storage: EtcdStorage, snapshot: Snapshot, *, look_for_strays: bool
    ) -> float | None:
        withdrawals = self.certifier.withdraw(storage, snapshot)
        look = self._look(storage, snapshot, withdrawals)
        done: list[Done] = []

        def see() -> Observed:
            return self._see(storage, look, withdrawals, done)

        with self._reporter.telling(storage, see):
            look = self._with_strays(storage, look, withdrawals, all_of_them=look_for_strays)
            finalizer = CoreFinalizer(self.client, self.consistency)
            if finalizer.hold(storage, look.tenant, self.fights):
                return 0.0  # What is only in the status brings nothing back.
            if look.plan.brings_to_life and not self._exists(storage, look.plan):
                return None
            blocked = self._carry_out(storage, look, done)
        if look.certificates and look.certificates.awaits_service and not look.seen.problem:
            # The answer to its creation tells the addresses, which are part of the serving pair.
            written = with_written(storage, look.snapshot, done)
            if SERVICES not in written.objects:
                return self.fights.again(storage.name)
            return self._attempt(storage, written, look_for_strays=look_for_strays)
        seen = replace(see(), eviction_blocked=blocked)
        again = self._reporter.report(storage, seen)
        carried = seen.certified.carried.again if seen.certified else withdrawals.again
        mended = self.fights.again(storage.name)
        return _soonest(EVICTION_PAUSE if blocked else None, again, look.again, carried, mended)

    def _look(self, storage: EtcdStorage, snapshot: Snapshot, withdrawals: Report) -> _Look:
        """Decide on everything that can be told before the first write."""
        tenant = self._tenant(storage, snapshot)
        certificates = decided = self._certificates(storage, snapshot, tenant, withdrawals)
        desired = self._desired(storage, snapshot, tenant)
        turn = self._turn(storage, desired, snapshot, tenant)
        plan = (
            turn.plan(storage, snapshot) if turn else plan_pair(storage, tenant.secret, snapshot)
        )
        if tenant.suspended:
            plan = plan_suspension(storage, snapshot)
        secrets = self.certifier.plan(storage, snapshot, certificates, withdrawals)
        lacks = lacks_finalizer(storage, tenant)
        held = self.fights.hold(storage, snapshot, secrets, plan, finalizes=lacks)
        if secrets.is_stuck_at(serving_secret(storage.name)) or held.secrets != secrets:
            certificates = None  # What is not stored is not delivered.
        plan = held.plan
        if storage.tls and not (snapshot.serving or (certificates and certificates.serving)):
            plan = without_pods(plan)
        plan = held.secrets.followed_by(plan)  # They come first: `_see` counts on it.
        keys = None if tenant.problem else self.keeper.count(storage.name, storage.keys)
        seen = replace(observe(storage, desired, snapshot, tenant), keys=keys)
        if turn:
            seen = after_turn(seen, turn, snapshot)
        seen = after_fights(replace(seen, problem=seen.problem or plan_problem(plan)), held)
        if not snapshot.serving and certificates and certificates.trust is None:
            seen = replace(seen, problem=seen.problem or certificates.problem)
        if not storage.tls:
            seen = replace(seen, concerns=(*seen.concerns, *withdrawals.problems))
        renewal = certificates.again if certificates else None
        again = _soonest(tenant.again, turn.again if turn else None, renewal)
        count = len(held.secrets.writes)
        return _Look(snapshot, tenant, decided, certificates, count, plan, seen, again)

    def _certificates(
        self, storage: EtcdStorage, snapshot: Snapshot, tenant: Tenant, withdrawals: Report
    ) -> CertificateLook | None:
        """Decide on the certificates; what is there is renewed whatever else is wrong."""
        if not storage.tls or storage.unreadable_fields:
            return None
        if tenant.problem and snapshot.serving is None:
            return None
        return self.certifier.look(storage, snapshot, withdrawals.outcomes, self.now())

    def _see(
        self, storage: EtcdStorage, look: _Look, withdrawals: Report, done: Sequence[Done]
    ) -> Observed:
        """Put together what was seen and `done`, after what is stored has been delivered.

        That is done whatever became of the other writes.
        """
        stored = len(done) >= look.secrets
        certified = self._certify(storage, look, withdrawals) if stored else None
        writes = [write for write, _ in done]
        return replace(after_writes(storage, look.seen, writes), certified=certified)

    def _certify(self, storage: EtcdStorage, look: _Look, withdrawals: Report) -> Certified | None:
        """Deliver what the Secrets say that are written now, and tell of what is new."""
        if not storage.tls:
            self.metrics.forget(storage.name)
            if not withdrawals.outcomes:
                self.certifier.forget(storage.name)
            return None
        certificates = look.certificates
        carried = self.certifier.carry(
            storage, look.snapshot, certificates, withdrawals, self.now()
        )
        certified = Certified(certificates, carried)
        self.metrics.observe(storage, certified)
        self._tell(storage, delivered_news(carried.outcomes))
        return certified

    def _tell(self, storage: EtcdStorage, news: Iterable[News]) -> None:
        """Count and tell what has just taken another's place; nobody sees it again."""
        for new in news:
            self.metrics.renewed(storage, new[0])
            self.recorder.record(storage, events.certificate_event(new))

    def _with_strays(
        self, storage: EtcdStorage, look: _Look, withdrawals: Report, *, all_of_them: bool
    ) -> _Look:
        """Look once more if Secrets are there, unseen by our caches, that are about to be made.

        The name of the user's pair is claimed with the others, so it is asked for before that,
        and without `all_of_them` it alone.
        """
        made = (w for w in look.plan.writes if isinstance(w, Create) and w.resource == SECRETS)
        names = {write.obj["metadata"]["name"] for write in made if all_of_them}
        claims = self.users and (storage.claimed or look.tenant.claims)
        if claims and SECRETS not in look.snapshot.objects:
            names.add(object_name(SECRETS, storage.name))
        snapshot = self._snapshots.with_strays(storage, look.snapshot, names)
        return look if snapshot == look.snapshot else self._look(storage, snapshot, withdrawals)

    def _tenant(self, storage: EtcdStorage, snapshot: Snapshot) -> Tenant:
        refusal = self._refusal(storage, snapshot)
        if self.users is None:
            core = self.keeper.core() if storage.reclaims else None
            return without_users(storage, refusal, core)
        return self.users.tenant(storage, snapshot, refusal)

    def _refusal(self, storage: EtcdStorage, snapshot: Snapshot) -> Problem | None:
        """Why nothing can be written for `storage` now; what exists meanwhile goes on serving."""
        if message := name_problem(storage.name, self.reserved_names):
            return Problem(INVALID_NAME, f"{message}: create it under another name")
        if storage.unreadable_fields:
            fields = ", ".join(storage.unreadable_fields)
            return Problem(
                INVALID_SPEC, f"{fields} cannot be read: kubectl explain etcdstorage.spec"
            )
        if message := self.dataplane.unsupported(storage):
            return Problem(NOT_SUPPORTED, message)
        if self.require_tls and not storage.tls:
            return Problem(TLS_REQUIRED, _TLS_REQUIRED)
        shared = snapshot.core_config_map, snapshot.core_secret
        return core_problem(self.core, *shared, users=self.users is not None) or conflict_problem(
            conflicts(storage, snapshot)
        )

    def _turn(
        self, storage: EtcdStorage, desired: Desired, snapshot: Snapshot, tenant: Tenant
    ) -> Turn | None:
        """Ask whether pods may be replaced; one that is refused gives way to others."""
        if tenant.problem:
            self.rollouts.leave(storage.name)
            return None
        return take_turn(self.rollouts, storage, desired, snapshot, self.now())

    def _desired(self, storage: EtcdStorage, snapshot: Snapshot, tenant: Tenant) -> Desired:
        facts = Facts(
            auth=tenant.auth,
            users=tenant.users,
            tls=storage.tls,
            drain_token=self._drain_token(snapshot.replica_set),
        )
        desired = remarked(self.dataplane.desired(storage, facts), snapshot.replica_set)
        if tenant.holds and snapshot.replica_set is not None:
            desired = held_back(desired, snapshot.replica_set)
        if tenant.secret is None:
            return desired
        return replace(desired, objects={SECRETS: tenant.secret, **desired.objects})

    def _drain_token(self, replica_set: Mapping[str, Any] | None) -> str:
        """Return the token of the pods that run; a new one, for one that is none, rolls them."""
        token = drain_token(replica_set) if replica_set else ""
        return token or f"{self.rng.getrandbits(128):032x}"

    def _exists(self, storage: EtcdStorage, plan: Plan) -> bool:
        """Ask the server whether `storage` is still there, unless it is so new that it must be.

        The cache of storages may be behind the others. Making again what the garbage collector
        took from a deleted storage would go on until that cache catches up; what an adoption
        ties to a deleted one is lost, so that is never taken on trust.
        """
        return (self._is_new(storage) and not plan.adopts) or self._snapshots.has(storage)

    def _is_new(self, storage: EtcdStorage) -> bool:
        return "observedGeneration" not in storage.status and self.now() - storage.created < _NEW

    def _carry_out(self, storage: EtcdStorage, look: _Look, done: list[Done]) -> str:
        """Make the writes of the plan, noting each; returns why an eviction has to wait, or ''."""
        wrote = partial(self.consistency.wrote_at, storage.name)
        writer = Writer(self.client, self.namespace, wrote)
        for write in look.plan.writes:
            try:
                answer = writer.carry_out(write)
            except EvictionBlocked as blocked:
                return str(blocked)
            done.append((write, answer))
            self.fights.wrote(storage, write, answer)
            if event := events.reclaimed_event(write):
                self.recorder.record(storage, event)
            if look.decided:
                self._tell(storage, stored_news(look.decided, write))
        return ""

    @property
    def _snapshots(self) -> Snapshots:
        client_ca = self.users.pairs.authority_name if self.users else None
        return Snapshots(self.client, self.listers, self.core, self.namespace, client_ca)

    @property
    def _deletion(self) -> Deletion:
        return Deletion(
            self.client,
            self.listers,
            self.namespace,
            self.reserved_names,
            self._reporter,
            self.consistency,
            self.keeper,
            self.now,
            users=self.users is not None,
        )

    @property
    def _reporter(self) -> Reporter:
        return Reporter(self.client, self.consistency, self.recorder, self.now)


def _soonest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None and isfinite(time)), default=None)
