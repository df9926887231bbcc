"""Each right of the manifests taken away: the controller misses it and names it.

So none is there that nothing needs, and none is missing in silence.
"""

import signal
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from controller.options import PROGRAM
from controller.ownership import STORAGE_LABEL
from controller.resources import (
    DISRUPTION_BUDGETS,
    ETCD_STORAGES,
    GROUP,
    LEASES,
    NETWORK_POLICIES,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from informers import Resource
from tests.integration.controller.conftest import suppress_not_found
from tests.integration.controller.test_leaderelection import await_leader
from tests.integration.controller.test_program import NAMESPACE, Program
from tests.integration.deployment.conftest import Right, Scene
from tests.support.eventually import eventually

pytestmark = pytest.mark.long

OWNED: Mapping[Resource, str] = {
    REPLICA_SETS: "etcd-rs-steady",
    SERVICES: "etcd-steady",
    DISRUPTION_BUDGETS: "etcd-steady",
    NETWORK_POLICIES: "etcd-steady",
    SECRETS: "etcd-serving-steady",
}
"""What a storage with TLS has, by the names of the one that `scene` keeps."""

SPEC = {"clientCertSecret": [{"namespace": "nowhere", "name": "pair"}], "replicas": 1}
RECLAIMED = {"replicas": 1, "reclaimPolicy": "Delete"}
EVENTS = partial(Right, "default", "", "events", "")
EVICTION = Right(NAMESPACE, "", "pods/eviction", "", "create")
NAMESPACES = Right("", "", "namespaces", "", "get")

Provocation = Callable[[Scene], object]


def own(resource: Resource, verb: str) -> Right:
    return Right(NAMESPACE, resource.group, resource.plural, "", verb)


def storage(verb: str, resource: str = "etcdstorages") -> Right:
    return Right("", GROUP, resource, "", verb)


def creating(name: str, spec: dict[str, Any] = SPEC) -> Provocation:
    return lambda scene: scene.storages.create(name, **spec)


def spoiling(resource: Resource) -> Provocation:
    labels = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}}
    spoilt = {"data": {"tls.crt": "eA=="}} if resource == SECRETS else labels

    def spoil(scene: Scene) -> None:
        # Which a test before may have taken away.
        eventually(lambda: OWNED[resource] in scene.names(resource))
        scene.api.patch(resource, OWNED[resource], spoilt, namespace=NAMESPACE)

    return spoil


def losing_a_label(scene: Scene) -> None:
    """No cache has the Secret any more, and its name is taken."""
    patch = {"metadata": {"labels": {STORAGE_LABEL: None}}}
    scene.api.patch(SECRETS, OWNED[SECRETS], patch, namespace=NAMESPACE)


def losing_its_service(scene: Scene) -> None:
    scene.api.delete(SERVICES, OWNED[SERVICES], namespace=NAMESPACE)


def rolling(scene: Scene) -> None:
    """Without consumers its pods are others; the old one goes when the new one is ready."""
    scene.api.patch(ETCD_STORAGES, "steady", {"spec": {"clientCertSecret": None}})
    eventually(lambda: len(scene.pods.of("steady")) == 2)
    scene.pods.make_ready("steady")


def ending(scene: Scene) -> None:
    scene.api.delete(ETCD_STORAGES, "reclaimed")


def saying_something_twice(scene: Scene) -> None:
    """Deployed again, as it was before something could not be mended."""
    patch = own(SERVICES, "patch")
    scene.rights.give_all_but(EVENTS("patch"), patch)
    spoiling(SERVICES)(scene)
    scene.storages.await_condition("steady", "Deployed", "WriteFailed")
    scene.rights.give_all_but(EVENTS("patch"))


PROVOCATIONS: Mapping[Right, Provocation] = {
    **{own(kind, "create"): creating(f"new-{kind.plural}") for kind in OWNED},
    own(SECRETS, "get"): losing_a_label,
    storage("patch", "etcdstorages/status"): creating("new-status"),
    storage("update", "etcdstorages/finalizers"): creating("new-owner"),
    storage("patch"): creating("new-finalizer", RECLAIMED),
    EVENTS("create"): creating("new-event"),
    **{own(kind, "patch"): spoiling(kind) for kind in OWNED},
    storage("get"): losing_its_service,
    EVENTS("patch"): saying_something_twice,
    EVICTION: rolling,
    own(REPLICA_SETS, "delete"): ending,
}
"""What makes a controller need each right that it writes by."""


def watched(rights: frozenset[Right], verb: str) -> list[Right]:
    return [right for right in rights if right.verb == verb]


def of_the_election(rights: frozenset[Right]) -> dict[str, Right]:
    """By verb, with `event` for the one that tells of it."""
    about = [right for right in rights if right.resource == "leases"]
    found = {right.verb: right for right in about if right.verb not in {"list", "watch"}}
    return {**found, "event": Right(NAMESPACE, "", "events", "", "create")}


@pytest.fixture(scope="module")
def program(scene: Scene) -> Iterator[Program]:
    """Give one that works, with two storages."""
    with scene.program("--leader-elect=false") as program:
        scene.storages.create("steady", **SPEC)
        scene.storages.create("reclaimed", **RECLAIMED)
        for name in ("steady", "reclaimed"):
            scene.storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
        yield program
        scene.clear()


def test_every_right_of_the_manifests_is_taken_away_by_one_of_these_tests(scene: Scene) -> None:
    rights = scene.rights.all()
    lists = [right for verb in ("list", "watch") for right in watched(rights, verb)]
    found = [*PROVOCATIONS, *of_the_election(rights).values(), *lists, NAMESPACES]
    assert len(found) == len(set(found))
    assert rights == {*found}


@pytest.mark.parametrize("right", PROVOCATIONS, ids=lambda r: f"{r.verb}-{r.resource}-{r.group}")
def test_what_it_may_not_write_is_told(scene: Scene, program: Program, right: Right) -> None:
    with scene.rights.without(right):
        PROVOCATIONS[right](scene)
        scene.await_told(program, right)


def test_without_a_look_at_namespaces_it_does_not_know_whether_one_is_there(
    scene: Scene, program: Program
) -> None:
    def told() -> str:
        message: str = scene.storages.condition("looking", "CertificatesReady").get("message", "")
        return message

    with scene.rights.without(NAMESPACES):
        scene.storages.create("looking", **SPEC)
        eventually(lambda: "if the namespace nowhere exists" in told(), what=told())
    scene.storages.create("seeing", **SPEC)
    scene.storages.await_condition("seeing", "CertificatesReady", "NamespaceMissing")


@pytest.mark.parametrize("verb", ["list", "watch"])
def test_each_kind_that_cannot_be_followed_is_told(scene: Scene, verb: str) -> None:
    missing = watched(scene.rights.all(), verb)
    assert len(missing) == 9
    with scene.rights.without(*missing), scene.program() as program:
        for right in missing:
            scene.await_told(program, right)


def test_the_election_tells_of_each_right_that_it_lacks(scene: Scene) -> None:
    # What a controller of another test has left would be taken over once it has ended.
    with suppress_not_found():
        scene.api.delete(LEASES, PROGRAM, namespace=NAMESPACE)
    rights = of_the_election(scene.rights.all())
    # It leads before it may renew, and is not to give up meanwhile.
    times = ("lease-duration=90s", "renew-deadline=80s", "retry-period=300ms")
    flags = [f"--leader-elect-{each}" for each in times]
    with scene.rights.without(*rights.values()), scene.program(*flags) as program:
        for verb in ("get", "create", "event", "patch"):
            scene.await_told(program, rights.pop(verb))
            scene.rights.give_all_but(*rights.values())
        assert await_leader(program) is program
        assert program.end(signal.SIGTERM)[0] == 0
