"""A controller is ended at each write of a plain storage's life; the next one goes on from there.

Whatever was left, the server has the same objects in the end, each made once.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from controller.api.conditions import find_condition
from controller.dataplane.names import object_name
from controller.resources import (
    DISRUPTION_BUDGETS,
    ETCD_STORAGES,
    NETWORK_POLICIES,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from informers import ApiError, Resource
from informers.errors import is_conflict
from tests.integration.controller import lives as module
from tests.integration.controller.conftest import Pods
from tests.integration.controller.lives import MANY, Life, Lives
from tests.support.eventually import eventually
from tests.support.mortal import Death, KilledError
from tests.support.objects import IMAGES

pytestmark = pytest.mark.long

OWNED = (REPLICA_SETS, SERVICES, DISRUPTION_BUDGETS, NETWORK_POLICIES)
OLD = replace(IMAGES, etcd="example.org/etcd:old")


def plain(lives: Lives, **spec: Any) -> str:
    return lives.create(caCertConfigMap=[], clientCertSecret=[], **spec)


def killed(
    lives: Lives, prepare: Callable[[], str], work: Callable[[Life, str], None]
) -> Iterator[str]:
    """Yield storages that `prepare` gave work, one for each moment of a controller's death.

    That is at each write of the work, before it has reached the server and after. Of each the
    next controller has finished the work, and the one after it finds nothing to do.
    """
    for number in itertools.count():
        death = Death(1 + number // 2, reached=number % 2 == 1)
        name = prepare()
        lives.stored.clear()
        with lives.begin(death) as life:
            try:
                work(life, name)
            except KilledError:
                assert life.client.dead.is_set()
            lives.stored += life.client.stored
        if not life.client.dead.is_set():
            return
        with lives.begin() as life:
            work(life, name)
            lives.stored += life.client.stored
        assert lives.settle(name) == []
        yield name


def settled(life: Life, name: str) -> None:
    eventually(lambda: done(lambda: life.settle(name)))


def done(call: Callable[[], object]) -> bool:
    """Do it, unless the controller manager has written to the ReplicaSet meanwhile."""
    try:
        call()
    except ApiError as error:
        if not is_conflict(error):
            raise
        return False
    return True


def check(lives: Lives, name: str) -> None:
    """Assert that each object of a plain storage is there once, and that the status says so."""
    for kind in OWNED:
        assert of(lives, kind, name) == [object_name(kind, name)]
    assert of(lives, SECRETS, name) == []
    condition = condition_of(lives, name, "Deployed")
    assert (condition["status"], condition["reason"]) == ("True", "EtcdProxyDeployed")


def condition_of(lives: Lives, name: str, type_: str) -> Mapping[str, Any]:
    """Return the condition, which is there and of the storage as it is now."""
    storage = lives.api.get(ETCD_STORAGES, name)
    condition = find_condition(storage["status"], type_)
    assert condition is not None
    assert condition["observedGeneration"] == storage["metadata"]["generation"]
    return condition


def of(lives: Lives, kind: Resource, storage: str) -> list[str]:
    selector = f"etcd.xmudrii.com/storage={storage}"
    items = lives.api.list(kind, lives.namespace, labelSelector=selector)["items"]
    return [item["metadata"]["name"] for item in items]


def made(lives: Lives) -> Counter[str]:
    """Return how many objects of each kind were made, by the uids that the server gave."""
    uids = {(obj["kind"], obj["metadata"]["uid"]) for obj in lives.stored}
    return Counter(kind for kind, _ in uids)


def test_making_a_storage_is_finished_from_wherever_it_was_left(lives: Lives) -> None:
    count = 0
    for count, name in enumerate(killed(lives, lambda: plain(lives), settled), 1):  # noqa: B007
        check(lives, name)
        assert {*made(lives).values()} == {1}, made(lives)
    # Four objects, and the status.
    assert count >= 2 * 5


def damaged(lives: Lives) -> str:
    """Return a storage of which each object was changed or removed."""
    name = plain(lives)
    lives.settle(name)
    api, namespace = lives.api, lives.namespace
    api.delete(NETWORK_POLICIES, object_name(NETWORK_POLICIES, name), namespace=namespace)
    api.delete(DISRUPTION_BUDGETS, object_name(DISRUPTION_BUDGETS, name), namespace=namespace)
    nonsense = {"spec": {"selector": {"nobody": "has-it"}}}
    api.patch(SERVICES, object_name(SERVICES, name), nonsense, namespace=namespace)
    more = {"spec": {"replicas": 3}, "metadata": {"ownerReferences": None}}
    api.patch(REPLICA_SETS, object_name(REPLICA_SETS, name), more, namespace=namespace)
    return name


def test_a_repair_is_finished_from_wherever_it_was_left(lives: Lives) -> None:
    count = 0
    for count, name in enumerate(killed(lives, lambda: damaged(lives), settled), 1):  # noqa: B007
        check(lives, name)
        service = lives.api.get(SERVICES, object_name(SERVICES, name), lives.namespace)
        assert service["spec"]["selector"] == {"etcd.xmudrii.com/storage": name}
        replica_set = lives.api.get(REPLICA_SETS, object_name(REPLICA_SETS, name), lives.namespace)
        assert replica_set["spec"]["replicas"] == 1
        assert replica_set["metadata"]["ownerReferences"][0]["name"] == name
        # What was removed is made once; the others are those of before.
        assert {*made(lives).values()} == {1}, made(lives)
    assert count >= 2 * 4


def test_a_roll_is_finished_from_wherever_it_was_left(lives: Lives, pods: Pods) -> None:
    fewest: list[int] = []

    def prepare() -> str:
        name = plain(lives)
        # By an older release, which had another image.
        with patch.object(module, "IMAGES", OLD):
            lives.settle(name)
            pods.make_ready(name)
            lives.settle(name)
        return name

    def roll(life: Life, name: str) -> None:
        def rolled() -> bool:
            before = len(life.client.writes)
            looked = done(lambda: life.reconcile(name))
            quiet = looked and len(life.client.writes) == before
            assert len(life.client.writes) < MANY, life.client.writes
            fewest.append(len(pods.ready(name)))
            pods.make_ready(name)
            images = {image for pod in pods.of(name) for image in images_of(pod)}
            one = len(pods.of(name)) == len(pods.ready(name)) == 1
            return quiet and one and OLD.etcd not in images

        eventually(rolled)

    count = 0
    for count, name in enumerate(killed(lives, prepare, roll), 1):  # noqa: B007
        check(lives, name)
        assert condition_of(lives, name, "Ready")["status"] == "True"
    # The template, one pod more, an eviction, one pod less, and the status.
    assert count >= 2 * 5
    assert min(fewest) == 1


def images_of(pod: dict[str, Any]) -> Iterator[str]:
    spec = pod["spec"]
    return (one["image"] for one in (*spec["containers"], *spec.get("initContainers", [])))


def test_a_storage_that_goes_is_left_alone(lives: Lives) -> None:
    """What the collector takes away is not made again, whenever a controller begins."""
    name = plain(lives)
    lives.settle(name)
    held = {"metadata": {"finalizers": ["example.org/somebody-elses"]}}
    lives.api.patch(ETCD_STORAGES, name, held)
    lives.api.delete(ETCD_STORAGES, name)
    for kind in OWNED:
        lives.api.delete(kind, object_name(kind, name), namespace=lives.namespace)
        with lives.begin() as life:
            assert [w for w in life.reconcile(name) if "/status" not in w] == []
    lives.api.patch(ETCD_STORAGES, name, {"metadata": {"finalizers": None}})
    assert all(of(lives, kind, name) == [] for kind in OWNED)
