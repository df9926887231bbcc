"""What there is of a storage, as caches and server tell it."""

import pytest

from controller.ownership import STORAGE_LABEL
from controller.plan import Create, Delete, Patch, Snapshot
from controller.resources import (
    CONFIG_MAPS,
    ETCD_STORAGES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from controller.snapshots import Done, Snapshots, with_written
from informers import ApiError
from tests.support.memoryserver import MemoryServer
from tests.support.objects import (
    CORE,
    NAME,
    NAMESPACE,
    core_config_map,
    core_secret,
    desired_of,
    etcd_storage,
    pod,
    read,
)

NAMES = (f"etcd-ca-{NAME}", f"etcd-serving-{NAME}", f"etcd-user-{NAME}")


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def snapshots(server: MemoryServer) -> Snapshots:
    return Snapshots(server.client, server.listers(), CORE, NAMESPACE, None)


def put_secret(server: MemoryServer, name: str, *, label: bool) -> None:
    labels = {STORAGE_LABEL: NAME} if label else {}
    server.put(SECRETS, {"metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}})


def test_of_nothing_there_is_nothing(snapshots: Snapshots) -> None:
    found = snapshots.take(read())
    assert (found.replica_set, found.authority, found.serving) == (None, None, None)
    assert (found.objects, found.pods, found.client_ca) == ({}, (), None)


def test_each_object_has_its_place(server: MemoryServer, snapshots: Snapshots) -> None:
    desired = desired_of()
    for resource, obj in {**desired.objects, REPLICA_SETS: desired.replica_set}.items():
        server.put(resource, obj)
    for name in NAMES:
        put_secret(server, name, label=True)
    server.put(CONFIG_MAPS, core_config_map())
    server.put(SECRETS, core_secret())
    for obj in (pod("a"), pod("b", storage="other")):
        server.put(PODS, obj)
    found = snapshots.take(read())
    places = (found.authority, found.serving, found.objects[SECRETS])
    assert tuple(place and place["metadata"]["name"] for place in places) == NAMES
    assert set(found.objects) == {*desired.objects, SECRETS}
    assert found.objects[SERVICES]["metadata"]["name"] == f"etcd-{NAME}"
    assert found.replica_set is not None
    assert [each["metadata"]["name"] for each in found.pods] == ["a"]
    assert found.core_config_map is not None
    assert found.core_secret is not None


def test_a_secret_without_our_label_is_found_where_it_is_asked_for(
    server: MemoryServer, snapshots: Snapshots
) -> None:
    for name in NAMES:
        put_secret(server, name, label=False)
    cached = snapshots.take(read())
    assert (cached.authority, cached.serving, SECRETS in cached.objects) == (None, None, False)
    assert snapshots.with_strays(read(), cached, ()) is cached
    serving = snapshots.with_strays(read(), cached, NAMES[1:2])
    assert serving.serving is not None
    assert serving.authority is None
    found = snapshots.with_strays(read(), cached, NAMES)
    places = (found.authority, found.serving, found.objects[SECRETS])
    assert tuple(place and place["metadata"]["name"] for place in places) == NAMES


def test_what_was_made_and_changed_is_there_before_the_caches_show_it(
    server: MemoryServer, snapshots: Snapshots
) -> None:
    desired = desired_of()
    made = {**desired.objects, REPLICA_SETS: desired.replica_set}
    secrets = [(SECRETS, {"metadata": {"name": name, "namespace": NAMESPACE}}) for name in NAMES]
    done: list[Done] = [
        (Create(resource, obj), server.put(resource, obj))
        for resource, obj in (*made.items(), *secrets)
    ]
    name = made[SERVICES]["metadata"]["name"]
    changed = server.edit(SERVICES, name, lambda obj: obj["spec"].update(clusterIP="10.0.0.1"))
    done.append((Patch(SERVICES, name, {}), changed))
    done.append((Delete(REPLICA_SETS, "another", "uid", "1"), {"status": "Success"}))
    found = with_written(read(), Snapshot(), done)
    expected = snapshots.with_strays(read(), snapshots.take(read()), NAMES)
    assert (found.authority, found.serving) == (expected.authority, expected.serving)
    assert (found.objects, found.replica_set) == (expected.objects, expected.replica_set)
    assert found.objects[SERVICES]["spec"]["clusterIP"] == "10.0.0.1"


def test_where_there_are_none_the_snapshot_is_the_same(snapshots: Snapshots) -> None:
    cached = snapshots.take(read())
    assert snapshots.with_strays(read(), cached, NAMES) is cached


def test_a_server_that_does_not_answer_is_no_absence(
    snapshots: Snapshots, server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ApiError(500, "InternalError", "no answer")

    monkeypatch.setattr(server, "get", refuse)
    with pytest.raises(ApiError):
        snapshots.with_strays(read(), snapshots.take(read()), NAMES)
    with pytest.raises(ApiError):
        snapshots.has(read())


def test_a_storage_is_there_if_it_is_the_very_one_and_not_on_its_way_out(
    server: MemoryServer, snapshots: Snapshots
) -> None:
    assert not snapshots.has(read())
    server.put(ETCD_STORAGES, etcd_storage())
    assert snapshots.has(read())
    assert not snapshots.has(read(meta={"uid": "another"}))
    going = {"deletionTimestamp": "2026-01-02T03:04:05Z"}
    server.edit(ETCD_STORAGES, NAME, lambda obj: obj["metadata"].update(going))
    assert not snapshots.has(read())
