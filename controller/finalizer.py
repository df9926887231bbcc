"""The finalizer of a storage that has a user in the core.

It is put on before the user is made, and taken off when user and role are gone. In between, once
the storage is being deleted, its pods go first, since etcd never looks again at watches that are
open; then user and role.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from controller.api.conditions import Problem
from controller.api.storage import CORE_USER_FINALIZER, EtcdStorage
from controller.consistency import ConsistencyStore
from controller.core import UserState, user_name
from controller.coreusers import Keeper
from controller.dataplane.names import object_name
from controller.dataplane.rolling import is_terminating
from controller.ownership import Claim, claim, controller_of
from controller.plan import Delete
from controller.reporting import Reporter
from controller.resources import ETCD_STORAGES, REPLICA_SETS
from controller.status import Observed
from controller.watches import STORAGE_INDEX, Listers
from controller.writer import Writer
from informers import Client
from informers.store import resource_version

CORE_USER_LEFT: Final = "CoreUserLeft"

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

    def put_on(self, storage: EtcdStorage) -> None:
        """Mark the storage as one whose user in the core is ours."""
        self._set(storage, [*storage.finalizers, CORE_USER_FINALIZER])

    def work_off(self, storage: EtcdStorage) -> None:
        """Do what the storage's deletion still needs; what happens next brings it back."""
        if _ORPHAN in storage.finalizers or self._has_pods(storage):
            return
        if self.keeper is None:
            self.reporter.report(storage, Observed(_left(storage)))
            return
        look = self.keeper.drop(storage.name)
        if look.state is UserState.GONE:
            self._set(storage, [f for f in storage.finalizers if f != CORE_USER_FINALIZER])
        elif problem := look.problem or self.keeper.core().problem:
            self.reporter.report(storage, Observed(problem))

    def _set(self, storage: EtcdStorage, finalizers: list[str]) -> None:
        guard = {"resourceVersion": storage.resource_version, "finalizers": finalizers}
        answer = self.client.patch(ETCD_STORAGES, storage.name, {"metadata": guard})
        self.consistency.wrote_at(storage.name, ETCD_STORAGES, resource_version(answer))

    def _has_pods(self, storage: EtcdStorage) -> bool:
        """Delete the storage's ReplicaSet, and say whether pods of it are there that stay."""
        name = object_name(REPLICA_SETS, storage.name)
        replica_set = self.listers.owned[REPLICA_SETS].find(name, self.namespace)
        if replica_set is not None and claim(replica_set, storage) is Claim.OWNED:
            self._delete(storage, replica_set["metadata"])
        pods = self.listers.pods.by_index(STORAGE_INDEX, storage.name)
        return any((controller_of(p) or {}).get("name") == name for p in _staying(pods))

    def _delete(self, storage: EtcdStorage, metadata: Mapping[str, Any]) -> None:
        wrote = partial(self.consistency.wrote_at, storage.name)
        write = Delete(
            REPLICA_SETS, metadata["name"], metadata["uid"], metadata["resourceVersion"]
        )
        Writer(self.client, self.namespace, wrote).carry_out(write)


def _staying(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [pod for pod in pods if not is_terminating(pod)]


def _left(storage: EtcdStorage) -> Problem:
    patch = '{"metadata":{"finalizers":null}}'
    return Problem(
        CORE_USER_LEFT,
        f"the core has a user {user_name(storage.name)}, and this controller no right to remove"
        " it: start it with --etcd-core-root-secret and --etcd-core-client-ca-secret, or leave the"
        f" user behind: kubectl patch etcdstorage {storage.name} --type=merge --patch='{patch}'",
    )
