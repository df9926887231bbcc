from pathlib import Path

from controller.api.storage import read_storage
from controller.certificates import listed
from hack.soak.client import Habit
from hack.soak.fleet import CONSUMERS, NAMESPACE, Fleet, Terms, bundle_of, leaves_of, pair_of

TERMS = Terms(storages=2, leaf=20, authority=60)


def test_a_storage_has_one_consumer_of_each_kind_and_short_certificates(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, TERMS)
    assert fleet.names == ("soak-000", "soak-001")
    obj = fleet.manifest("soak-000")
    made = {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    storage = read_storage({**obj, "metadata": {**obj["metadata"], **made}})
    assert storage.unreadable_fields == ()
    assert {c.name for c in listed(storage)} == {bundle_of("soak-000"), pair_of("soak-000")}
    assert storage.signing_validity.total_seconds() == 60
    assert storage.client_validity == storage.serving_validity


def test_each_volume_is_a_folder_of_its_own(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, TERMS)
    folders = [volume.folder for volume in fleet.volumes.values()]
    assert len(folders) == len({*folders}) == 6
    assert {("Secret", *leaf) for leaf in leaves_of("soak-001")} < {*fleet.volumes}
    assert ("ConfigMap", CONSUMERS, bundle_of("soak-001")) in fleet.volumes
    assert {namespace for _, namespace, _ in fleet.volumes} == {NAMESPACE, CONSUMERS}


def test_every_storage_has_a_client_of_each_habit(tmp_path: Path) -> None:
    clients = Fleet(tmp_path, TERMS).clients()
    assert {*clients} == {(name, habit) for name in ("soak-000", "soak-001") for habit in Habit}
    assert len({client.folder for client in clients.values()}) == 2
