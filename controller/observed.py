"""What one reconcile saw and did, put together for the status: pure functions."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from controller import podstate
from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage
from controller.dataplane import Desired
from controller.dataplane.names import object_name
from controller.dataplane.rolling import pod_revision
from controller.fights import Held
from controller.ownership import Claim, Conflict, claim
from controller.plan import Create, Delete, Patch, Plan, Snapshot, Write
from controller.resources import SECRETS, SERVICES
from controller.status import (
    AWAITING_DELETION,
    NAME_CONFLICT,
    OBJECT_IMMUTABLE,
    WRITE_FAILED,
    Observed,
)
from controller.tenant import Tenant
from controller.turn import Turn
from controller.userpair import told
from controller.writer import is_stale
from informers import ApiError, ConnectionFailed

_BUSY: Final = frozenset({429, 503, 504})
"""Answers of a server that has too much to do now, or a part of which is away."""


def observe(
    storage: EtcdStorage, desired: Desired, snapshot: Snapshot, tenant: Tenant
) -> Observed:
    """Put together what the status tells of the time before any write."""
    service, replica_set = snapshot.objects.get(SERVICES), snapshot.replica_set
    pair = snapshot.objects.get(SECRETS)
    has_pair = tenant.users and pair is not None and claim(pair, storage) is not Claim.FOREIGN
    revision: str | None = desired.revision
    if tenant.problem:
        # What is wanted cannot be told now, so pods are measured by what was wanted last.
        revision = pod_revision(replica_set["spec"]["template"]) if replica_set else None
    return Observed(
        problem=tenant.problem,
        concerns=tenant.concerns,
        served=service is not None and claim(service, storage) is not Claim.FOREIGN,
        failure=podstate.failure(replica_set),
        endpoint=desired.endpoint,
        revision=revision,
        pods=snapshot.pods,
        isolates=tenant.isolates,
        core_certificate=told(pair) if has_pair else {},
    )


def write_problem(error: ApiError | ConnectionFailed) -> Problem | None:
    """What a write that failed so is reported as, or None.

    One that ran out of time is reported, as others need not: a webhook hangs for one kind alone.
    A server that cannot be reached would not take the report either.
    """
    if isinstance(error, ApiError):
        busy = error.code in _BUSY
        return None if is_stale(error) else Problem(WRITE_FAILED, error.message, passes=busy)
    return Problem(WRITE_FAILED, str(error)) if error.timed_out else None


def after_fights(seen: Observed, held: Held) -> Observed:
    """Add who keeps changing what is ours: until that ends nothing is as desired for long."""
    if held.problem is None:
        return seen
    concerns = (*seen.concerns, held.problem)
    return replace(seen, problem=seen.problem or held.problem, concerns=concerns)


def after_turn(seen: Observed, turn: Turn, snapshot: Snapshot) -> Observed:
    """Add how the roll stands."""
    concerns = (*seen.concerns, *turn.concerns(snapshot))
    return replace(seen, concerns=concerns, queued=not turn.allowed)


def after_writes(storage: EtcdStorage, seen: Observed, done: Iterable[Write]) -> Observed:
    """Add what was written: a Service just created serves from now on, a pair is the new one."""
    served, certificate = seen.served, seen.core_certificate
    pair = object_name(SECRETS, storage.name)
    for write in done:
        match write:
            case Create(resource) if resource == SERVICES:
                served = True
            case Create(resource, obj) if resource == SECRETS and obj["metadata"]["name"] == pair:
                certificate = told(obj)
            case Patch(resource, name, patch) if resource == SECRETS and name == pair:
                certificate = told(patch) or certificate
    return replace(seen, served=served, core_certificate=certificate)


def conflict_problem(conflicts: Sequence[Conflict]) -> Problem | None:
    """What keeps everything from being written while a name is taken by somebody else."""
    if not conflicts:
        return None
    passes = all(conflict.passes for conflict in conflicts)
    return Problem(NAME_CONFLICT, "; ".join(map(str, conflicts)), passes=passes)


def plan_problem(plan: Plan) -> Problem | None:
    """What stands in the way of more than the plan writes."""
    if plan.fixed:
        names = ", ".join(f"{fixed.kind} {fixed.name}" for fixed in plan.fixed)
        message = (
            f"{names} is immutable or of another type, so it cannot be made what it has to be:"
            " delete it, and it is made anew"
        )
        return Problem(OBJECT_IMMUTABLE, message)
    going = [(w.resource.kind, w.name) for w in plan.writes if isinstance(w, Delete)]
    going += [(awaited.kind, awaited.name) for awaited in plan.awaited]
    if going:
        names = ", ".join(f"{kind} {name}" for kind, name in going)
        message = f"waiting for {names} to be gone, to make it anew"
        return Problem(AWAITING_DELETION, message, passes=True)
    return None
