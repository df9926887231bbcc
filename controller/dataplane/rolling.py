"""How pods of an old revision are replaced: a ReplicaSet does not roll its pods, so we do.

A pure step over what is observed, repeated until nothing is left to do. Nothing is remembered
between steps, so a stop anywhere resumes. One old pod at a time goes, and of those that serve
only while `replicas` others do:

1. with old pods about, the ReplicaSet is given one pod more than asked for;
2. with all of these there and no new one that is not ready, one old pod is evicted, and the
   ReplicaSet refills the gap: first those that are not ready, which frees a stuck roll, the
   youngest of them first; then, when all pods are ready, the others;
3. with no old pod left, the number goes back to what was asked for, once the ReplicaSet
   controller knows that the last one has gone. By then it has refilled that gap, too: each roll
   starts one new pod more than asked for, and one of the new ones goes again at its end. To ask
   for less before the last eviction would let the ReplicaSet controller choose the pod.

Before all that a template that was edited is restored, see `controller.edits`: nothing is rolled
by one that does not hold.

A new pod that does not get ready therefore stops the roll, whatever becomes of the old ones. They
may be unready for a moment only, as all pods are while the core restarts, and what would take
their place is not known to work.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from controller.dataplane.interface import REVISION_LABEL
from controller.ownership import controller_of

PROGRESS_DEADLINE: Final = timedelta(minutes=10)
"""Time for a new pod to get ready in; as a Deployment's progressDeadlineSeconds by default."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RollingStep:
    """The number of replicas to write now, and the pods to evict once it is written."""

    replicas: int
    evict: tuple[Json, ...] = ()


class Stage(Enum):
    """How far a storage's pods are on their way to a revision."""

    NOTHING = "nothing"
    """No pod of another revision, and none that is ready either."""
    SETTLED = "settled"
    """No pod of another revision, and at least one is ready."""
    OUTDATED = "outdated"
    """Pods of another revision, and the ReplicaSet has not been given the new template yet."""
    ROLLING = "rolling"
    """Pods of another revision are being replaced."""
    STUCK = "stuck"
    """The same, and no new pod got ready within `PROGRESS_DEADLINE`."""


def rolling_step(
    replica_set: Json | None, pods: Iterable[Json], *, revision: str, replicas: int
) -> RollingStep:
    """Decide the next step for `pods`, all owned by `replica_set`, towards `revision`.

    Pods come from a cache that may be behind the server. The victim is the same whenever the
    picture is, so that a step repeated on it never evicts a second pod.
    """
    alive = sorted(_alive(pods), key=_name)
    if replica_set is None:
        return RollingStep(replicas)
    if is_edited(replica_set, revision):
        asked = replica_set["spec"].get("replicas")
        return RollingStep(replicas + 1 if asked == replicas + 1 else replicas)
    if all(pod_revision(pod) == revision for pod in alive):
        return RollingStep(_surge_taken_back(replica_set, alive, replicas))
    surge = replicas + 1
    victim = _victim(replica_set, alive, revision, surge)
    return RollingStep(surge, () if victim is None else (victim,))


def stage(
    replica_set: Json | None, pods: Iterable[Json], *, revision: str, now: datetime
) -> Stage:
    """Say how far `pods`, all owned by `replica_set`, are on their way to `revision`."""
    alive = _alive(pods)
    if replica_set is None or all(pod_revision(pod) == revision for pod in alive):
        return Stage.SETTLED if any(map(is_ready, alive)) else Stage.NOTHING
    if pod_revision(replica_set["spec"]["template"]) != revision:
        return Stage.OUTDATED
    since = progressed_at(replica_set, alive)
    late = since is not None and now - since >= PROGRESS_DEADLINE
    return Stage.STUCK if late else Stage.ROLLING


def progressed_at(replica_set: Json, pods: Iterable[Json]) -> datetime | None:
    """Return when a pod of the ReplicaSet's template was last made or got ready.

    Where there is none: since when the ReplicaSet has failed to make one, and None if it has not.
    Read from the objects alone, so that a restart of ours starts no deadline anew.
    """
    template = pod_revision(replica_set["spec"]["template"])
    new = [pod for pod in _alive(pods) if pod_revision(pod) == template]
    if new:
        times = [pod["metadata"].get("creationTimestamp") for pod in new]
        times += [_since(pod, "Ready") for pod in new]
    else:
        times = [_since(replica_set, "ReplicaFailure")]
    return max((datetime.fromisoformat(time) for time in times if time), default=None)


def is_rolling(replica_set: Json, pods: Iterable[Json]) -> bool:
    """Whether `pods`, all owned by `replica_set`, are being replaced, whatever is wanted now."""
    template = pod_revision(replica_set["spec"]["template"])
    return any(pod_revision(pod) != template for pod in _alive(pods))


def pods_of(replica_set: Json | None, pods: Iterable[Json]) -> list[Json]:
    """Return those of `pods` that the ReplicaSet controls."""
    if replica_set is None:
        return []
    uid = replica_set["metadata"]["uid"]
    return [pod for pod in pods if (controller_of(pod) or {}).get("uid") == uid]


def pod_revision(pod: Json) -> str | None:
    """Return the revision a pod was made from; None for one that is older than revisions."""
    revision: str | None = (pod["metadata"].get("labels") or {}).get(REVISION_LABEL)
    return revision


def same_template(revision: str | None, other: str | None) -> bool:
    """Whether pods of both are to be made of the same: a restored template adds to its hash."""
    return (revision or "").partition(".")[0] == (other or "").partition(".")[0]


def is_edited(replica_set: Json, revision: str) -> bool:
    """Whether the template, now to be of `revision`, was edited after it had been given it."""
    there = pod_revision(replica_set["spec"]["template"])
    return there != revision and same_template(there, revision)


def is_ready(pod: Json) -> bool:
    """Whether Services send to this pod."""
    return _since(pod, "Ready") is not None and not is_terminating(pod)


def is_terminating(pod: Json) -> bool:
    """Whether somebody deleted this pod, or it ended and counts for no ReplicaSet."""
    phase = (pod.get("status") or {}).get("phase")
    return "deletionTimestamp" in pod["metadata"] or phase in {"Succeeded", "Failed"}


def _surge_taken_back(replica_set: Json, alive: Sequence[Json], replicas: int) -> int:
    """Return `replicas`, or the number of now if less would cost a pod that serves.

    While the ReplicaSet controller still counts a pod that has gone it would delete another, and
    at the end of a roll all of them are ready. It hears of pods and of its ReplicaSet by two
    watches, so the eviction may well reach it later than a write that comes after it.
    """
    counted = (replica_set.get("status") or {}).get("replicas") or 0
    asked: int = replica_set["spec"].get("replicas") or 0
    return max(asked, replicas) if counted > len(alive) else replicas


def _victim(replica_set: Json, alive: Sequence[Json], revision: str, surge: int) -> Json | None:
    """The old pod to evict now, if any."""
    old = [pod for pod in alive if pod_revision(pod) != revision]
    waiting = any(pod_revision(pod) == revision and not is_ready(pod) for pod in alive)
    if len(alive) != surge or waiting or not _refills(replica_set, revision):
        return None
    broken = [pod for pod in old if not is_ready(pod)]
    if broken:
        # One that was made last may never have been ready; the others may be again.
        return max(broken, key=_made)
    return old[0] if _has_surged(replica_set, surge) else None


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


def _alive(pods: Iterable[Json]) -> list[Json]:
    return [pod for pod in pods if not is_terminating(pod)]


def _since(obj: Json, condition: str) -> str | None:
    """When the condition became true, '' if nobody says when; None if it is not."""
    for found in (obj.get("status") or {}).get("conditions") or ():
        if found.get("type") == condition and found.get("status") == "True":
            return found.get("lastTransitionTime") or ""
    return None


def _made(pod: Json) -> tuple[str, str]:
    """Times of one format and zone, as the API server writes them, compare as text."""
    return pod["metadata"].get("creationTimestamp") or "", _name(pod)


def _name(pod: Json) -> str:
    name: str = pod["metadata"]["name"]
    return name
