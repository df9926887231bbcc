"""How pods of an old revision are replaced: a ReplicaSet does not roll its pods, so we do.

A pure step over what is observed, repeated until nothing is left to do. Nothing is remembered
between steps, so a stop anywhere resumes. There are never fewer than `replicas` ready pods that
were ready before:

1. with old pods about, the ReplicaSet is given one pod more than asked for;
2. an old pod that is not ready serves nobody and goes at once, which frees a stuck roll;
3. with all of them ready one old pod is evicted, and the ReplicaSet refills the gap;
4. with no old pod left, the number goes back to what was asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.dataplane.interface import REVISION_LABEL

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RollingStep:
    """The number of replicas to write now, and the pods to evict once it is written."""

    replicas: int
    evict: tuple[Json, ...] = ()


def rolling_step(
    replica_set: Json | None, pods: Iterable[Json], *, revision: str, replicas: int
) -> RollingStep:
    """Decide the next step for `pods`, all owned by `replica_set`, towards `revision`.

    Pods come from a cache that may be behind the server. The victim is the first by name, so
    that a step repeated on the same picture evicts the same pod, never a second one.
    """
    alive = sorted((pod for pod in pods if not is_terminating(pod)), key=_name)
    old = [pod for pod in alive if pod_revision(pod) != revision]
    if replica_set is None or not old:
        return RollingStep(replicas)
    surge = replicas + 1
    evict: tuple[Json, ...] = ()
    if _refills(replica_set, revision):
        evict = tuple(pod for pod in old if not is_ready(pod))
        if _has_surged(replica_set, surge) and len(alive) == surge and all(map(is_ready, alive)):
            evict = (old[0],)
    return RollingStep(surge, evict)


def pod_revision(pod: Json) -> str | None:
    """Return the revision a pod was made from; None for one that is older than revisions."""
    revision: str | None = (pod["metadata"].get("labels") or {}).get(REVISION_LABEL)
    return revision


def is_ready(pod: Json) -> bool:
    """Whether Services send to this pod."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return ready and not is_terminating(pod)


def is_terminating(pod: Json) -> bool:
    """Whether somebody deleted this pod, or it ended and counts for no ReplicaSet."""
    phase = (pod.get("status") or {}).get("phase")
    return "deletionTimestamp" in pod["metadata"] or phase in {"Succeeded", "Failed"}


def _refills(replica_set: Json, revision: str) -> bool:
    """Whether the ReplicaSet controller has seen the template that a gap is to be filled from."""
    seen = (replica_set.get("status") or {}).get("observedGeneration")
    current = pod_revision(replica_set["spec"]["template"]) == revision
    return current and seen == replica_set["metadata"].get("generation")


def _has_surged(replica_set: Json, surge: int) -> bool:
    """Whether the ReplicaSet controller, too, has counted `surge` ready pods.

    The cache of pods alone may show those of before the last change of `replicas`.
    """
    ready = (replica_set.get("status") or {}).get("readyReplicas")
    return bool(replica_set["spec"].get("replicas") == surge == ready)


def _name(pod: Json) -> str:
    name: str = pod["metadata"]["name"]
    return name
