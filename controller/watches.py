"""Which objects are watched, what is kept of them, and whose reconcile each brings about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from controller.dataplane.names import storage_of
from controller.handlers import (
    ChangeHandler,
    EnqueueHandler,
    KeyFunction,
    Matters,
    WatchErrorLog,
    always,
    beyond_status,
    by_label,
    by_name,
    own_name,
)
from controller.options import Options
from controller.ownership import STORAGE_LABEL
from controller.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ETCD_STORAGES,
    LEASES,
    NETWORK_POLICIES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from controller.sharing import Sharing
from controller.transforms import slim_pod, slim_replica_set
from informers import (
    Lister,
    Resource,
    ResourceEventHandler,
    SharedIndexInformer,
    SharedInformerFactory,
)
from informers.events import Transform, drop_managed_fields
from informers.store import Object
from workqueue import Queue

STORAGE_INDEX: Final = "storage"
"""The pods' index: the name of the storage in their label."""

OF_EVERY_STORAGE: Final = (REPLICA_SETS, SERVICES, DISRUPTION_BUDGETS, NETWORK_POLICIES)
"""The kinds of which every storage has an object."""

_OURS: Final[Mapping[str, str]] = {"labelSelector": STORAGE_LABEL}


@dataclass(frozen=True, slots=True)
class Listers:
    """The caches that a reconcile reads.

    `owned` has those of the kinds that a storage has objects of, Secrets by our label. `shared`
    has those of single objects, by kind and name.
    """

    storages: Lister
    owned: Mapping[Resource, Lister]
    pods: Lister
    shared: Mapping[tuple[Resource, str], Lister]

    def find_shared(self, resource: Resource, name: str, namespace: str) -> Object | None:
        """Return the object if it is there, and one that is followed."""
        lister = self.shared.get((resource, name))
        return lister.find(name, namespace) if lister else None

    def written(self) -> dict[Resource, Lister]:
        """The caches of the kinds that a reconcile writes to and gets a version from."""
        return {ETCD_STORAGES: self.storages, **self.owned}


class Watches:
    """One informer for each kind, or object, with a handler that names storages.

    `on_shared` is called for every change of an object that all storages hang on.
    """

    def __init__(
        self,
        factory: SharedInformerFactory,
        queue: Queue[str],
        options: Options,
        on_shared: Callable[[], None],
    ) -> None:
        self._factory = factory
        self._queue = queue
        self._options = options
        self._on_shared = on_shared
        self._errors = WatchErrorLog()
        self._written: dict[Resource, SharedIndexInformer] = {}
        self.listers = self._listers()

    @property
    def written(self) -> Mapping[Resource, SharedIndexInformer]:
        """The informers of what a reconcile writes to."""
        return self._written

    def _listers(self) -> Listers:
        """Ask for all informers; they are empty until the factory is started."""
        core, users = self._options.core, self._options.user_secrets
        secrets = [core.certs_secret] if users is None else [users.root, users.client_ca]
        shared = [(CONFIG_MAPS, core.ca_config_map), *((SECRETS, name) for name in secrets)]
        storages = self._follow(
            ETCD_STORAGES,
            own_name,
            resync=self._options.resync_period,
            matters=beyond_status,
        )
        owned = {kind: self._follow_by_name(kind) for kind in OF_EVERY_STORAGE}
        owned[SECRETS] = self._follow_by_name(SECRETS, selectors=_OURS)
        self._written = {ETCD_STORAGES: storages, **owned}
        pods = self._follow(PODS, by_label, selectors=_OURS, indexers={STORAGE_INDEX: by_label})
        for informer in (storages, owned[NETWORK_POLICIES]):
            informer.set_transform(_sharing(drop_managed_fields))
        owned[REPLICA_SETS].set_transform(_sharing(slim_replica_set))
        pods.set_transform(_sharing(slim_pod))
        return Listers(
            storages=_lister(storages),
            owned={kind: _lister(informer) for kind, informer in owned.items()},
            pods=_lister(pods),
            shared={(kind, name): self._shared(kind, name) for kind, name in shared},
        )

    def _follow_by_name(self, resource: Resource, **selection: Any) -> SharedIndexInformer:
        return self._follow(resource, by_name(partial(storage_of, resource)), **selection)

    def _shared(self, resource: Resource, name: str) -> Lister:
        """Follow one object, which a Role may allow by name; every storage hangs on it."""
        selectors = {"fieldSelector": f"metadata.name={name}"}
        informer = self._follow(resource, lambda _: self._names(), selectors=selectors)
        informer.add_event_handler(ChangeHandler(self._on_shared))
        return _lister(informer)

    def _follow(
        self,
        resource: Resource,
        keys: KeyFunction,
        *,
        resync: float = 0.0,
        matters: Matters = always,
        **selection: Any,
    ) -> SharedIndexInformer:
        namespace = self._options.namespace if resource.namespaced else None
        informer = self._factory.informer(resource, namespace, **selection)
        informer.set_watch_error_handler(self._errors)
        informer.add_event_handler(EnqueueHandler(self._queue, keys, matters), resync)
        return informer

    def follow_lease(self, name: str, handler: ResourceEventHandler) -> None:
        """Show `handler` the Lease of this name, which is nobody's storage."""
        selectors = {"fieldSelector": f"metadata.name={name}"}
        informer = self._factory.informer(LEASES, self._options.namespace, selectors=selectors)
        informer.set_watch_error_handler(self._errors)
        informer.add_event_handler(handler)

    def follow_storages(self, handler: ResourceEventHandler) -> None:
        """Show `handler` the storages as well."""
        self._written[ETCD_STORAGES].add_event_handler(handler)

    def enqueue_all(self) -> None:
        """Let every storage be looked at."""
        for name in self._names():
            self._queue.add(name)

    def _names(self) -> list[str]:
        return [storage["metadata"]["name"] for storage in self.listers.storages.list()]


def _lister(informer: SharedIndexInformer) -> Lister:
    return Lister(informer.store, informer.resource)


def _sharing(transform: Transform) -> Transform:
    """Return the transform for one informer whose objects have much in common."""
    sharing = Sharing()
    return lambda obj: sharing.share(transform(obj))
