"""Which kinds are followed, by what, and what of them is kept."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from controller.options import parse_options
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
from controller.watches import Watches
from informers import SharedInformerFactory
from informers.factory import Scope
from tests.support.eventually import eventually
from tests.support.objects import (
    CORE,
    NAMESPACE,
    core_config_map,
    core_secret,
    desired_of,
    etcd_storage,
    pod,
    read,
)
from tests.support.watchserver import WatchServer
from workqueue import Queue, RealClock

USERS = ("--etcd-core-root-secret=root-pair", "--etcd-core-client-ca-secret=clients")


class World:
    """A factory that is not started yet, and the watches set up on it."""

    def __init__(self, *flags: str) -> None:
        self.server = WatchServer()
        self.queue: Queue[str] = Queue("test")
        self.changes = 0
        options = parse_options(["-u", CORE.urls[0], "-n", NAMESPACE, *flags], environment={})
        self.factory = SharedInformerFactory(self.server.client, RealClock(), random.Random(1))
        self.watches = Watches(self.factory, self.queue, options, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def scopes(self) -> set[Scope]:
        return set(self.factory._informers)

    def named(self) -> set[str]:
        """Take all names out of the queue."""
        found = set()
        while len(self.queue):
            found.add(name := self.queue.get())
            self.queue.done(name)
        return found


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.factory.shutdown()


def scope(resource: Any, **selectors: str) -> Scope:
    where = NAMESPACE if resource.namespaced else None
    return Scope(resource, where, tuple(selectors.items()))


EVERY = {
    scope(ETCD_STORAGES),
    *(scope(kind) for kind in (REPLICA_SETS, SERVICES, DISRUPTION_BUDGETS, NETWORK_POLICIES)),
    scope(PODS, labelSelector="etcd.xmudrii.com/storage"),
    scope(SECRETS, labelSelector="etcd.xmudrii.com/storage"),
    scope(CONFIG_MAPS, fieldSelector=f"metadata.name={CORE.ca_config_map}"),
}


def test_our_own_secrets_are_followed_and_the_shared_pair(world: World) -> None:
    pair = scope(SECRETS, fieldSelector=f"metadata.name={CORE.certs_secret}")
    assert world.scopes() == EVERY | {pair}
    assert set(world.watches.listers.written()) == set(world.watches.written)
    assert SECRETS in world.watches.written


def test_with_users_what_they_are_made_with_is_followed_as_well() -> None:
    world = World(*USERS)
    assert world.scopes() == EVERY | {
        scope(SECRETS, fieldSelector="metadata.name=root-pair"),
        scope(SECRETS, fieldSelector="metadata.name=clients"),
    }


def test_an_object_brings_about_the_reconcile_of_its_storage(world: World) -> None:
    world.factory.start()
    eventually(lambda: all(i.has_synced() for i in world.factory.informers()))
    objects = desired_of().objects
    for resource, obj in objects.items():
        world.server.put(resource, obj)
        eventually(lambda: world.named() == {"etcd-name"}, what=str(resource))
    world.server.put(REPLICA_SETS, desired_of().replica_set)
    eventually(lambda: world.named() == {"etcd-name"})
    world.server.put(PODS, pod("a"))
    eventually(lambda: world.named() == {"etcd-name"})


def test_what_all_hang_on_brings_about_the_reconcile_of_all(world: World) -> None:
    for name in ("a", "b"):
        world.server.put(ETCD_STORAGES, etcd_storage(name))
    world.factory.start()
    eventually(lambda: all(i.has_synced() for i in world.factory.informers()))
    eventually(lambda: world.named() == {"a", "b"})
    for resource, obj in ((CONFIG_MAPS, core_config_map()), (SECRETS, core_secret())):
        before = world.changes
        world.server.put(resource, obj)
        eventually(lambda: world.named() == {"a", "b"})
        eventually(lambda before=before: world.changes == before + 1)  # type: ignore[misc]
    found = world.watches.listers.find_shared(CONFIG_MAPS, CORE.ca_config_map, NAMESPACE)
    assert found is not None
    assert world.watches.listers.find_shared(CONFIG_MAPS, "other", NAMESPACE) is None
    world.watches.enqueue_all()
    assert world.named() == {"a", "b"}


def test_of_pods_and_replica_sets_no_more_is_kept_than_is_read(world: World) -> None:
    world.server.put(PODS, {**pod("a"), "spec": {"containers": []}})
    world.server.put(REPLICA_SETS, desired_of().replica_set)
    world.factory.start()
    eventually(lambda: all(i.has_synced() for i in world.factory.informers()))
    (kept,) = world.watches.listers.pods.list(NAMESPACE)
    assert "spec" not in kept
    (replica_set,) = world.watches.listers.owned[REPLICA_SETS].list(NAMESPACE)
    annotations = replica_set["spec"]["template"]["metadata"]["annotations"]
    assert any(value.startswith("sha256:") for value in annotations.values())


def test_what_objects_have_in_common_is_kept_once_and_who_wrote_it_not_at_all(
    world: World,
) -> None:
    books: dict[str, Any] = {"managedFields": [{"manager": "somebody"}]}
    for name in ("a", "b"):
        desired = desired_of(read(name))
        policy = desired.objects[NETWORK_POLICIES]
        for resource, obj in ((ETCD_STORAGES, etcd_storage(name)), (NETWORK_POLICIES, policy)):
            world.server.put(resource, {**obj, "metadata": {**obj["metadata"], **books}})
        world.server.put(REPLICA_SETS, desired.replica_set)
    world.factory.start()
    eventually(lambda: all(i.has_synced() for i in world.factory.informers()))
    listers = world.watches.listers
    kept = [*listers.storages.list(), *listers.owned[NETWORK_POLICIES].list(NAMESPACE)]
    assert len(kept) == 4
    assert not any("managedFields" in obj["metadata"] for obj in kept)
    one, other = listers.owned[REPLICA_SETS].list(NAMESPACE)
    first, second = (rs["spec"]["template"]["spec"]["containers"][0] for rs in (one, other))
    assert first["resources"] is second["resources"]
