"""Ten thousand objects that change one after the other, as fast as etcd takes it."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from hack.bench.load import NAMESPACE, REPLICA_SETS, populate, unversioned
from hack.cluster import etcdapi
from hack.cluster.controlplane import ControlPlane
from informers import Client, SharedInformerFactory
from tests.support.watched import Watched

pytestmark = pytest.mark.long

OBJECTS = 10_000


def changed() -> Iterator[dict[str, Any]]:
    for obj in map(unversioned, range(OBJECTS)):
        obj["metadata"]["generation"] = 2
        yield obj


def test_ten_thousand_objects_change(
    fragile: ControlPlane, client: Client, factory: SharedInformerFactory
) -> None:
    populate(client, fragile.settings.etcd, OBJECTS)
    watched = Watched(client, factory, REPLICA_SETS, NAMESPACE)
    factory.start()
    assert factory.wait_for_cache_sync(None, threading.Event()) == []
    assert len(watched.await_agreement()) == OBJECTS
    etcdapi.put_objects(fragile.settings.etcd, changed(), REPLICA_SETS.plural)
    state = watched.await_agreement()
    assert {obj["metadata"]["generation"] for obj in state.values()} == {2}
    verbs = [event.split()[0] for event in watched.picture.events]
    assert verbs == ["initial"] * OBJECTS + ["update"] * OBJECTS
