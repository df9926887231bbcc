"""Lives of controllers on the real API server, one look at a time and without a thread."""

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from controller.api.storage import RESERVED_NAMES
from controller.certifier import Certifier
from controller.certmetrics import CertificateMetrics
from controller.consistency import CacheBehind, ConsistencyStore
from controller.consumers import Consumers, Restarts
from controller.dataplane import CoreEtcd, GatedDataPlane
from controller.dataplane.names import object_name
from controller.events import Event, Subject
from controller.fights import Fights
from controller.handlers import by_label
from controller.reconcile import Reconciler
from controller.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ETCD_STORAGES,
    NETWORK_POLICIES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from controller.rollouts import Rollouts
from controller.served import ServedCertificates
from controller.transforms import slim_pod, slim_replica_set
from controller.watches import STORAGE_INDEX, Listers
from controller.writer import is_stale
from informers import ApiError, Client, Lister, Resource, Store
from informers.rest.config import ClusterConfig
from tests.integration.controller.tlsstorages import Delivered, Json, listing
from tests.support.clock import FakeClock
from tests.support.corekeeper import CoreKeeper
from tests.support.eventually import eventually
from tests.support.mortal import Death, KilledError, MortalClient
from tests.support.objects import IMAGES

CORE: Final = CoreEtcd(
    ("http://core.example:2379",), "etcd-coreserving-ca", "etcd-coreserving-cert"
)

MANY: Final = 40
"""More writes than anything takes."""

_OWNED: Final = (REPLICA_SETS, SERVICES, DISRUPTION_BUDGETS, NETWORK_POLICIES, SECRETS)

VALIDITIES: Final = {
    "signingCertificateValidity": "8760h",
    "servingCertificateValidity": "2160h",
    "clientCertificateValidity": "2160h",
}


class Life:
    """One life of a controller, that looks when it is told to, by caches that hold the truth.

    It remembers nothing of another life: whoever makes a new one has restarted the controller.
    """

    def __init__(self, client: MortalClient, namespace: str, now: Callable[[], datetime]) -> None:
        self.client = client
        self.events: list[Event] = []
        self.again: float | None = None
        self.clock = FakeClock()
        self._namespace = namespace
        self._served = ServedCertificates(lambda _: None, random.Random(1), clock=self.clock)
        kinds = (ETCD_STORAGES, *_OWNED, CONFIG_MAPS, PODS)
        self._stores = {
            kind: Store({STORAGE_INDEX: by_label} if kind == PODS else {}) for kind in kinds
        }
        listers = {kind: Lister(store, kind) for kind, store in self._stores.items()}
        listers_of_all = Listers(
            storages=listers[ETCD_STORAGES],
            owned={kind: listers[kind] for kind in _OWNED},
            pods=listers[PODS],
            shared={(CONFIG_MAPS, CORE.ca_config_map): listers[CONFIG_MAPS]},
        )
        rng = random.Random(1)
        self._reconciler = Reconciler(
            client=client,
            listers=listers_of_all,
            consistency=ConsistencyStore(listers_of_all.written(), self.clock),
            dataplane=GatedDataPlane(namespace, IMAGES, CORE),
            core=CORE,
            namespace=namespace,
            reserved_names=RESERVED_NAMES,
            recorder=self,
            now=now,
            rng=rng,
            rollouts=Rollouts(0, self.clock, lambda _: None),
            certifier=Certifier(
                namespace,
                Consumers(client, clock=self.clock, rng=rng),
                Restarts(client, clock=self.clock, rng=rng),
                self._served,
            ),
            keeper=CoreKeeper(),
            metrics=CertificateMetrics(now),
            fights=Fights(client, namespace, self.clock),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._served.stop()
        self.client.close()

    def record(self, _storage: Subject, event: Event) -> None:
        """Take an event, as a Recorder."""
        self.events.append(event)

    def reconcile(self, name: str) -> list[str]:
        """Look once; returns what was written."""
        before = len(self.client.writes)
        for kind, store in self._stores.items():
            self._list(kind, store, name)
        try:
            self.again = self._reconciler.reconcile(name)
        except CacheBehind as behind:
            self.again = behind.again_after
        return self.client.writes[before:]

    def settle(self, name: str) -> list[str]:
        """Look until there is nothing left to write, and no pod to come; returns the writes.

        Those that the server refused do not count: others write to these objects, too.
        """
        written: list[str] = []

        def settled() -> bool:
            new, refused = self._look(name)
            written.extend(new)
            assert len(written) < MANY, f"it writes without an end: {written}"
            return not (new or refused) and self._has_all_pods()

        eventually(settled)
        return written

    def _look(self, name: str) -> tuple[list[str], bool]:
        """Look once; returns what was written, and whether one more was refused as too late."""
        before = len(self.client.writes)
        try:
            return self.reconcile(name), False
        except ApiError as error:
            if not is_stale(error):
                raise
            return self.client.writes[before:-1], True

    def poll(self, name: str) -> list[str]:
        """Settle after so long that every consumer is looked at again."""
        self.clock.step(1000)
        return self.settle(name)

    def _list(self, kind: Resource, store: Store, name: str) -> None:
        namespace = self._namespace if kind.namespaced else None
        found = self.client.list(kind, namespace, **_selecting(kind, name))
        told = {"apiVersion": kind.api_version, "kind": kind.kind}
        slim = {PODS: slim_pod, REPLICA_SETS: slim_replica_set}.get(kind, dict)
        items = [slim({**told, **item}) for item in found["items"]]
        store.replace(items, found["metadata"]["resourceVersion"])

    def _has_all_pods(self) -> bool:
        (storage,) = self._stores[ETCD_STORAGES].list()
        pods = len(self._stores[PODS].list())
        return pods == storage["spec"]["replicas"] or not self._stores[REPLICA_SETS].list()


@dataclass
class Lives:
    """Controllers of one namespace, one after the other; `stored` is what all of them wrote."""

    api: Client
    config: ClusterConfig
    namespace: str
    consumers: tuple[str, str]
    """Namespaces."""
    ahead: timedelta = timedelta(0)
    """How far the controllers' clock is from the true time."""
    stored: list[Json] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def create(self, name: str = "", **spec: Any) -> str:
        """Make a storage with consumers in both namespaces."""
        name = name or f"s-{secrets.token_hex(4)}"
        kind = {"apiVersion": ETCD_STORAGES.api_version, "kind": ETCD_STORAGES.kind}
        spec = listing(name, self.consumers, replicas=1, **(VALIDITIES | spec))
        self.api.create(ETCD_STORAGES, {**kind, "metadata": {"name": name}, "spec": spec})
        return name

    def begin(self, death: Death | None = None) -> Life:
        return Life(MortalClient(self.config, death), self.namespace, lambda: self.now)

    def settle(self, name: str, death: Death | None = None) -> list[str]:
        """Let a new controller work until nothing is left to do, or it dies; returns its writes.

        Nothing is left where it writes nothing when it looks at everything again.
        """
        with self.begin(death) as life:
            try:
                life.settle(name)
                assert life.poll(name) == []
            except KilledError:
                assert life.client.dead.is_set()
            self.stored += life.client.stored
            return life.client.writes

    def read(self, name: str) -> Delivered:
        """Return what there is of a storage."""
        return Delivered.read(self.api, name, self.namespace)

    def exists(self, resource: Resource, name: str) -> bool:
        names = [o["metadata"]["name"] for o in self.api.list(resource, self.namespace)["items"]]
        return name in names

    def delivered(self, name: str) -> Delivered:
        """Return what there is of a storage, all of which is as it should be."""
        found = self.read(name)
        found.check(self.now)
        return found

    def patch(self, name: str, patch: Json) -> None:
        self.api.patch(ETCD_STORAGES, name, patch)

    def withdraw_first(self, name: str) -> None:
        """Take the consumers of the first namespace off the storage's lists."""
        self.patch(name, {"spec": listing(name, self.consumers[1:])})


def _selecting(kind: Resource, storage: str) -> dict[str, str]:
    """Return the query for what the informers would have of a storage, and nothing more.

    As they do, it finds an object that lost its label, but for pods and Secrets.
    """
    if kind in {PODS, SECRETS}:
        return {"labelSelector": f"etcd.xmudrii.com/storage={storage}"}
    names = {ETCD_STORAGES: storage, CONFIG_MAPS: CORE.ca_config_map}
    return {"fieldSelector": f"metadata.name={names.get(kind) or object_name(kind, storage)}"}
