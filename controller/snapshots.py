"""What there is of one storage: from the caches, and from the server where they cannot tell."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from controller.api.storage import EtcdStorage
from controller.dataplane import CoreEtcd
from controller.dataplane.names import object_name, serving_secret
from controller.pki.trustsecret import authority_secret
from controller.plan import Create, Patch, Snapshot, Write
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, REPLICA_SETS, SECRETS
from controller.transforms import slim_replica_set
from controller.watches import STORAGE_INDEX, Listers
from informers import ApiError, Client, Resource
from informers.errors import is_not_found
from informers.store import Object

Done = tuple[Write, Object]
"""A write that was made, and the server's answer to it."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Takes snapshots; thread safe. `client_ca` is the Secret of the users' authority, if any."""

    client: Client
    listers: Listers
    core: CoreEtcd
    namespace: str
    client_ca: str | None

    def take(self, storage: EtcdStorage) -> Snapshot:
        """Return what the caches hold of the storage."""
        listers = self.listers
        found = {
            resource: lister.find(object_name(resource, storage.name), self.namespace)
            for resource, lister in listers.owned.items()
        }
        objects = {resource: obj for resource, obj in found.items() if obj is not None}
        secrets = listers.owned[SECRETS]
        return Snapshot(
            replica_set=objects.pop(REPLICA_SETS, None),
            objects=objects,
            authority=secrets.find(authority_secret(storage.name), self.namespace),
            serving=secrets.find(serving_secret(storage.name), self.namespace),
            pods=tuple(listers.pods.by_index(STORAGE_INDEX, storage.name)),
            **self._shared(),
        )

    def with_strays(
        self, storage: EtcdStorage, snapshot: Snapshot, names: Collection[str]
    ) -> Snapshot:
        """Return it with those Secrets of `names` that are there and that no cache of ours has.

        That is one that lost our label, or never had it. Raises `ApiError`, `ConnectionFailed`.
        """
        for name in names:
            if secret := self._get(SECRETS, name, self.namespace):
                snapshot = _with(storage, snapshot, SECRETS, secret)
        return snapshot

    def has(self, storage: EtcdStorage) -> bool:
        """Ask the server whether the storage is still there; raises as `with_strays` does."""
        live = self._get(ETCD_STORAGES, storage.name, None)
        if live is None:
            return False
        metadata = live["metadata"]
        return metadata["uid"] == storage.uid and "deletionTimestamp" not in metadata

    def _shared(self) -> dict[str, Any]:
        """Return what all storages hang on."""
        wanted = {
            "core_config_map": (CONFIG_MAPS, self.core.ca_config_map),
            "core_secret": (SECRETS, self.core.certs_secret),
            **({"client_ca": (SECRETS, self.client_ca)} if self.client_ca else {}),
        }
        find = self.listers.find_shared
        return {field: find(*what, self.namespace) for field, what in wanted.items()}

    def _get(self, resource: Resource, name: str, namespace: str | None) -> Object | None:
        try:
            return self.client.get(resource, name, namespace)
        except ApiError as error:
            if is_not_found(error):
                return None
            raise


def with_written(storage: EtcdStorage, snapshot: Snapshot, done: Iterable[Done]) -> Snapshot:
    """Return the snapshot with what was made and changed since, before the caches show it."""
    for write, answer in done:
        if isinstance(write, Create | Patch):
            snapshot = _with(storage, snapshot, write.resource, answer)
    return snapshot


def _with(storage: EtcdStorage, snapshot: Snapshot, resource: Resource, obj: Object) -> Snapshot:
    """Put one of the storage's objects in its place."""
    if resource == REPLICA_SETS:
        return replace(snapshot, replica_set=slim_replica_set(obj))
    name = obj["metadata"]["name"] if resource == SECRETS else ""
    if name == authority_secret(storage.name):
        return replace(snapshot, authority=obj)
    if name == serving_secret(storage.name):
        return replace(snapshot, serving=obj)
    return replace(snapshot, objects={**snapshot.objects, resource: obj})
