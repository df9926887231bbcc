"""Why pods are not ready, in words, and whether somebody has to act: pure functions of pods.

No pod names and no counts, so that a message is as steady as its cause.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from controller.api.conditions import Problem
from controller.dataplane.interface import ISOLATED_BY_CORE, ISOLATED_BY_GATE, ISOLATION_LABEL
from controller.dataplane.pods import GATE
from controller.dataplane.rolling import is_ready

Json = Mapping[str, Any]

PODS_CANNOT_START: Final = "PodsCannotStart"

_IMAGE: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName"})
_CONFIG: Final = frozenset({"CreateContainerConfigError", "CreateContainerError"})
_NOT_YET: Final = frozenset({"ContainerCreating", "PodInitializing"})
"""What a container waits for that is only a part of its pod's start."""

_GATE_SILENT: Final = (
    "the gate cannot read from the core: is the core etcd up, are its CA and the pod's pair the"
    " ones it takes, and may its user read? (see the log of container gate)"
)


def waiting(pods: Iterable[Json]) -> str:
    """Return what keeps those of `pods` that are not ready; '' if all are."""
    found = (text for pod in pods if not is_ready(pod) for text in _waiting_for(pod))
    return "; ".join(sorted(set(found)))


def stuck(pods: Iterable[Json]) -> Problem | None:
    """Return why pods will not start by themselves, or None: an image, or a wrong manifest."""
    containers = (container for pod in pods for container in _containers(pod))
    found = sorted({text for container in containers if (text := _cannot_start(container))})
    return Problem(PODS_CANNOT_START, "; ".join(found)) if found else None


def failure(replica_set: Json | None) -> str:
    """Why the ReplicaSet cannot make pods, in the server's words; '' if it can."""
    for condition in ((replica_set or {}).get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return f"the ReplicaSet cannot make pods: {condition.get('message', '')}"
    return ""


def isolation(pods: Iterable[Json], *, by_core: bool) -> str | None:
    """Return who keeps the tenant from others' data: the weakest of the pods; None if nobody.

    Pods that lean on the core keep nobody apart unless it does: `by_core`.
    """
    given = {(pod["metadata"].get("labels") or {}).get(ISOLATION_LABEL) for pod in pods}
    if ISOLATED_BY_CORE in given and not by_core:
        return None
    if given == {ISOLATED_BY_CORE}:
        return ISOLATED_BY_CORE
    return ISOLATED_BY_GATE if given and given <= {ISOLATED_BY_CORE, ISOLATED_BY_GATE} else None


def _waiting_for(pod: Json) -> list[str]:
    containers = list(_containers(pod))
    if not containers:
        return [_unscheduled(pod) or "pods are being started"]
    told = [text for text in map(_container_problem, containers) if text]
    # The gate waits for grpc-proxy to start: that one tells why.
    telling = [text for container, text in told if _waits(container) not in _NOT_YET]
    return telling or [text for _, text in told]


def _containers(pod: Json) -> Iterator[Json]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _container_problem(container: Json) -> tuple[Json, str] | None:
    """The last end of a container tells more than what it does between two restarts."""
    if container.get("ready"):
        return None
    name, state = container.get("name"), container.get("state") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if ended:
        how = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode', 'unknown')}"
        return container, f"container {name} ended ({how}) and is restarted: see its log"
    if "waiting" in state:
        return container, _cannot_start(container) or f"container {name} {_waits(container)}"
    if name == GATE:
        return container, _GATE_SILENT
    return container, f"container {name} is not ready: see its log"


def _cannot_start(container: Json) -> str | None:
    reason = _waits(container)
    if reason in _IMAGE:
        image = container.get("image", "unknown")
        return f"container {container.get('name')}: image {image} cannot be had ({_WHERE})"
    if reason in _CONFIG:
        why = ((container.get("state") or {}).get("waiting") or {}).get("message", reason)
        return f"container {container.get('name')} cannot be made: {why}"
    return None


_WHERE: Final = "flags --gate-image and --etcd-proxy-image"


def _waits(container: Json) -> str | None:
    """Return the reason for which a container waits, None if it does not."""
    state = container.get("state") or {}
    if "waiting" not in state:
        return None
    reason: str = state["waiting"].get("reason", "waiting")
    return reason


def _unscheduled(pod: Json) -> str | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"pods cannot be scheduled: {condition.get('message', '')}"
    return None
