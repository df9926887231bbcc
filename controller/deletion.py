"""The end of a storage with something in the core: what is done in which order, and waited for.

- With Retain its pods are told to end, since etcd never looks again at watches that are open; then
  user and role go.
- With Delete user and role go first, so that the core refuses whoever is left; then the pods; then
  the keys. Where the core checks no users a pod on a node that was lost may still write: the keys
  wait until there is no pod any more.

Then the finalizer is taken off. Nothing is remembered, so a stop anywhere resumes. Pods that are
to outlive their storage (kubectl delete --cascade=orphan) are served as before: user and keys
stay, and a new storage of the name has them again, with all else. What was never ours in the core,
or by its name cannot be, stays as well.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from controller import events
from controller.api.conditions import Problem, find_condition
from controller.api.storage import EtcdStorage, name_problem
from controller.api.times import rfc3339
from controller.consistency import ConsistencyStore
from controller.core import UserState, user_name
from controller.core.users import CORE_USER_CONFLICT
from controller.coreusers import Keeper
from controller.dataplane.names import object_name
from controller.dataplane.rolling import is_terminating, pods_of
from controller.finalizer import CoreFinalizer, way_out
from controller.ownership import STORAGE_LABEL, Claim, claim, controller_of
from controller.plan import Delete
from controller.reporting import Reporter
from controller.resources import REPLICA_SETS
from controller.status import DELETING, DEPLOYED, Observed
from controller.watches import STORAGE_INDEX, Listers
from controller.writer import Writer
from informers import Client

CORE_USER_LEFT: Final = "CoreUserLeft"
POD_NOT_ENDING: Final = "PodNotEnding"

_ORPHAN: Final = "orphan"
"""The garbage collector's: it is about to take our references off what the storage owns."""

_OVERDUE: Final = timedelta(minutes=1)
"""After the time by which a pod was to have ended: its node may be lost."""

_TOLD: Final = 3
"""Finalizers of others that are named."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """What a deletion waits for; in `again` seconds there may be something else to say of it."""

    problem: Problem
    again: float | None = None


Step = Callable[[EtcdStorage], Wait | None]
"""Does its part of a deletion; returns what it waits for, None once it is done."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Thread safe as long as no two share a storage; `users`: whether users can be removed."""

    client: Client
    listers: Listers
    namespace: str
    reserved_names: Collection[str]
    reporter: Reporter
    consistency: ConsistencyStore
    keeper: Keeper
    now: Callable[[], datetime]
    users: bool

    def work_off(self, storage: EtcdStorage) -> float | None:
        """Do what the storage's deletion still needs; what happens next brings it back.

        What it waits for is reported, so that no deletion hangs in silence. Returns the seconds
        after which it is worth another look in any case, or None.
        """
        kept = self._why_keys_stay(storage) if storage.reclaims else None
        for step in self._steps(storage, purges=storage.reclaims and kept is None):
            if wait := step(storage):
                self.reporter.report(storage, Observed(wait.problem))
                return wait.again
        if kept:
            self.reporter.recorder.record(storage, events.warning(events.KEYS_KEPT, kept))
        CoreFinalizer(self.client, self.consistency).take_off(storage, kept or "all is done")
        return None

    def tell_who_holds(self, storage: EtcdStorage) -> None:
        """Tell that a storage waits for others alone, if the last that was told is something else.

        Of one that needed nothing of us the status goes on to say how it was.
        """
        told = find_condition(storage.status, DEPLOYED)
        if told and told.get("status") == "False":
            holders = ", ".join(storage.finalizers[:_TOLD])
            waits = (
                f"nothing of ours is left to do, it waits for the finalizers of others: {holders}"
            )
            self.reporter.report(storage, Observed(_deleting(storage, waits)))

    def _steps(self, storage: EtcdStorage, *, purges: bool) -> tuple[Step, ...]:
        """Return what is to be done, in order; nothing for a storage whose pods live on."""
        replica_set = self._replica_set(storage)
        orphaned = replica_set is not None and claim(replica_set, storage) is Claim.ORPHAN
        lives_on = orphaned or _ORPHAN in storage.finalizers
        if purges and not lives_on:
            return self._know_the_name, self._drop_user, self._end_pods, self._purge
        # Ends a removal of keys that was asked for before.
        self.keeper.count(storage.name)
        return () if lives_on or not storage.claimed else (self._end_pods, self._drop_user)

    def _why_keys_stay(self, storage: EtcdStorage) -> str | None:
        """Return why no key under the storage's prefix is removed although it asks for that."""
        if message := name_problem(storage.name, self.reserved_names):
            return f"{message}: what the core etcd has under {storage.prefix} was left"
        if not self.users or storage.claimed:
            return None
        problem = self.keeper.want(storage.name, claimed=False).problem
        if problem is None or problem.reason != CORE_USER_CONFLICT:
            return None
        return f"what the core etcd has under {storage.prefix} was left: {problem.message}"

    def _know_the_name(self, storage: EtcdStorage) -> Wait | None:
        """Wait until it is known whether the name is somebody else's in the core."""
        if not self.users or storage.claimed:
            return None
        look = self.keeper.want(storage.name, claimed=False)
        if look.state is UserState.FREE:
            return None
        return self._waiting(storage, look.problem, "the core is asked whose its name is")

    def _drop_user(self, storage: EtcdStorage) -> Wait | None:
        if not storage.claimed:
            return None
        if not self.users:
            return Wait(_left(storage))
        look = self.keeper.drop(storage.name)
        if look.state is UserState.GONE:
            return None
        user = user_name(storage.name)
        return self._waiting(
            storage, look.problem, f"its user {user} is being removed from the core"
        )

    def _end_pods(self, storage: EtcdStorage) -> Wait | None:
        """Delete the ReplicaSet, and wait for pods of ours as far as they matter."""
        replica_set = self._replica_set(storage)
        owned = replica_set is not None and claim(replica_set, storage) is Claim.OWNED
        if replica_set and owned:
            self._delete(storage, replica_set["metadata"])
        pods = self._pods(storage, None if owned else replica_set)
        if stray := next((pod for pod in pods if _is_left_alone(pod)), None):
            return Wait(_stays(_stray(stray, self.namespace), storage))
        if any(not is_terminating(pod) for pod in pods):
            shown = f"kubectl get pods -n {self.namespace} -l {STORAGE_LABEL}={storage.name}"
            return Wait(_deleting(storage, f"its pods are to end first: {shown}"))
        if not storage.reclaims or self._is_refused(storage):
            # On a dead node a pod never ends, and would hold the deletion for ever: its calls are
            # refused, and watches that are open last as long as the pod.
            return None
        return _awaiting_end(storage, pods, self.namespace, self.now())

    def _is_refused(self, storage: EtcdStorage) -> bool:
        """Whether the core refuses all calls of the storage's pods, once its user is gone."""
        return self.users and storage.claimed and self.keeper.core().auth is True

    def _purge(self, storage: EtcdStorage) -> Wait | None:
        look = self.keeper.purge(storage.name)
        if look.done:
            return None
        doing = f"its keys under {storage.prefix} are being removed from the core"
        return self._waiting(storage, look.problem, doing)

    def _waiting(self, storage: EtcdStorage, problem: Problem | None, doing: str) -> Wait:
        """Return that the core is at work, or what keeps it from that."""
        found = problem or self.keeper.core().problem
        return Wait(_stays(found, storage) if found else _deleting(storage, doing))

    def _replica_set(self, storage: EtcdStorage) -> Json | None:
        name = object_name(REPLICA_SETS, storage.name)
        return self.listers.owned[REPLICA_SETS].find(name, self.namespace)

    def _pods(self, storage: EtcdStorage, foreign: Json | None) -> list[Json]:
        """Return the pods of ours that are there.

        Those of our ReplicaSet outlive it for a moment, so they are known by its name, which
        somebody else's, `foreign`, may have taken. One that it was taken from has nobody.
        """
        pods = self.listers.pods.by_index(STORAGE_INDEX, storage.name)
        theirs = pods_of(foreign, pods)
        name = object_name(REPLICA_SETS, storage.name)
        ours = {"kind": REPLICA_SETS.kind, "name": name}
        return [
            pod
            for pod in pods
            if pod not in theirs and ours.items() <= (controller_of(pod) or ours).items()
        ]

    def _delete(self, storage: EtcdStorage, metadata: Json) -> None:
        wrote = partial(self.consistency.wrote_at, storage.name)
        write = Delete(
            REPLICA_SETS, metadata["name"], metadata["uid"], metadata["resourceVersion"]
        )
        Writer(self.client, self.namespace, wrote).carry_out(write)


def _is_left_alone(pod: Json) -> bool:
    """Whether a pod runs that nobody is going to end, as whose ReplicaSet went without it."""
    return controller_of(pod) is None and not is_terminating(pod)


def _stray(pod: Json, namespace: str) -> Problem:
    name = pod["metadata"]["name"]
    message = f"pod {name} has no ReplicaSet any more that would end it"
    return Problem(POD_NOT_ENDING, f"{message}: kubectl delete pod {name} -n {namespace}")


def _awaiting_end(
    storage: EtcdStorage, pods: list[Json], namespace: str, now: datetime
) -> Wait | None:
    """Wait for pods that were told to end and have not, as each may still write."""
    times = {
        pod["metadata"]["name"]: datetime.fromisoformat(pod["metadata"]["deletionTimestamp"])
        for pod in pods
        if (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}
    }
    if not times:
        return None
    name, by = min(times.items(), key=lambda item: (item[1], item[0]))
    left = (by + _OVERDUE - now).total_seconds()
    if left > 0:
        return Wait(_deleting(storage, f"its pod {name} is ending"), again=left)
    message = (
        f"pod {name} was to end by {rfc3339(by)} and is still there: its node may be lost, and its"
        " clients write on. Bring the node back, or once it is off for certain: kubectl delete"
        f" pod {name} -n {namespace} --force"
    )
    return Wait(_stays(Problem(POD_NOT_ENDING, message), storage))


def _deleting(storage: EtcdStorage, doing: str) -> Problem:
    message = f"the storage is being deleted{_since(storage)}; {doing}"
    return Problem(DELETING, message, passes=True)


def _stays(problem: Problem, storage: EtcdStorage) -> Problem:
    waits = f"the storage is being deleted{_since(storage)} and waits for that, unless you"
    return Problem(problem.reason, f"{problem.message}; {waits} {_leave(storage)}")


def _left(storage: EtcdStorage) -> Problem:
    return Problem(
        CORE_USER_LEFT,
        f"the core has a user {user_name(storage.name)}, and this controller no right to remove"
        " it: start it with --etcd-core-root-secret and --etcd-core-client-ca-secret; the storage"
        f" is being deleted{_since(storage)} and waits for that, unless you {_leave(storage)}",
    )


def _leave(storage: EtcdStorage) -> str:
    left = [*(["user"] if storage.claimed else []), *(["keys"] if storage.reclaims else [])]
    return f"leave the {' and the '.join(left)} behind: {way_out(storage)}"


def _since(storage: EtcdStorage) -> str:
    return f" since {rfc3339(storage.deleted)}" if storage.deleted else ""
