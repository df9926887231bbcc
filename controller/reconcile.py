"""One storage from how it is to how it should be: read the caches, plan, write, report.

Level triggered: nothing but the name comes in, and nothing is kept between two calls but the
versions of our own writes, which the caches have to reach first. A write that fails is raised, so
that the queue comes back with growing delay, and reported in the status if somebody has to act.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog

from controller import events
from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage, name_problem, read_storage
from controller.consistency import ConsistencyStore
from controller.dataplane import CoreEtcd, DataPlane, Desired, core_ca, core_problem
from controller.dataplane.interface import replica_set_name, service_name
from controller.dataplane.rolling import pod_revision
from controller.events import Recorder, transition_events
from controller.ownership import Claim, claim, merge_patch
from controller.plan import Create, Delete, Patch, Plan, Snapshot, Write, plan_storage
from controller.resources import ETCD_STORAGES, REPLICA_SETS, SERVICES
from controller.status import (
    AWAITING_DELETION,
    INVALID_NAME,
    INVALID_SPEC,
    NAME_CONFLICT,
    NOT_SUPPORTED,
    WRITE_FAILED,
    Observed,
    desired_status,
)
from controller.writer import EVICTION_PAUSE, EvictionBlocked, Writer, is_stale
from informers import ApiError, Client, ConnectionFailed, Lister, Resource
from informers.errors import is_not_found
from informers.store import resource_version

STORAGE_INDEX: Final = "storage"
"""The pods' index: the name of the storage in their label."""

_NEW: Final = timedelta(minutes=1)
"""A storage of this age without a status has only just been made."""

_log = structlog.get_logger("controller.reconcile")


@dataclass(frozen=True, slots=True)
class Listers:
    """The caches that a reconcile reads."""

    storages: Lister
    replica_sets: Lister
    services: Lister
    pods: Lister
    config_maps: Lister
    secrets: Lister

    def written(self) -> dict[Resource, Lister]:
        """The caches of the kinds that a reconcile writes to and gets a version from."""
        return {
            ETCD_STORAGES: self.storages,
            REPLICA_SETS: self.replica_sets,
            SERVICES: self.services,
        }


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Brings single storages up to date; thread safe as long as no two share a name."""

    client: Client
    listers: Listers
    consistency: ConsistencyStore
    dataplane: DataPlane
    core: CoreEtcd
    namespace: str
    reserved_names: frozenset[str]
    recorder: Recorder
    now: Callable[[], datetime]

    def reconcile(self, name: str) -> float | None:
        """Bring the storage `name` up to date; raises what should be tried again later.

        Before anything else `CacheBehind`, which is no failure. Returns the seconds after which
        it is worth another look without any news, or None.
        """
        self.consistency.ensure_ready(name)
        obj = self.listers.storages.find(name)
        if obj is None:
            return None  # The garbage collector follows the owner references.
        storage = read_storage(obj)
        if storage.deleting:
            return None
        snapshot = self._snapshot(storage)
        desired = self.dataplane.desired(storage, core_ca(snapshot.core_config_map))
        refusal = self._refusal(storage, snapshot)
        plan = Plan() if refusal else plan_storage(storage, desired, snapshot)
        if plan.brings_to_life and not self._exists(storage, plan):
            return None
        seen = observe(storage, desired, snapshot, refusal)
        try:
            blocked = self._carry_out(storage, plan)
        except (ApiError, ConnectionFailed) as error:
            if problem := write_problem(error):
                self._report_failure(storage, replace(seen, problem=problem))
            raise
        self._report(storage, after_writes(seen, plan, blocked))
        return EVICTION_PAUSE if blocked else None

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
        return core_problem(self.core, snapshot.core_config_map, snapshot.core_secret)

    def _exists(self, storage: EtcdStorage, plan: Plan) -> bool:
        """Ask the server whether `storage` is still there, unless it is so new that it must be.

        The cache of storages may be behind the others. Making again what the garbage collector
        took from a deleted storage would go on until that cache catches up; what an adoption
        ties to a deleted one is lost, so that is never taken on trust.
        """
        age = self.now() - storage.created
        if "observedGeneration" not in storage.status and age < _NEW and not plan.adopts:
            return True
        try:
            live = self.client.get(ETCD_STORAGES, storage.name)["metadata"]
        except ApiError as error:
            if is_not_found(error):
                return False
            raise
        return live["uid"] == storage.uid and "deletionTimestamp" not in live

    def _carry_out(self, storage: EtcdStorage, plan: Plan) -> str:
        """Make the writes of `plan`; returns why an eviction has to wait, '' if none has."""
        writer = Writer(self.client, self.namespace, self._wrote(storage))
        for write in plan.writes:
            try:
                writer.carry_out(write)
            except EvictionBlocked as blocked:
                return str(blocked)
            self._record_reclaimed(storage, write)
        return ""

    def _wrote(self, storage: EtcdStorage) -> Callable[[Resource, str], None]:
        return partial(self.consistency.wrote_at, storage.name)

    def _snapshot(self, storage: EtcdStorage) -> Snapshot:
        listers = self.listers
        return Snapshot(
            listers.replica_sets.find(replica_set_name(storage.name), self.namespace),
            listers.services.find(service_name(storage.name), self.namespace),
            tuple(listers.pods.by_index(STORAGE_INDEX, storage.name)),
            listers.config_maps.find(self.core.ca_config_map, self.namespace),
            listers.secrets.find(self.core.certs_secret, self.namespace),
        )

    def _record_reclaimed(self, storage: EtcdStorage, write: Write) -> None:
        if isinstance(write, Patch) and write.adopts:
            message = f"adopted the orphaned {write.resource.kind} {write.name}"
        elif isinstance(write, Delete):
            message = f"replaces the {write.resource.kind} {write.name}: its selector is old"
        else:
            return
        self.recorder.record(storage, events.normal(events.RESOURCE_RECLAIMED, message))

    def _report_failure(self, storage: EtcdStorage, observed: Observed) -> None:
        """Say in the status what went wrong; if that fails as well, the first error counts."""
        with contextlib.suppress(ApiError, ConnectionFailed):
            self._report(storage, observed)

    def _report(self, storage: EtcdStorage, observed: Observed) -> None:
        """Write the status if it says something new, and the events that go with the change."""
        now = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        status = desired_status(storage, observed, now=now)
        patch = merge_patch(storage.status, status)
        if not patch:
            return
        guard = {"resourceVersion": storage.resource_version}
        answer = self.client.patch(
            ETCD_STORAGES,
            storage.name,
            {"metadata": guard, "status": patch},
            subresource="status",
        )
        self._wrote(storage)(ETCD_STORAGES, resource_version(answer))
        _log.info("status_changed", storage=storage.name, **_told(status))
        for event in transition_events(storage, status):
            self.recorder.record(storage, event)


def observe(
    storage: EtcdStorage, desired: Desired, snapshot: Snapshot, refusal: Problem | None
) -> Observed:
    """Put together what the status tells of the time before any write."""
    service, replica_set = snapshot.service, snapshot.replica_set
    revision: str | None = desired.revision
    if refusal:
        # What is wanted cannot be told now, so pods are measured by what was wanted last.
        revision = pod_revision(replica_set["spec"]["template"]) if replica_set else None
    return Observed(
        problem=refusal,
        served=service is not None and claim(service, storage) is not Claim.FOREIGN,
        endpoint=desired.endpoint,
        revision=revision,
        pods=snapshot.pods,
    )


def write_problem(error: ApiError | ConnectionFailed) -> Problem | None:
    """What a write that failed so is reported as, or None.

    One that ran out of time is reported, as others need not: a webhook hangs for one kind alone.
    A server that cannot be reached would not take the report either.
    """
    if isinstance(error, ApiError):
        return None if is_stale(error) else Problem(WRITE_FAILED, error.message)
    return Problem(WRITE_FAILED, str(error)) if error.timed_out else None


def after_writes(seen: Observed, plan: Plan, blocked: str) -> Observed:
    """Add what the carried-out plan changed: a Service just created serves from now on."""
    created = any(isinstance(w, Create) and w.resource == SERVICES for w in plan.writes)
    return replace(
        seen,
        served=seen.served or created,
        problem=seen.problem or _plan_problem(plan),
        eviction_blocked=blocked,
    )


def _plan_problem(plan: Plan) -> Problem | None:
    if plan.conflicts:
        return Problem(NAME_CONFLICT, "; ".join(str(conflict) for conflict in plan.conflicts))
    going = [(w.resource.kind, w.name) for w in plan.writes if isinstance(w, Delete)]
    going += [(awaited.kind, awaited.name) for awaited in plan.awaited]
    if going:
        names = ", ".join(f"{kind} {name}" for kind, name in going)
        return Problem(AWAITING_DELETION, f"waiting for {names} to be gone, to make it anew")
    return None


def _told(status: dict[str, Any]) -> dict[str, str]:
    return {c["type"].lower(): f"{c['status']}/{c['reason']}" for c in status["conditions"]}
