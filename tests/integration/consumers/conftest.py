"""The consumers' part of the controller with the rights of artifacts/consumers, and no others."""

import itertools
import random
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.storage import StorageReference
from controller.consumers import Consumer, Consumers, Delivery, Report
from controller.inspection.grants import Right
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, SECRETS
from hack.cluster.controlplane import ControlPlane
from informers import APPLY_PATCH, Client, Resource, load_config
from tests.integration.conftest import administrator
from tests.integration.controller.conftest import establish
from tests.support.clock import FakeClock
from tests.support.deliveries import PairMaker, bundle
from tests.support.eventually import eventually
from tests.support.reviews import may
from workqueue import RealClock

ARTIFACTS = Path(__file__).parents[3] / "artifacts"
ROLE = ARTIFACTS / "consumers/role.yaml"
USER = "consumer-writer"
"""In place of the controller's service account, whose name does not fit into a certificate."""

_GROUP = "rbac.authorization.k8s.io"
_RIGHTS = {
    kind: Resource(_GROUP, "v1", f"{kind.lower()}s", kind, namespaced=True)
    for kind in ("Role", "RoleBinding")
}
_DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", namespaced=True)
_KINDS = {resource.kind: resource for resource in (CONFIG_MAPS, SECRETS, _DEPLOYMENTS)}

Json = dict[str, Any]


@dataclass
class Scene:
    """A namespace with consumers, the storage they are served from, and who may see into it.

    `client` has the rights that `allow` gives, `admin` all; so has `somebody`, whom the server
    calls kubectl-create.
    """

    control_plane: ControlPlane
    admin: Client
    client: Client
    somebody: Client
    namespace: str
    storage: StorageReference
    clock: FakeClock = field(default_factory=FakeClock)
    makes: PairMaker = field(default_factory=PairMaker)

    def __post_init__(self) -> None:
        self.consumers = Consumers(self.client, clock=self.clock, rng=random.Random(1))
        self.bundle = Consumer("ConfigMap", self.namespace, "etcd-serving-ca")
        self.pair = Consumer("Secret", self.namespace, "etcd-client")

    def allow(self, *rules: Json) -> None:
        """Give the rights of the manifest, or by `rules` in place of its own.

        Returns once the server judges by them.
        """
        documents = [*yaml.safe_load_all(ROLE.read_text())]
        documents[0]["rules"] = [*rules] or documents[0]["rules"]
        documents[1]["subjects"] = [{"kind": "User", "name": USER}]
        for document in documents:
            self._apply(_RIGHTS[document["kind"]], document)
        for right in self._rights(documents[0]["rules"]):
            eventually(partial(self._may, right), what=str(right))

    def _apply(self, resource: Resource, document: Json) -> None:
        self.admin.patch(
            *(resource, document["metadata"]["name"], document),
            namespace=self.namespace,
            content_type=APPLY_PATCH,
            query={"fieldManager": "administrator", "force": True},
        )

    def _rights(self, rules: Iterable[Json]) -> Iterator[Right]:
        for rule in rules:
            named = product(rule["apiGroups"], rule["resources"], rule["resourceNames"])
            for (group, resource, name), verb in product(named, rule["verbs"]):
                yield Right(verb, group, resource, self.namespace, name)

    def _may(self, right: Right) -> bool:
        return may(self.admin, USER, right.attributes)

    def deliver(self, *deliveries: Delivery) -> Report:
        """Deliver now, whenever the next look would be due."""
        self.clock.step(1000)
        wanted = deliveries or (bundle(consumer=self.bundle), self.makes.delivery(self.pair))
        return self.consumers.deliver(self.storage, wanted)

    def withdraw(self, *consumers: Consumer) -> Report:
        self.clock.step(1000)
        gone = consumers or (self.bundle, self.pair)
        return self.consumers.withdraw(self.storage, gone, note="annotation of a Secret")

    def messages(self, report: Report) -> Sequence[str]:
        return [problem.message for problem in report.problems]

    def get(self, consumer: Consumer) -> Json:
        return self.admin.get(consumer.resource, consumer.name, consumer.namespace)

    def put(self, obj: Json) -> None:
        """Create as somebody else."""
        self.somebody.create(_KINDS[obj["kind"]], obj, self.namespace)

    def patch(self, consumer: Consumer, patch: Json) -> None:
        self.admin.patch(
            *(consumer.resource, consumer.name, patch),
            namespace=consumer.namespace,
            query={"fieldManager": "kubectl-edit"},
        )

    def delete(self, consumer: Consumer) -> None:
        self.admin.delete(consumer.resource, consumer.name, namespace=consumer.namespace)


@pytest.fixture(scope="session")
def admin(control_plane: ControlPlane, api: Client) -> Client:
    establish(control_plane, api)
    return api


@pytest.fixture(scope="session")
def somebody(control_plane: ControlPlane) -> Iterator[Client]:
    with closing(administrator(control_plane, "kubectl-create")) as client:
        yield client


@pytest.fixture
def client(control_plane: ControlPlane, admin: Client) -> Iterator[Client]:
    client = Client(load_config(str(control_plane.kubeconfig_for(USER))), clock=RealClock())
    yield client
    client.close()


@pytest.fixture
def storages(admin: Client) -> Iterator[Iterator[StorageReference]]:
    """New EtcdStorages, one at a time; they are gone after the test."""
    made: list[str] = []

    def make() -> Iterator[StorageReference]:
        for _ in itertools.count():
            name = f"storage-{secrets.token_hex(4)}"
            kind = {"apiVersion": ETCD_STORAGES.api_version, "kind": ETCD_STORAGES.kind}
            obj = admin.create(ETCD_STORAGES, {**kind, "metadata": {"name": name}})
            made.append(name)
            yield StorageReference(name, obj["metadata"]["uid"])

    yield make()
    for name in made:
        if any(obj["metadata"]["name"] == name for obj in admin.list(ETCD_STORAGES)["items"]):
            admin.delete(ETCD_STORAGES, name)


@pytest.fixture
def scene(
    control_plane: ControlPlane,
    admin: Client,
    client: Client,
    somebody: Client,
    namespace: str,
    storages: Iterator[StorageReference],
) -> Scene:
    return Scene(control_plane, admin, client, somebody, namespace, next(storages))
