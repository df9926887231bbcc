"""The status of a storage, worked out from what was seen and done: a pure function.

Reasons are part of the interface: operators alert on them, and the README lists them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller import podstate
from controller.api.conditions import Condition, Problem, merge_conditions
from controller.api.storage import EtcdStorage
from controller.dataplane.interface import ISOLATED_BY_CORE
from controller.dataplane.rolling import is_ready, is_terminating, pod_revision

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
INVALID_SPEC: Final = "InvalidSpec"
PODS_READY: Final = "PodsReady"
NO_POD_READY: Final = "NoPodReady"
NOT_DEPLOYED: Final = "NotDeployed"
ROLLING_PODS: Final = "RollingPods"
EVICTION_BLOCKED: Final = "EvictionBlocked"
ROLLOUT_QUEUED: Final = "RolloutQueued"
PODS_UP_TO_DATE: Final = "PodsUpToDate"
AS_EXPECTED: Final = "AsExpected"

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
    is the one they should have. `eviction_blocked` says why a pod could not be replaced, `queued`
    that none may be yet. `auth` says whether the core checks users, None while that is not known.
    """

    problem: Problem | None
    concerns: tuple[Problem, ...] = ()
    served: bool = False
    endpoint: str = ""
    revision: str | None = None
    pods: tuple[Json, ...] = ()
    eviction_blocked: str = ""
    queued: bool = False
    auth: bool | None = None


def desired_status(storage: EtcdStorage, observed: Observed, *, now: str) -> dict[str, Any]:
    """Return the status to write; equal to the present one if nothing is to be said."""
    alive = [pod for pod in observed.pods if not is_terminating(pod)]
    ready = [pod for pod in alive if is_ready(pod)]
    updated = [pod for pod in alive if pod_revision(pod) == observed.revision]
    status = {
        "observedGeneration": storage.generation,
        "replicas": len(alive),
        "readyReplicas": len(ready),
        "updatedReplicas": len(updated),
        "conditions": merge_conditions(
            storage.status.get("conditions") or (),
            (
                _deployed(observed),
                _ready(storage, observed, alive, len(ready)),
                _progressing(observed, updated, rolling=len(updated) < len(alive)),
                _degraded(observed, alive),
            ),
            generation=storage.generation,
            now=now,
        ),
    }
    if observed.served:
        status["endpoint"] = observed.endpoint
    if isolation := _isolation(observed.auth, alive):
        status["isolation"] = isolation
    return status


def _isolation(auth: bool | None, alive: Sequence[Json]) -> str | None:  # noqa: FBT001 - a fact
    """Pods that lean on the core's auth keep nobody apart once it is off."""
    given = podstate.isolation(alive)
    return None if given == ISOLATED_BY_CORE and auth is False else given


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
        return Condition(READY, False, NOT_DEPLOYED, "there is no Service of this storage")
    if ready:
        return Condition(READY, True, PODS_READY, "pods behind the Service read from the core")
    message = podstate.waiting(alive) or f"0 of {storage.replicas} pods are there yet"
    return Condition(READY, False, NO_POD_READY, message)


def _progressing(observed: Observed, updated: Sequence[Json], *, rolling: bool) -> Condition:
    if observed.queued:
        return Condition(PROGRESSING, True, ROLLOUT_QUEUED, _QUEUED)
    if observed.eviction_blocked:
        return Condition(PROGRESSING, True, EVICTION_BLOCKED, observed.eviction_blocked)
    if not rolling:
        return Condition(
            PROGRESSING, False, PODS_UP_TO_DATE, "no pod of an older revision is left"
        )
    message = "pods of an older revision are being replaced"
    if waiting := podstate.waiting(updated):
        message += f", new ones wait: {waiting}"
    return Condition(PROGRESSING, True, ROLLING_PODS, message)


def _degraded(observed: Observed, alive: Sequence[Json]) -> Condition:
    """Whether somebody has to act; what passes by itself is told by the other conditions."""
    found = (observed.problem, *observed.concerns, podstate.stuck(alive))
    # What keeps the objects from being made is often what is wrong with the core as well.
    problems = [*dict.fromkeys(p for p in found if p is not None and not p.passes)]
    if not problems:
        return Condition(DEGRADED, False, AS_EXPECTED, "nothing needs a person")
    message = "; ".join(problem.message for problem in problems)
    return Condition(DEGRADED, True, problems[0].reason, message)
