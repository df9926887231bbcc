"""The status of a storage, worked out from what was seen and done: a pure function.

Reasons are part of the interface: operators alert on them, and the README lists them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from controller import certstatus, podstate
from controller.api.conditions import Condition, Problem, find_condition, merge_conditions
from controller.api.storage import CORE_USER_OWNER, EtcdStorage
from controller.api.times import read_time, rfc3339
from controller.certstatus import CERTIFICATES_READY, SERVING_NEW_CERTIFICATES, Certified
from controller.dataplane.rolling import (
    PROGRESS_DEADLINE,
    is_ready,
    is_terminating,
    pod_revision,
)

DEPLOYED: Final = "Deployed"
READY: Final = "Ready"
PROGRESSING: Final = "Progressing"
DEGRADED: Final = "Degraded"

ETCD_PROXY_DEPLOYED: Final = "EtcdProxyDeployed"
INVALID_NAME: Final = "InvalidName"
NOT_SUPPORTED: Final = "NotSupported"
NAME_CONFLICT: Final = "NameConflict"
WRITE_FAILED: Final = "WriteFailed"
AWAITING_DELETION: Final = "AwaitingDeletion"
DELETING: Final = "Deleting"
OBJECT_IMMUTABLE: Final = "ObjectImmutable"
INVALID_SPEC: Final = "InvalidSpec"
TLS_REQUIRED: Final = "TLSRequired"
PODS_READY: Final = "PodsReady"
NO_POD_READY: Final = "NoPodReady"
NOT_DEPLOYED: Final = "NotDeployed"
ROLLING_PODS: Final = "RollingPods"
EVICTION_BLOCKED: Final = "EvictionBlocked"
ROLLOUT_QUEUED: Final = "RolloutQueued"
PODS_UP_TO_DATE: Final = "PodsUpToDate"
AS_EXPECTED: Final = "AsExpected"

_OURS: Final = frozenset({DEPLOYED, READY, PROGRESSING, DEGRADED, CERTIFICATES_READY})

_AHEAD: Final = timedelta(days=1)
"""By so much the clock of the controller before may have been wrong."""

_QUEUED: Final = (
    "the pods are of an older revision and wait for their turn: others are being replaced"
    " (flag --max-concurrent-rollouts; one that is stuck is Degraded)"
)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """What one reconcile saw and did.

    `problem` is what keeps the objects from being as desired, `concerns` what else is wrong.
    `served` says that the Service exists and is ours; `pods` are those behind it, and `revision`
    is the one they should have. `failure` says why the ReplicaSet cannot make more of them,
    `eviction_blocked` why one could not be replaced, `queued` that none may be yet. `isolates`
    says that the core is known to check users. `core_certificate` is what there is to tell of the
    storage's pair for the core, {} if there is none. `certified` tells of the certificates; None
    where there are none, or where what was told of them last has to do. `keys` are as many as the
    core has of the storage; None: nobody knows.
    """

    problem: Problem | None
    concerns: tuple[Problem, ...] = ()
    served: bool = False
    endpoint: str = ""
    revision: str | None = None
    pods: tuple[Json, ...] = ()
    failure: str = ""
    eviction_blocked: str = ""
    queued: bool = False
    isolates: bool = False
    core_certificate: Json = field(default_factory=dict)
    certified: Certified | None = None
    keys: int | None = None


def desired_status(storage: EtcdStorage, observed: Observed, *, now: datetime) -> dict[str, Any]:
    """Return the status to write; equal to the present one if nothing is to be said."""
    alive = [pod for pod in observed.pods if not is_terminating(pod)]
    ready = [pod for pod in alive if is_ready(pod)]
    updated = [pod for pod in alive if pod_revision(pod) == observed.revision]
    told = (
        _deployed(observed),
        _ready(storage, observed, alive, len(ready)),
        _progressing(observed, updated, rolling=len(updated) < len(alive)),
        *([certstatus.ready(observed.certified, now)] if observed.certified else ()),
    )
    merged = partial(
        merge_conditions,
        _conditions(storage, now),
        generation=storage.generation,
        now=rfc3339(now),
    )
    overdue = overdue_at({"conditions": merged(told)})
    late = overdue is not None and overdue <= now
    status = {
        "observedGeneration": storage.generation,
        "replicas": len(alive),
        "readyReplicas": len(ready),
        "updatedReplicas": len(updated),
        "conditions": merged((*told, _degraded(observed, alive, now, late=late))),
    }
    if observed.served:
        status["endpoint"] = observed.endpoint
    if isolation := podstate.isolation(alive, by_core=observed.isolates):
        status["isolation"] = isolation
    if observed.core_certificate:
        status["coreClientCertificate"] = observed.core_certificate
    if certificates := _certificates(storage, observed, now):
        status["certificates"] = certificates
    if usage := _usage(storage, observed.keys, now):
        status["usage"] = usage
    if storage.claimed:
        status[CORE_USER_OWNER] = storage.uid
    return status


def _conditions(storage: EtcdStorage, now: datetime) -> list[Json]:
    """Return those that there are, but for what a storage without TLS has no more."""
    conditions: Sequence[Json] = storage.status.get("conditions") or ()
    kept = (c for c in conditions if storage.tls or c.get("type") != CERTIFICATES_READY)
    return [_with_our_time(c, now) if c.get("type") in _OURS else c for c in kept]


def _with_our_time(condition: Json, now: datetime) -> Json:
    """Return a condition without the time that somebody else gave it, which begins anew then."""
    since = read_time(condition.get("lastTransitionTime"))
    if since is not None and since <= now + _AHEAD:
        return condition
    return {key: value for key, value in condition.items() if key != "lastTransitionTime"}


def _usage(storage: EtcdStorage, keys: int | None, now: datetime) -> Json:
    """Return what was told last as long as the number is the same: the time is no news."""
    if keys is None:
        return {}
    if keys == storage.keys:
        told: Json = storage.status["usage"]
        return told
    return {"keys": keys, "measuredAt": rfc3339(now)}


def _certificates(storage: EtcdStorage, observed: Observed, now: datetime) -> Json:
    if not storage.tls:
        return {}
    told = certstatus.certificates(observed.certified, now) if observed.certified else {}
    return certstatus.with_last(told, storage)


def overdue_at(status: Json) -> datetime | None:
    """Return when a storage needs a person that has no ready pod; None if it has one.

    Its time begins anew when what kept its objects from being as desired is over.
    """
    ready, deployed = (find_condition(status, type_) or {} for type_ in (READY, DEPLOYED))
    if ready.get("reason") != NO_POD_READY:
        return None
    since = max(ready["lastTransitionTime"], deployed["lastTransitionTime"])
    return datetime.fromisoformat(since) + PROGRESS_DEADLINE


def _deployed(observed: Observed) -> Condition:
    if observed.problem is not None:
        return Condition(DEPLOYED, False, observed.problem.reason, observed.problem.message)
    return Condition(
        DEPLOYED, True, ETCD_PROXY_DEPLOYED, "every object of this storage exists as desired"
    )


def _ready(
    storage: EtcdStorage, observed: Observed, alive: Sequence[Json], ready: int
) -> Condition:
    if not observed.served:
        without = "there is no Service of this storage"
        why = "the storage is being deleted" if storage.deleting else without
        return Condition(READY, False, NOT_DEPLOYED, why)
    if ready:
        message = _joined("pods behind the Service read from the core", observed.failure)
        return Condition(READY, True, PODS_READY, message)
    message = _without_a_ready_pod(observed, alive)
    return Condition(
        READY, False, NO_POD_READY, message or f"0 of {storage.replicas} pods are there yet"
    )


def _progressing(observed: Observed, updated: Sequence[Json], *, rolling: bool) -> Condition:
    if observed.queued:
        return Condition(PROGRESSING, True, ROLLOUT_QUEUED, _QUEUED)
    if observed.eviction_blocked:
        return Condition(PROGRESSING, True, EVICTION_BLOCKED, observed.eviction_blocked)
    if not rolling and observed.certified and (behind := certstatus.behind(observed.certified)):
        return Condition(PROGRESSING, True, SERVING_NEW_CERTIFICATES, behind)
    if not rolling:
        return Condition(
            PROGRESSING, False, PODS_UP_TO_DATE, "no pod of an older revision is left"
        )
    message = "pods of an older revision are being replaced"
    if waiting := podstate.waiting(updated):
        message += f", new ones wait: {waiting}"
    return Condition(PROGRESSING, True, ROLLING_PODS, message)


def _degraded(
    observed: Observed, alive: Sequence[Json], now: datetime, *, late: bool
) -> Condition:
    """Whether somebody has to act; what passes by itself is told by the other conditions."""
    pods = podstate.stuck(alive)
    if pods is None and late and (observed.problem is None or observed.problem.passes):
        why = _without_a_ready_pod(observed, alive) or "the ReplicaSet makes none"
        pods = Problem(NO_POD_READY, f"no pod has been ready for a long time: {why}")
    certified = certstatus.problems(observed.certified, now) if observed.certified else ()
    found = (observed.problem, *observed.concerns, *certified, pods)
    # What keeps the objects from being made is often what is wrong with the core as well.
    problems = [*dict.fromkeys(p for p in found if p is not None and not p.passes)]
    if not problems:
        return Condition(DEGRADED, False, AS_EXPECTED, "nothing needs a person")
    message = "; ".join(problem.message for problem in problems)
    return Condition(DEGRADED, True, problems[0].reason, message)


def _without_a_ready_pod(observed: Observed, alive: Sequence[Json]) -> str:
    return _joined(podstate.waiting(alive), observed.failure)


def _joined(*messages: str) -> str:
    return "; ".join(message for message in messages if message)
