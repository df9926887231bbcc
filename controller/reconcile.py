"""One storage from how it is to how it should be: read the caches, plan, write, report.

Level triggered: nothing but the name comes in, and nothing is kept between two calls. A write
that fails is reported in the status and raised, so that the queue comes back with growing delay.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog

from controller import events
from controller.api.conditions import find_condition
from controller.api.storage import EtcdStorage, name_problem, read_storage
from controller.dataplane import CoreEtcd, DataPlane, Desired, core_ca, core_problem
from controller.dataplane.interface import replica_set_name, service_name
from controller.dataplane.rolling import pod_revision
from controller.events import Event, Recorder
from controller.ownership import Claim, claim, merge_patch
from controller.plan import Create, Delete, Evict, Patch, Plan, Snapshot, Write, plan_storage
from controller.resources import ETCD_STORAGES, PODS, SERVICES
from controller.status import (
    DEPLOYED,
    INVALID_NAME,
    NAME_CONFLICT,
    NOT_SUPPORTED,
    REPLACING,
    WRITE_FAILED,
    Observed,
    Problem,
    desired_status,
)
from informers import ApiError, Client, Lister
from informers.errors import is_already_exists, is_conflict, is_not_found, is_too_many_requests

STORAGE_INDEX: Final = "storage"
"""The pods' index: the name of the storage in their label."""

_log = structlog.get_logger("controller.reconcile")


@dataclass(frozen=True, slots=True)
class Listers:
    """The caches that a reconcile reads; it asks the server for nothing."""

    storages: Lister
    replica_sets: Lister
    services: Lister
    pods: Lister
    config_maps: Lister
    secrets: Lister


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Brings single storages up to date; thread safe as long as no two share a name."""

    client: Client
    listers: Listers
    dataplane: DataPlane
    core: CoreEtcd
    namespace: str
    reserved_names: frozenset[str]
    recorder: Recorder
    now: Callable[[], datetime]

    def reconcile(self, name: str) -> None:
        """Bring the storage `name` up to date; raises what should be tried again later."""
        obj = self.listers.storages.find(name)
        if obj is None:
            return  # The garbage collector follows the owner references.
        storage = read_storage(obj)
        if storage.deleting:
            return
        snapshot, desired = self._snapshot(storage), self._desired(storage)
        refusal = self._refusal(storage)
        plan = Plan() if refusal else plan_storage(storage, desired, snapshot)
        seen = observe(storage, desired, snapshot, refusal)
        try:
            for write in plan.writes:
                self._carry_out(write)
        except ApiError as error:
            if not is_stale(error):
                failed = Problem(WRITE_FAILED, error.message)
                self._report(storage, replace(seen, problem=failed))
            raise
        self._record_reclaimed(storage, plan.writes)
        self._report(storage, after_writes(seen, plan))

    def _refusal(self, storage: EtcdStorage) -> Problem | None:
        """Why nothing can be written for `storage` now; what exists meanwhile goes on serving."""
        if message := name_problem(storage.name, self.reserved_names):
            return Problem(INVALID_NAME, f"{message}: create it under another name")
        if message := self.dataplane.unsupported(storage):
            return Problem(NOT_SUPPORTED, message)
        missing = core_problem(
            self.core,
            self.listers.config_maps.find(self.core.ca_config_map, self.namespace),
            self.listers.secrets.find(self.core.certs_secret, self.namespace),
        )
        return Problem(missing.reason, missing.message) if missing else None

    def _desired(self, storage: EtcdStorage) -> Desired:
        config_map = self.listers.config_maps.find(self.core.ca_config_map, self.namespace)
        return self.dataplane.desired(storage, core_ca(config_map))

    def _snapshot(self, storage: EtcdStorage) -> Snapshot:
        listers = self.listers
        return Snapshot(
            listers.replica_sets.find(replica_set_name(storage.name), self.namespace),
            listers.services.find(service_name(storage.name), self.namespace),
            tuple(listers.pods.by_index(STORAGE_INDEX, storage.name)),
        )

    def _carry_out(self, write: Write) -> None:
        client, namespace = self.client, self.namespace
        match write:
            case Create(resource, obj):
                client.create(resource, obj, namespace)
            case Patch(resource, name, patch):
                client.patch(resource, name, patch, namespace=namespace)
            case Delete(resource, name, uid):
                client.delete(
                    resource,
                    name,
                    namespace=namespace,
                    preconditions={"uid": uid},
                    propagation="Background",
                )
            case Evict():
                self._evict(write)
        _log.info("wrote", **_described(write))

    def _evict(self, write: Evict) -> None:
        preconditions = {"uid": write.uid, "resourceVersion": write.resource_version}
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": write.name, "namespace": self.namespace},
            "deleteOptions": {"preconditions": preconditions},
        }
        try:
            self.client.post_subresource(PODS, write.name, "eviction", eviction, self.namespace)
        except ApiError as error:
            if not is_not_found(error):
                raise

    def _record_reclaimed(self, storage: EtcdStorage, writes: Iterable[Write]) -> None:
        for write in writes:
            if isinstance(write, Patch) and write.adopts:
                message = f"adopted the orphaned {write.resource.kind} {write.name}"
            elif isinstance(write, Delete):
                message = f"replaces the {write.resource.kind} {write.name}: its selector is old"
            else:
                continue
            self.recorder.record(storage, events.normal(events.RESOURCE_RECLAIMED, message))

    def _report(self, storage: EtcdStorage, observed: Observed) -> None:
        """Write the status if it says something new, and the events that go with the change."""
        now = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        status = desired_status(storage, observed, now=now)
        patch = merge_patch(storage.status, status)
        if not patch:
            return
        guard = {"resourceVersion": storage.resource_version}
        self.client.patch(
            ETCD_STORAGES,
            storage.name,
            {"metadata": guard, "status": patch},
            subresource="status",
        )
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


def after_writes(seen: Observed, plan: Plan) -> Observed:
    """Add what the carried-out plan changed: a Service just created serves from now on."""
    created = any(isinstance(w, Create) and w.resource == SERVICES for w in plan.writes)
    return replace(
        seen, served=seen.served or created, problem=seen.problem or _plan_problem(plan)
    )


def transition_events(storage: EtcdStorage, status: dict[str, Any]) -> list[Event]:
    """Return the events that a change from the storage's status to `status` is worth."""
    found = []
    new_generation = storage.status.get("observedGeneration") != storage.generation
    before = find_condition(storage.status, DEPLOYED) or {}
    after = find_condition(status, DEPLOYED) or {}
    if new_generation and storage.ignored_fields:
        fields = ", ".join(storage.ignored_fields)
        found.append(
            events.warning(events.IGNORED_FIELDS, f"ignored, and without effect: {fields}")
        )
    if after["status"] != before.get("status") or after["reason"] != before.get("reason"):
        found.append(_deployed_event(after))
    elif new_generation and after["status"] == "True":
        found.append(
            events.normal(events.SYNCED, f"generation {storage.generation} is carried out")
        )
    return found


def _deployed_event(condition: Any) -> Event:
    message = condition["message"]
    if condition["status"] == "True":
        return events.normal(events.ETCD_STORAGE_DEPLOYED, message)
    if condition["reason"] == NAME_CONFLICT:
        return events.warning(events.ERR_RESOURCE_RECLAIMED, message)
    return events.warning(events.ETCD_STORAGE_DEPLOY_FAILURE, message)


def _plan_problem(plan: Plan) -> Problem | None:
    if plan.conflicts:
        return Problem(NAME_CONFLICT, "; ".join(str(conflict) for conflict in plan.conflicts))
    if plan.replaces:
        names = ", ".join(delete.name for delete in plan.replaces)
        return Problem(REPLACING, f"waiting for {names} to be gone and made anew")
    return None


def is_stale(error: ApiError) -> bool:
    """Whether a write failed only because the cache was behind; the next try knows better."""
    # The object of a patch is gone; a namespace that is missing is the operator's to mend.
    gone = is_not_found(error) and error.details.get("kind") != "namespaces"
    return gone or is_conflict(error) or is_already_exists(error) or is_too_many_requests(error)


def _described(write: Write) -> dict[str, str]:
    match write:
        case Create(resource, obj):
            return {"write": "create", "kind": resource.kind, "object": obj["metadata"]["name"]}
        case Patch(resource, name):
            return {"write": "patch", "kind": resource.kind, "object": name}
        case Delete(resource, name):
            return {"write": "delete", "kind": resource.kind, "object": name}
        case Evict(name):
            return {"write": "evict", "kind": PODS.kind, "object": name}


def _told(status: dict[str, Any]) -> dict[str, str]:
    return {c["type"].lower(): f"{c['status']}/{c['reason']}" for c in status["conditions"]}
