"""The finalizer of a storage with something in the core that is to go with it.

That is a user, where storages have users, and with the reclaim policy Delete its keys. The
finalizer is put on before any of that is made; `controller.deletion` takes it off.

The user is ours only once the status says so, which is written after the finalizer. A finalizer
alone came with the object, from a backup or by intent, or is what a stop of ours left: the name is
looked at as if it were not there. Whoever keeps taking it off is in a fight with us, as about any
field of our objects.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from controller.api.storage import CORE_FINALIZER, CORE_USER_OWNER, EtcdStorage
from controller.changes import wrote
from controller.consistency import ConsistencyStore
from controller.fights import Fights
from controller.resources import ETCD_STORAGES
from controller.tenant import Tenant
from informers import ApiError, Client
from informers.store import resource_version

Json = Mapping[str, Any]

_OLD_CRD: Final = (
    f"the server drops status.{CORE_USER_OWNER}, as its CRD is of an older release: kubectl apply"
    " -f artifacts/etcdstorage/crd.yaml"
)

_FORBIDDEN: Final = 403

_RIGHTS: Final = "artifacts/deployment/10-core-users.yaml"


@dataclass(frozen=True, slots=True)
class CoreFinalizer:
    """Thread safe as long as no two share a storage."""

    client: Client
    consistency: ConsistencyStore

    def hold(self, storage: EtcdStorage, tenant: Tenant, fights: Fights) -> bool:
        """Let the storage wait for us before it is gone, if it has to; whether that was written.

        It has to be before anything is made that its end has to remove.
        """
        lacks = lacks_finalizer(storage, tenant)
        if lacks and fights.may_finalize(storage):
            storage = self._put_on(storage, fights)
        elif lacks or not tenant.claims:
            return False
        if tenant.claims and storage.held:
            self._claim(storage)
        return True

    def _put_on(self, storage: EtcdStorage, fights: Fights) -> EtcdStorage:
        answer = self._set(storage, (*storage.finalizers, CORE_FINALIZER), "finalizer put on")
        fights.finalized(storage, answer)
        there = tuple(answer["metadata"].get("finalizers") or ())
        return replace(storage, resource_version=resource_version(answer), finalizers=there)

    def _claim(self, storage: EtcdStorage) -> None:
        """Make the user and role that the core has under the storage's name ours.

        After a stop before this the name is looked at once more.
        """
        guard = {"resourceVersion": storage.resource_version}
        body = {"metadata": guard, "status": {CORE_USER_OWNER: storage.uid}}
        answer = self.client.patch(ETCD_STORAGES, storage.name, body, subresource="status")
        self.consistency.wrote_at(storage.name, ETCD_STORAGES, resource_version(answer))
        wrote("patch", f"{ETCD_STORAGES.kind}/status", storage.name, "core user claimed")
        if CORE_USER_OWNER not in answer.get("status", {}):
            raise ApiError(422, "Invalid", _OLD_CRD)

    def take_off(self, storage: EtcdStorage, why: str) -> None:
        """Let the storage go, as far as it is for us to say."""
        others = tuple(f for f in storage.finalizers if f != CORE_FINALIZER)
        self._set(storage, others, f"finalizer taken off, {why}")

    def _set(self, storage: EtcdStorage, finalizers: tuple[str, ...], why: str) -> Json:
        """Give the storage these finalizers; returns it as it is then."""
        guard = {"resourceVersion": storage.resource_version, "finalizers": finalizers}
        try:
            answer = self.client.patch(ETCD_STORAGES, storage.name, {"metadata": guard})
        except ApiError as error:
            if error.code != _FORBIDDEN:
                raise
            raise _with_remedy(error, storage) from error
        self.consistency.wrote_at(storage.name, ETCD_STORAGES, resource_version(answer))
        wrote("patch", ETCD_STORAGES.kind, storage.name, why)
        return answer


def lacks_finalizer(storage: EtcdStorage, tenant: Tenant) -> bool:
    """Whether the storage is to get our finalizer, and has not got it."""
    wanted = tenant.claims or (storage.reclaims and tenant.problem is None)
    return wanted and not storage.held


def way_out(storage: EtcdStorage) -> str:
    """Return the command that takes off our finalizer, and never one of somebody else."""
    path = f"/metadata/finalizers/{storage.finalizers.index(CORE_FINALIZER)}"
    steps = (
        {"op": "test", "path": path, "value": CORE_FINALIZER},
        {"op": "remove", "path": path},
    )
    patch = json.dumps(steps, separators=(",", ":"))
    return f"kubectl patch etcdstorage {storage.name} --type=json --patch='{patch}'"


def _with_remedy(error: ApiError, storage: EtcdStorage) -> ApiError:
    """Add to a refusal what it takes: a right, or somebody else who takes the finalizer off."""
    remedy = f"kubectl apply -f {_RIGHTS}"
    if storage.deleting:
        remedy += f", or {way_out(storage)}"
    message = f"{error.message}; if the controller has no right to patch EtcdStorages: {remedy}"
    return ApiError(error.code, error.reason, message, details=error.details)
