"""The status of a storage, worked out from what was seen and done: a pure function.

Reasons are part of the interface: operators alert on them, and the README lists them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller.api.conditions import Condition, merge_conditions
from controller.api.storage import EtcdStorage
from controller.dataplane.rolling import is_ready, is_terminating, pod_revision

DEPLOYED: Final = "Deployed"
READY: Final = "Ready"
PROGRESSING: Final = "Progressing"

ETCD_PROXY_DEPLOYED: Final = "EtcdProxyDeployed"
INVALID_NAME: Final = "InvalidName"
NOT_SUPPORTED: Final = "NotSupported"
NAME_CONFLICT: Final = "NameConflict"
WRITE_FAILED: Final = "WriteFailed"
REPLACING: Final = "ReplacingReplicaSet"
PODS_READY: Final = "PodsReady"
NO_POD_READY: Final = "NoPodReady"
NOT_DEPLOYED: Final = "NotDeployed"
ROLLING_PODS: Final = "RollingPods"
PODS_UP_TO_DATE: Final = "PodsUpToDate"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a storage is not deployed; the reason is CamelCase, the message says what to do."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What one reconcile saw and did.

    `served` says that the Service exists and is ours; `pods` are those behind it, and `revision`
    is the one they should have.
    """

    problem: Problem | None
    served: bool = False
    endpoint: str = ""
    revision: str | None = None
    pods: tuple[Json, ...] = ()


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
                _progressing(rolling=len(updated) < len(alive)),
            ),
            generation=storage.generation,
            now=now,
        ),
    }
    if observed.served:
        status["endpoint"] = observed.endpoint
    return status


def _deployed(observed: Observed) -> Condition:
    if observed.problem is not None:
        return Condition(DEPLOYED, False, observed.problem.reason, observed.problem.message)
    return Condition(
        DEPLOYED, True, ETCD_PROXY_DEPLOYED, "the ReplicaSet and the Service exist as desired"
    )


def _ready(
    storage: EtcdStorage, observed: Observed, alive: Sequence[Json], ready: int
) -> Condition:
    if not observed.served:
        return Condition(READY, False, NOT_DEPLOYED, "there is no Service of this storage")
    if ready:
        return Condition(READY, True, PODS_READY, "pods behind the Service read from the core")
    waiting = "; ".join(sorted(set(_waiting_for(alive))))
    message = waiting or f"0 of {storage.replicas} pods are there yet"
    return Condition(READY, False, NO_POD_READY, message)


def _progressing(*, rolling: bool) -> Condition:
    if rolling:
        return Condition(
            PROGRESSING, True, ROLLING_PODS, "pods of an older revision are being replaced"
        )
    return Condition(PROGRESSING, False, PODS_UP_TO_DATE, "no pod of an older revision is left")


def _waiting_for(pods: Iterable[Json]) -> Iterable[str]:
    """What keeps pods from being ready, without pod names, so that the message is steady."""
    for pod in pods:
        status = pod.get("status") or {}
        containers = status.get("containerStatuses") or ()
        waiting = [
            c["state"]["waiting"] for c in containers if "waiting" in (c.get("state") or {})
        ]
        for state in waiting:
            yield f"container {state.get('reason', 'waiting')}"
        if not containers:
            yield _unscheduled(status) or "pods are being started"
        elif not waiting:
            yield "the proxy does not answer its readiness probe: is the core etcd reachable?"


def _unscheduled(status: Json) -> str | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"pods cannot be scheduled: {condition.get('message', '')}"
    return None
