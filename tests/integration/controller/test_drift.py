"""Objects of ours that others change, on the real API server."""

import json
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from controller.api.conditions import find_condition
from controller.api.storage import CORE_FINALIZER, read_storage
from controller.dataplane import Facts, GatedDataPlane
from controller.dataplane.names import object_name
from controller.dataplane.pods import DRAIN_TOKEN_ANNOTATION, drain_token
from controller.fights import DRIFT_FIGHT
from controller.reporting import Reporter
from controller.resources import (
    DISRUPTION_BUDGETS,
    ETCD_STORAGES,
    NETWORK_POLICIES,
    REPLICA_SETS,
    SERVICES,
)
from controller.watches import OF_EVERY_STORAGE
from controller.writer import is_stale
from hack.cluster.controlplane import ControlPlane
from informers import ApiError, Client, Resource
from tests.integration.controller.conftest import RunController, Storages, manifest
from tests.integration.controller.lives import CORE, Life, Lives
from tests.support.eventually import eventually
from tests.support.objects import IMAGES

Json = dict[str, Any]
Path = tuple[str | int, ...]

pytestmark = pytest.mark.long

MEDDLER = "meddler"
LONG = 1000.0
"""Seconds after which nothing that was mended before counts."""


@pytest.fixture
def life(lives: Lives) -> Iterator[Life]:
    with lives.begin() as life:
        yield life


@pytest.fixture
def name(lives: Lives, life: Life) -> str:
    """Return a plain storage with all its objects."""
    name = f"s-{secrets.token_hex(4)}"
    lives.api.create(ETCD_STORAGES, manifest(name, {"replicas": 1}))
    life.settle(name)
    return name


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every single thing that a desired object says."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, number))
    else:
        yield path, value


def other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return f"{value}x"
        case _:
            return None


def pointer(path: Path) -> str:
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


def at(obj: Any, path: Path) -> Any:
    for key in path:
        obj = obj[key]
    return obj


def meddle(lives: Lives, resource: Resource, name: str, *steps: Json) -> bool:
    """Let somebody else change an object by a JSON patch; False if the server refuses."""
    try:
        lives.api.patch(
            resource,
            name,
            [*steps],
            namespace=lives.namespace if resource.namespaced else None,
            content_type="application/json-patch+json",
            query={"fieldManager": MEDDLER},
        )
    except ApiError as error:
        if error.code in {400, 422}:
            return False
        raise
    return True


def look(life: Life, name: str) -> list[str]:
    """Look until no status that the server wrote meanwhile is in the way; returns the writes."""
    while True:
        try:
            return life.reconcile(name)
        except ApiError as error:
            if not is_stale(error):
                raise


def come_to_rest(life: Life, name: str) -> None:
    """Look until nothing more is written.

    A template that was edited begins a roll, which stays where it is: no pod gets ready here.
    """
    eventually(lambda: look(life, name) == [], every=0.1)


@pytest.mark.parametrize("resource", OF_EVERY_STORAGE, ids=lambda r: r.kind)
def test_every_field_of_ours_comes_back(
    lives: Lives, life: Life, name: str, resource: Resource
) -> None:
    """Changed or taken out, one after the other: what the server lets anybody change."""
    storage = read_storage(lives.api.get(ETCD_STORAGES, name))
    object_ = object_name(resource, name)
    live = lives.api.get(resource, object_, lives.namespace)
    token = drain_token(lives.api.get(REPLICA_SETS, f"etcd-rs-{name}", lives.namespace))
    facts = Facts(auth=False, users=False, tls=False, drain_token=token)
    desired = GatedDataPlane(lives.namespace, IMAGES, CORE).desired(storage, facts)
    wanted = {**desired.objects, REPLICA_SETS: desired.replica_set}[resource]
    changed = 0
    for path, value in leaves(
        {"metadata": {"labels": wanted["metadata"]["labels"]}, "spec": wanted["spec"]}
    ):
        # The server writes a quantity in a way of its own, and another token is as good as ours.
        if at(live, path) != value or DRAIN_TOKEN_ANNOTATION in path:
            continue
        for step in ({"op": "replace", "value": other(value)}, {"op": "remove"}):
            if not meddle(lives, resource, object_, {**step, "path": pointer(path)}):
                continue
            changed += 1
            life.clock.step(LONG)
            look(life, name)
            mended = lives.api.get(resource, object_, lives.namespace)
            assert at(mended, path) == value, (path, step)
    print(f"{resource.kind}: {changed} changes mended")
    assert changed >= 4
    come_to_rest(life, name)


@pytest.mark.parametrize("resource", OF_EVERY_STORAGE, ids=lambda r: r.kind)
def test_what_others_add_to_our_objects_stays(
    lives: Lives, life: Life, name: str, resource: Resource
) -> None:
    object_ = object_name(resource, name)
    theirs: Json = {
        "labels": {"team": "a"},
        "annotations": {"example.org/note": "b"},
        "finalizers": ["example.org/held"],
    }
    lives.api.patch(resource, object_, {"metadata": theirs}, namespace=lives.namespace)
    before = lives.api.get(resource, object_, lives.namespace)["metadata"]["resourceVersion"]
    life.clock.step(LONG)
    assert life.settle(name) == []
    ours = {"metadata": {"labels": {"app.kubernetes.io/name": None}}}
    lives.api.patch(resource, object_, ours, namespace=lives.namespace)
    assert len(life.settle(name)) == 1
    after = lives.api.get(resource, object_, lives.namespace)["metadata"]
    assert after["resourceVersion"] != before
    assert after["labels"].items() >= theirs["labels"].items()
    assert (after.get("annotations") or {}).items() >= theirs["annotations"].items()
    assert after["finalizers"] == theirs["finalizers"]
    lives.api.patch(
        resource, object_, {"metadata": {"finalizers": None}}, namespace=lives.namespace
    )


CHANGES: list[tuple[Resource, str, Any]] = [
    # A higher number is let be while pods are still counted that have gone.
    (REPLICA_SETS, "spec.replicas", 0),
    (REPLICA_SETS, "spec.template.spec.enableServiceLinks", True),
    (SERVICES, "spec.selector.etcd.xmudrii.com/storage", "another"),
    (DISRUPTION_BUDGETS, "spec.maxUnavailable", 0),
    (NETWORK_POLICIES, "spec.policyTypes", ["Ingress", "Egress"]),
]


def degraded(lives: Lives, name: str) -> tuple[str, str, str]:
    found = find_condition(lives.api.get(ETCD_STORAGES, name)["status"], "Degraded")
    assert found
    return found["status"], found["reason"], found["message"]


@pytest.mark.parametrize(("resource", "field", "value"), CHANGES)
def test_who_keeps_changing_a_field_is_named_and_met_ever_more_slowly(
    lives: Lives, life: Life, name: str, resource: Resource, field: str, value: Any
) -> None:
    object_ = object_name(resource, name)
    keys: Path = tuple(field.split(".", 2 if resource == SERVICES else -1))
    step = {"op": "replace", "path": pointer(keys), "value": value}
    writes = 0
    for _ in range(8):
        assert meddle(lives, resource, object_, step)
        written = [w for w in look(life, name) if object_ in w]
        writes += len(written)
    assert writes == 5
    status, reason, message = degraded(lives, name)
    assert (status, reason) == ("True", DRIFT_FIGHT)
    assert f"{MEDDLER} keeps changing {field} of {resource.kind} {object_}" in message
    # It writes no status either while that goes on, once it has told of pods that went.
    eventually(lambda: has_done(lives, name), every=0.1)
    look(life, name)
    for _ in range(3):
        meddle(lives, resource, object_, step)
        assert look(life, name) == []
    # It is mended once more, after a pause, and when that stays the fight is over.
    assert life.again is not None
    life.clock.step(life.again)
    assert [w for w in look(life, name) if object_ in w] != []
    assert degraded(lives, name)[1] == DRIFT_FIGHT
    look(life, name)
    assert life.again is not None
    life.clock.step(life.again)
    come_to_rest(life, name)
    assert degraded(lives, name)[1] == "AsExpected"


def has_done(lives: Lives, name: str) -> bool:
    """Whether the ReplicaSet's controller has made of it what it asks for."""
    found = lives.api.get(REPLICA_SETS, f"etcd-rs-{name}", lives.namespace)
    status = found["status"]
    seen = status.get("observedGeneration") == found["metadata"]["generation"]
    return bool(seen and status["replicas"] == found["spec"]["replicas"])


def test_who_keeps_taking_our_finalizer_off_is_told_and_met_ever_more_slowly(
    lives: Lives, life: Life, name: str, request: pytest.FixtureRequest
) -> None:
    metadata = {"finalizers": ["example.org/theirs"]}
    lives.api.patch(
        ETCD_STORAGES, name, {"metadata": metadata, "spec": {"reclaimPolicy": "Delete"}}
    )
    over = {"metadata": {"finalizers": None}}
    request.addfinalizer(lambda: lives.api.patch(ETCD_STORAGES, name, over))
    writes = 0
    for _ in range(8):
        writes += sum(w.endswith(f"/{name}") and "storages/" in w for w in look(life, name))
        meddle(
            lives,
            ETCD_STORAGES,
            name,
            {"op": "replace", "path": "/metadata/finalizers", "value": metadata["finalizers"]},
        )
    look(life, name)
    assert writes == 5
    status, reason, message = degraded(lives, name)
    assert (status, reason) == ("True", DRIFT_FIGHT)
    assert f"another controller keeps taking the finalizer {CORE_FINALIZER} off {name}" in message
    assert life.again is not None
    life.clock.step(life.again)
    look(life, name)
    look(life, name)
    assert CORE_FINALIZER in lives.api.get(ETCD_STORAGES, name)["metadata"]["finalizers"]
    assert life.again is not None
    life.clock.step(life.again)
    life.settle(name)
    assert degraded(lives, name)[1] == "AsExpected"


def test_what_a_policy_of_the_cluster_changes_on_its_way_is_told_without_a_hot_loop(
    lives: Lives,
    life: Life,
    name: str,
    control_plane: ControlPlane,
    request: pytest.FixtureRequest,
) -> None:
    kinds = "mutatingadmissionpolicy,mutatingadmissionpolicybinding"
    request.addfinalizer(lambda: control_plane.kubectl("delete", kinds, name))
    for obj in changing_policy(name, lives.namespace):
        control_plane.kubectl("create", "-f", "-", stdin=obj)
    service = f"etcd-{name}"
    affinity: Path = ("spec", "sessionAffinity")

    def in_force() -> bool:
        note = {"metadata": {"annotations": {"example.org/try": secrets.token_hex(4)}}}
        found = lives.api.patch(SERVICES, service, note, namespace=lives.namespace)
        return bool(at(found, affinity) == "ClientIP")

    eventually(in_force, every=0.1)
    written = []
    for _ in range(20):
        written += [w for w in look(life, name) if service in w]
        life.clock.step(life.again or 0)
    assert len(written) >= 5
    status, reason, message = degraded(lives, name)
    assert (status, reason) == ("True", DRIFT_FIGHT)
    assert "a webhook, a policy or another controller of our name keeps changing" in message
    assert f"metadata.labels.app.kubernetes.io/name of Service {service}" in message


def changing_policy(name: str, namespace: str) -> list[Json]:
    """Return a policy that gives every Service of a namespace a label of another value."""
    group = "admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["services"],
    }
    change = (
        '[JSONPatch{op: "add", path: "/metadata/labels/app.kubernetes.io~1name", value: "theirs"},'
        ' JSONPatch{op: "add", path: "/spec/sessionAffinity", value: "ClientIP"}]'
    )
    policy = {
        "apiVersion": group,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": change}}],
        },
    }
    only = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {
        "apiVersion": group,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "matchResources": only},
    }
    return [policy, binding]


def test_a_second_controller_that_answers_each_of_our_writes_makes_no_hot_loop(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It undoes what we write as soon as it sees it, all the time."""
    stop = threading.Event()
    undone: list[str] = []
    until_told: list[int] = []
    write = Reporter._write

    def writing(self: Reporter, storage: Any, status: Json, patch: Json) -> None:
        if any(condition["reason"] == DRIFT_FIGHT for condition in status["conditions"]):
            until_told.append(len(undone))
        write(self, storage, status, patch)

    monkeypatch.setattr(Reporter, "_write", writing)

    def undo() -> None:
        while not stop.wait(0.005):
            found = api.get(REPLICA_SETS, "etcd-rs-fought", namespace)
            if found["spec"]["replicas"] != 7:
                patch = {"spec": {"replicas": 7}}
                query = {"fieldManager": MEDDLER}
                api.patch(REPLICA_SETS, "etcd-rs-fought", patch, namespace=namespace, query=query)
                undone.append(found["metadata"]["resourceVersion"])

    with run_controller():
        storages.create("fought", replicas=1)
        storages.await_condition("fought", "Deployed", "EtcdProxyDeployed")
        second = threading.Thread(target=undo)
        second.start()
        try:
            storages.await_condition("fought", "Degraded", DRIFT_FIGHT)
            message = storages.condition("fought", "Degraded")["message"]
            assert f"{MEDDLER} keeps changing spec.replicas" in message
            # The first ones at once, then one a second, two seconds, ...
            eventually(lambda: len(undone) >= 8)
            assert until_told[0] <= 6
            print(json.dumps({"undone until told": until_told[0], "undone in all": len(undone)}))
        finally:
            stop.set()
            second.join()
