"""The status of a storage, worked out from what was seen and done: a pure function.

Reasons are part of the interface: operators alert on them, and the README lists them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller.api.conditions import Condition, Problem, merge_conditions
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
AWAITING_DELETION: Final = "AwaitingDeletion"
INVALID_SPEC: Final = "InvalidSpec"
PODS_READY: Final = "PodsReady"
NO_POD_READY: Final = "NoPodReady"
NOT_DEPLOYED: Final = "NotDeployed"
ROLLING_PODS: Final = "RollingPods"
EVICTION_BLOCKED: Final = "EvictionBlocked"
PODS_UP_TO_DATE: Final = "PodsUpToDate"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """What one reconcile saw and did.

    `served` says that the Service exists and is ours; `pods` are those behind it, and `revision`
    is the one they should have. `eviction_blocked` says why a pod could not be replaced.
    """

    problem: Problem | None
    served: bool = False
    endpoint: str = ""
    revision: str | None = None
    pods: tuple[Json, ...] = ()
    eviction_blocked: str = ""


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
                _progressing(
                    observed.eviction_blocked, updated, rolling=len(updated) < len(alive)
                ),
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
    message = _waiting(alive) or f"0 of {storage.replicas} pods are there yet"
    return Condition(READY, False, NO_POD_READY, message)


def _progressing(blocked: str, updated: Sequence[Json], *, rolling: bool) -> Condition:
    if blocked:
        return Condition(PROGRESSING, True, EVICTION_BLOCKED, blocked)
    if not rolling:
        return Condition(
            PROGRESSING, False, PODS_UP_TO_DATE, "no pod of an older revision is left"
        )
    message = "pods of an older revision are being replaced"
    if waiting := _waiting(pod for pod in updated if not is_ready(pod)):
        message += f", new ones wait: {waiting}"
    return Condition(PROGRESSING, True, ROLLING_PODS, message)


def _waiting(pods: Iterable[Json]) -> str:
    return "; ".join(sorted(set(_waiting_for(pods))))


def _waiting_for(pods: Iterable[Json]) -> Iterable[str]:
    """What keeps pods from being ready, without pod names, so that the message is steady."""
    for pod in pods:
        status = pod.get("status") or {}
        containers = status.get("containerStatuses") or ()
        for container in containers:
            yield _container_problem(container)
        if not containers:
            yield _unscheduled(status) or "pods are being started"


def _container_problem(container: Json) -> str:
    """The last end of a container tells more than what it does between two restarts."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated")
    if ended:
        how = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode', 'unknown')}"
        return f"the container ended ({how}) and is restarted: see the pods' logs"
    if "waiting" in state:
        return f"container {state['waiting'].get('reason', 'waiting')}"
    return "the proxy does not answer its readiness probe: is the core etcd reachable?"


def _unscheduled(status: Json) -> str | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"pods cannot be scheduled: {condition.get('message', '')}"
    return None
