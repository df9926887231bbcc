"""One storage from how it is to how it should be: read the caches, plan, write, report.

Level triggered: nothing but the name comes in, and nothing is kept between two calls but the
versions of our own writes, which the caches have to reach first. A write that fails is raised, so
that the queue comes back with growing delay, and reported in the status if somebody has to act.
"""

import contextlib
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from controller import events
from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage, name_problem, read_storage
from controller.consistency import ConsistencyStore
from controller.coreusers import CoreUsers
from controller.dataplane import CoreEtcd, DataPlane, Desired, Facts, core_problem
from controller.dataplane.names import object_name
from controller.dataplane.pods import drain_token
from controller.events import Recorder
from controller.finalizer import CoreUserFinalizer
from controller.observed import (
    after_turn,
    after_writes,
    conflict_problem,
    observe,
    plan_problem,
    write_problem,
)
from controller.plan import Delete, Patch, Plan, Snapshot, Write, conflicts, plan_suspension
from controller.reporting import Reporter
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, REPLICA_SETS, SECRETS
from controller.rollouts import Rollouts
from controller.status import INVALID_NAME, INVALID_SPEC, NOT_SUPPORTED, Observed
from controller.tenant import Tenant, without_users
from controller.turn import Turn, held_back, take_turn
from controller.watches import STORAGE_INDEX, Listers
from controller.writer import EVICTION_PAUSE, EvictionBlocked, Writer
from informers import ApiError, Client, ConnectionFailed, Resource
from informers.errors import is_not_found
from informers.store import Object

Json = Mapping[str, Any]

_NEW: Final = timedelta(minutes=1)
"""A storage of this age without a status has only just been made."""

_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
"""What a drain token of ours looks like."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen of one storage, and what to write for it; `again` as `Tenant` has it."""

    snapshot: Snapshot
    tenant: Tenant
    plan: Plan
    seen: Observed
    again: float | None


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Brings single storages up to date; thread safe as long as no two share a name.

    `users` is None where storages have no users in the core. `rng` makes secrets: it has to be
    one that nobody can foretell.
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
    users: CoreUsers | None = None

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
        if storage is None or (storage.deleting and not storage.claimed):
            if self.users:
                self.users.keeper.forget(name)
            return None  # The garbage collector follows the owner references.
        if storage.deleting:
            with self._telling(storage, Observed(None)):
                self._finalizer.work_off(storage)
            return None
        return self._bring_up_to_date(storage)

    def _bring_up_to_date(self, storage: EtcdStorage) -> float | None:
        look = self._look(storage, self._snapshot(storage))
        done: list[Write] = []
        with self._telling(storage, look.seen, done):
            look = self._with_secret(storage, look)
            if look.tenant.claims:
                self._finalizer.put_on(storage)
                return None  # The change of the storage brings it back.
            if look.plan.brings_to_life and not self._exists(storage, look.plan):
                return None
            blocked = self._carry_out(storage, look.plan, done)
        seen = replace(after_writes(look.seen, done), eviction_blocked=blocked)
        again = self._reporter.report(storage, seen)
        return _soonest(EVICTION_PAUSE if blocked else None, again, look.again)

    def _look(self, storage: EtcdStorage, snapshot: Snapshot) -> _Look:
        """Decide on everything that can be told before the first write."""
        tenant = self._tenant(storage, snapshot)
        desired = self._desired(storage, snapshot, tenant)
        turn = self._turn(storage, desired, snapshot, tenant)
        plan = turn.plan(storage, snapshot) if turn else Plan()
        if tenant.suspended:
            plan = plan_suspension(storage, snapshot)
        seen = observe(storage, desired, snapshot, tenant)
        if turn:
            seen = after_turn(seen, turn, snapshot)
        seen = replace(seen, problem=seen.problem or plan_problem(plan))
        again = _soonest(tenant.again, turn.again if turn else None)
        return _Look(snapshot, tenant, plan, seen, again)

    def _with_secret(self, storage: EtcdStorage, look: _Look) -> _Look:
        """Look once more if there is a Secret of the pair's name that no cache of ours has.

        That is one that lost our label, or never had it. The name is claimed with the others, so
        it is asked for before that as well.
        """
        if self.users is None or SECRETS in look.snapshot.objects:
            return look
        if not storage.claimed and not look.tenant.claims:
            return look
        secret = self._get(SECRETS, object_name(SECRETS, storage.name), self.namespace)
        if secret is None:
            return look
        objects = {**look.snapshot.objects, SECRETS: secret}
        return self._look(storage, replace(look.snapshot, objects=objects))

    def _tenant(self, storage: EtcdStorage, snapshot: Snapshot) -> Tenant:
        refusal = self._refusal(storage, snapshot)
        if self.users is None:
            return without_users(storage, refusal)
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
            drain_token=self._drain_token(snapshot.replica_set),
        )
        desired = self.dataplane.desired(storage, facts)
        if tenant.holds and snapshot.replica_set is not None:
            desired = held_back(desired, snapshot.replica_set)
        if tenant.secret is None:
            return desired
        return replace(desired, objects={SECRETS: tenant.secret, **desired.objects})

    def _drain_token(self, replica_set: Mapping[str, Any] | None) -> str:
        """Return the token of the pods that run; a new one, for one that is none, rolls them."""
        token = drain_token(replica_set) if replica_set else ""
        if _TOKEN.fullmatch(token):
            return token
        return f"{self.rng.getrandbits(128):032x}"

    def _exists(self, storage: EtcdStorage, plan: Plan) -> bool:
        """Ask the server whether `storage` is still there, unless it is so new that it must be.

        The cache of storages may be behind the others. Making again what the garbage collector
        took from a deleted storage would go on until that cache catches up; what an adoption
        ties to a deleted one is lost, so that is never taken on trust.
        """
        age = self.now() - storage.created
        if "observedGeneration" not in storage.status and age < _NEW and not plan.adopts:
            return True
        live = self._get(ETCD_STORAGES, storage.name, None)
        if live is None:
            return False
        metadata = live["metadata"]
        return metadata["uid"] == storage.uid and "deletionTimestamp" not in metadata

    def _get(self, resource: Resource, name: str, namespace: str | None) -> Object | None:
        """Ask the server for an object; None if it is not there."""
        try:
            return self.client.get(resource, name, namespace)
        except ApiError as error:
            if is_not_found(error):
                return None
            raise

    def _carry_out(self, storage: EtcdStorage, plan: Plan, done: list[Write]) -> str:
        """Make the writes of `plan`, noting each; returns why an eviction has to wait, or ''."""
        writer = Writer(self.client, self.namespace, self._wrote(storage))
        for write in plan.writes:
            try:
                writer.carry_out(write)
            except EvictionBlocked as blocked:
                return str(blocked)
            done.append(write)
            self._record_reclaimed(storage, write)
        return ""

    def _wrote(self, storage: EtcdStorage) -> Callable[[Resource, str], None]:
        return partial(self.consistency.wrote_at, storage.name)

    def _snapshot(self, storage: EtcdStorage) -> Snapshot:
        listers = self.listers
        found = {
            resource: lister.find(object_name(resource, storage.name), self.namespace)
            for resource, lister in listers.owned.items()
        }
        objects = {resource: obj for resource, obj in found.items() if obj is not None}
        return Snapshot(
            replica_set=objects.pop(REPLICA_SETS, None),
            objects=objects,
            pods=tuple(listers.pods.by_index(STORAGE_INDEX, storage.name)),
            **self._shared(),
        )

    def _shared(self) -> dict[str, Any]:
        """Return what all storages hang on."""
        wanted = {
            "core_config_map": (CONFIG_MAPS, self.core.ca_config_map),
            "core_secret": (SECRETS, self.core.certs_secret),
            **({"client_ca": (SECRETS, self.users.pairs.authority_name)} if self.users else {}),
        }
        find = self.listers.find_shared
        return {field: find(*what, self.namespace) for field, what in wanted.items()}

    def _record_reclaimed(self, storage: EtcdStorage, write: Write) -> None:
        if isinstance(write, Patch) and write.adopts:
            message = f"adopted the orphaned {write.resource.kind} {write.name}"
        elif isinstance(write, Delete):
            message = f"replaces the {write.resource.kind} {write.name}: its selector is old"
        else:
            return
        self.recorder.record(storage, events.normal(events.RESOURCE_RECLAIMED, message))

    @contextlib.contextmanager
    def _telling(
        self, storage: EtcdStorage, seen: Observed, done: Sequence[Write] = ()
    ) -> Iterator[None]:
        """Say in the status what fails meanwhile; if that fails as well, the first error counts.

        What was `seen` and `done` until then is told with it.
        """
        try:
            yield
        except (ApiError, ConnectionFailed) as error:
            if problem := write_problem(error):
                with contextlib.suppress(ApiError, ConnectionFailed):
                    told = replace(after_writes(seen, done), problem=problem)
                    self._reporter.report(storage, told)
            raise

    @property
    def _finalizer(self) -> CoreUserFinalizer:
        keeper = self.users.keeper if self.users else None
        return CoreUserFinalizer(
            self.client, self.listers, self.namespace, self._reporter, self.consistency, keeper
        )

    @property
    def _reporter(self) -> Reporter:
        return Reporter(self.client, self.consistency, self.recorder, self.now)


def _soonest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)
