"""The informers on the real API server."""

import random
import threading
from collections.abc import Iterator

import pytest

from hack.cluster.controlplane import ControlPlane
from informers import (
    ApiError,
    Client,
    Lister,
    Object,
    Resource,
    SharedInformerFactory,
    load_config,
)
from informers.errors import is_already_exists, is_not_found
from tests.support.eventually import eventually
from tests.support.picture import Picture
from tests.support.sockets import no_stray_sockets
from workqueue.clock import RealClock

_no_stray_sockets = pytest.fixture(autouse=True)(no_stray_sockets)

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)
CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False
)
LATECOMERS = Resource("tests.example.com", "v1", "latecomers", "Latecomer", namespaced=True)


@pytest.fixture
def client(control_plane: ControlPlane) -> Iterator[Client]:
    made = Client(load_config(str(control_plane.kubeconfig)), clock=RealClock())
    yield made
    made.close()


@pytest.fixture
def factory(client: Client) -> Iterator[SharedInformerFactory]:
    made = SharedInformerFactory(client, RealClock(), random.Random(1))
    yield made
    assert made.shutdown() == []


def config_map(name: str, **data: str) -> Object:
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def own(events: list[str]) -> list[str]:
    """Without the ConfigMap that every namespace is given."""
    return [event for event in events if not event.endswith(" kube-root-ca.crt")]


def test_changes_reach_the_store_and_the_handler(
    client: Client, factory: SharedInformerFactory, namespace: str
) -> None:
    client.create(CONFIG_MAPS, config_map("there"), namespace)
    informer = factory.informer(CONFIG_MAPS, namespace)
    picture = Picture()
    registration = informer.add_event_handler(picture)
    factory.start()
    assert factory.wait_for_cache_sync(None, threading.Event()) == []
    eventually(registration.has_synced)

    client.create(CONFIG_MAPS, config_map("new", key="1"), namespace)
    eventually(lambda: len(own(picture.events)) == 2)
    changed = client.patch(CONFIG_MAPS, "new", {"data": {"key": "2"}}, namespace=namespace)
    eventually(lambda: len(own(picture.events)) == 3)
    lister = Lister(informer.store, CONFIG_MAPS)
    seen = lister.get("new", namespace)
    assert seen["data"] == {"key": "2"}
    assert "managedFields" in changed["metadata"]
    assert "managedFields" not in seen["metadata"]
    assert (seen["kind"], seen["apiVersion"]) == ("ConfigMap", "v1")

    client.delete(CONFIG_MAPS, "new", namespace=namespace)
    expected = ["initial there", "add new", "update new", "delete new"]
    eventually(lambda: own(picture.events) == expected, what=str(picture.events))
    with pytest.raises(ApiError) as caught:
        lister.get("new", namespace)
    assert is_not_found(caught.value)
    eventually(lambda: picture.objects == dict(informer.store.items()))
    assert picture.faults == []


def test_a_kind_that_is_served_later_is_waited_for(
    client: Client, factory: SharedInformerFactory, namespace: str
) -> None:
    errors: list[Exception | None] = []
    informer = factory.informer(LATECOMERS, namespace)
    informer.set_watch_error_handler(lambda _resource, error: errors.append(error))
    factory.start()
    assert factory.wait_for_cache_sync(0.2, threading.Event()) == [
        f"latecomers.tests.example.com in {namespace}"
    ]
    eventually(lambda: errors)
    assert errors[0]
    assert is_not_found(errors[0])
    client.create(CRDS, custom_resource_definition())
    assert factory.wait_for_cache_sync(None, threading.Event()) == []
    eventually(lambda: errors[-1] is None)
    assert informer.last_error is None
    latecomer = {
        "apiVersion": LATECOMERS.api_version,
        "kind": "Latecomer",
        "metadata": {"name": "one"},
    }
    client.create(LATECOMERS, latecomer, namespace)
    eventually(lambda: informer.store.get(f"{namespace}/one"))


def custom_resource_definition() -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": LATECOMERS.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": LATECOMERS.group_resource},
        "spec": {
            "group": LATECOMERS.group,
            "scope": "Namespaced",
            "names": {"plural": LATECOMERS.plural, "kind": LATECOMERS.kind},
            "versions": [version],
        },
    }


def test_errors_carry_what_the_server_says(client: Client, namespace: str) -> None:
    client.create(CONFIG_MAPS, config_map("one"), namespace)
    with pytest.raises(ApiError) as caught:
        client.create(CONFIG_MAPS, config_map("one"), namespace)
    assert is_already_exists(caught.value)
    assert caught.value.details["name"] == "one"
    assert str(caught.value) == 'configmaps "one" already exists (409 AlreadyExists)'
