"""The finalizer of a storage that has a user in the core.

It is put on before the user is made, and taken off when user and role are gone. In between, once
the storage is being deleted, its pods are told to end, since etcd never looks again at watches
that are open; then user and role go. Pods that are to outlive their storage (kubectl
delete --cascade=orphan) are served by their user as before: it stays in the core, and a new
storage of the name has it again, with all else.

The user is ours only once the status says so, which is written after the finalizer. A finalizer
alone came with the object, from a backup or by intent, or is what a stop of ours left: the name is
looked at as if it were not there, and a deletion takes it off and nothing else away.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from controller.api.conditions import Problem
from controller.api.storage import CORE_USER_FINALIZER, CORE_USER_OWNER, EtcdStorage
from controller.changes import wrote
from controller.consistency import ConsistencyStore
from controller.core import UserState, user_name
from controller.coreusers import Keeper
from controller.dataplane.names import object_name
from controller.dataplane.rolling import is_terminating, pods_of
from controller.ownership import STORAGE_LABEL, Claim, claim, controller_of
from controller.plan import Delete
from controller.reporting import Reporter
from controller.resources import ETCD_STORAGES, REPLICA_SETS
from controller.status import Observed
from controller.watches import STORAGE_INDEX, Listers
from controller.writer import Writer
from informers import ApiError, Client
from informers.store import resource_version

CORE_USER_LEFT: Final = "CoreUserLeft"
DELETING: Final = "Deleting"

_OLD_CRD: Final = (
    f"the server drops status.{CORE_USER_OWNER}, as its CRD is of an older release: kubectl apply"
    " -f artifacts/etcdstorage/crd.yaml"
)

_FORBIDDEN: Final = 403

_RIGHTS: Final = "artifacts/deployment/10-core-users.yaml"

_ORPHAN: Final = "orphan"
"""The garbage collector's: it is about to take our references off what the storage owns."""


@dataclass(frozen=True, slots=True)
class CoreUserFinalizer:
    """Thread safe as long as no two share a storage; without a `keeper` no user can be removed."""

    client: Client
    listers: Listers
    namespace: str
    reporter: Reporter
    consistency: ConsistencyStore
    keeper: Keeper | None

    def claim(self, storage: EtcdStorage) -> None:
        """Make whatever the core has under the storage's name ours.

        After a stop between the two writes the name is looked at once more.
        """
        if not storage.held:
            mine = (*storage.finalizers, CORE_USER_FINALIZER)
            storage = self._set(storage, mine, "finalizer put on")
        guard = {"resourceVersion": storage.resource_version}
        body = {"metadata": guard, "status": {CORE_USER_OWNER: storage.uid}}
        answer = self.client.patch(ETCD_STORAGES, storage.name, body, subresource="status")
        self.consistency.wrote_at(storage.name, ETCD_STORAGES, resource_version(answer))
        wrote("patch", f"{ETCD_STORAGES.kind}/status", storage.name, "core user claimed")
        if CORE_USER_OWNER not in answer.get("status", {}):
            raise ApiError(422, "Invalid", _OLD_CRD)

    def work_off(self, storage: EtcdStorage) -> None:
        """Do what the storage's deletion still needs; what happens next brings it back.

        What it waits for is reported, so that no deletion hangs in silence. A user that was never
        claimed is somebody else's, and stays.
        """
        if not storage.claimed:
            self._take_off(storage, "core user not ours")
            return
        name = object_name(REPLICA_SETS, storage.name)
        replica_set = self.listers.owned[REPLICA_SETS].find(name, self.namespace)
        whose = claim(replica_set, storage) if replica_set else None
        if whose is Claim.ORPHAN or _ORPHAN in storage.finalizers:
            self._take_off(storage, "core user kept")
            return
        if replica_set and whose is Claim.OWNED:
            self._delete(storage, replica_set["metadata"])
        if self._has_pods(storage, replica_set if whose is Claim.FOREIGN else None):
            self.reporter.report(storage, Observed(_ending(storage, self.namespace)))
        else:
            self._remove_user(storage)

    def _remove_user(self, storage: EtcdStorage) -> None:
        if self.keeper is None:
            self.reporter.report(storage, Observed(_left(storage)))
            return
        look = self.keeper.drop(storage.name)
        if look.state is UserState.GONE:
            self._take_off(storage, "core user removed")
            return
        found = look.problem or self.keeper.core().problem
        problem = _stays(found, storage) if found else _going(storage)
        self.reporter.report(storage, Observed(problem))

    def _take_off(self, storage: EtcdStorage, why: str) -> None:
        others = tuple(f for f in storage.finalizers if f != CORE_USER_FINALIZER)
        self._set(storage, others, f"finalizer taken off, {why}")

    def _set(self, storage: EtcdStorage, finalizers: tuple[str, ...], why: str) -> EtcdStorage:
        """Give the storage these finalizers; returns it as it is then."""
        guard = {"resourceVersion": storage.resource_version, "finalizers": finalizers}
        try:
            answer = self.client.patch(ETCD_STORAGES, storage.name, {"metadata": guard})
        except ApiError as error:
            if error.code != _FORBIDDEN:
                raise
            raise _with_remedy(error, storage) from error
        version = resource_version(answer)
        self.consistency.wrote_at(storage.name, ETCD_STORAGES, version)
        wrote("patch", ETCD_STORAGES.kind, storage.name, why)
        return replace(storage, resource_version=version, finalizers=finalizers)

    def _has_pods(self, storage: EtcdStorage, foreign: Mapping[str, Any] | None) -> bool:
        """Whether pods of ours are there that nobody has told to end.

        Those of our ReplicaSet outlive it for a moment, so they are known by its name, which
        somebody else's, `foreign`, may have taken. A pod that is ending is not waited for: on a
        dead node it never ends, and would hold the deletion for ever. So its user may go in a
        pod's last seconds: its calls are refused then, and watches that are open last as long as
        the pod.
        """
        pods = self.listers.pods.by_index(STORAGE_INDEX, storage.name)
        theirs = pods_of(foreign, pods)
        name = object_name(REPLICA_SETS, storage.name)
        ours = {"kind": REPLICA_SETS.kind, "name": name}.items()
        return any(
            ours <= (controller_of(pod) or {}).items()
            for pod in pods
            if pod not in theirs and not is_terminating(pod)
        )

    def _delete(self, storage: EtcdStorage, metadata: Mapping[str, Any]) -> None:
        wrote = partial(self.consistency.wrote_at, storage.name)
        write = Delete(
            REPLICA_SETS, metadata["name"], metadata["uid"], metadata["resourceVersion"]
        )
        Writer(self.client, self.namespace, wrote).carry_out(write)


def _ending(storage: EtcdStorage, namespace: str) -> Problem:
    shown = f"kubectl get pods -n {namespace} -l {STORAGE_LABEL}={storage.name}"
    message = f"the storage is being deleted; its pods are to end first: {shown}"
    return Problem(DELETING, message, passes=True)


def _going(storage: EtcdStorage) -> Problem:
    user = user_name(storage.name)
    message = f"the storage is being deleted; its user {user} is being removed from the core"
    return Problem(DELETING, message, passes=True)


def _stays(problem: Problem, storage: EtcdStorage) -> Problem:
    message = f"{problem.message}; the storage is being deleted and waits for that, unless you"
    return Problem(problem.reason, f"{message} {_way_out(storage)}")


def _left(storage: EtcdStorage) -> Problem:
    return Problem(
        CORE_USER_LEFT,
        f"the core has a user {user_name(storage.name)}, and this controller no right to remove"
        " it: start it with --etcd-core-root-secret and --etcd-core-client-ca-secret, or"
        f" {_way_out(storage)}",
    )


def _with_remedy(error: ApiError, storage: EtcdStorage) -> ApiError:
    """Add to a refusal what it takes: a right, or somebody else who takes the finalizer off."""
    remedy = f"kubectl apply -f {_RIGHTS}"
    if storage.deleting:
        remedy += f", or {_command(storage)}"
    message = f"{error.message}; if the controller has no right to patch EtcdStorages: {remedy}"
    return ApiError(error.code, error.reason, message, details=error.details)


def _way_out(storage: EtcdStorage) -> str:
    return f"leave the user behind: {_command(storage)}"


def _command(storage: EtcdStorage) -> str:
    """Return the command that takes off our finalizer, and never one of somebody else."""
    path = f"/metadata/finalizers/{storage.finalizers.index(CORE_USER_FINALIZER)}"
    steps = (
        {"op": "test", "path": path, "value": CORE_USER_FINALIZER},
        {"op": "remove", "path": path},
    )
    patch = json.dumps(steps, separators=(",", ":"))
    return f"kubectl patch etcdstorage {storage.name} --type=json --patch='{patch}'"
