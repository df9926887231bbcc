"""Names of a storage's objects, and back again."""

import pytest

from controller.dataplane.names import (
    OWNED,
    labels,
    object_name,
    selector,
    serving_secret,
    storage_of,
)
from controller.ownership import STORAGE_LABEL
from controller.pki.coreetcd import (
    AUTHORITY_SECRET,
    CLIENT_CA_SECRET,
    CLIENT_SECRET,
    ROOT_SECRET,
    SERVING_SECRET,
)
from controller.pki.trustsecret import authority_secret
from controller.resources import REPLICA_SETS, SECRETS, SERVICES
from informers import Resource
from tests.support.objects import read


@pytest.mark.parametrize("name", ["etcd-name", "rs-a", "core-a", "a", "a" * 58])
@pytest.mark.parametrize("resource", OWNED, ids=str)
def test_names_can_be_read_back(resource: Resource, name: str) -> None:
    assert storage_of(resource, object_name(resource, name)) == name


def test_the_names_are_the_originals() -> None:
    assert object_name(REPLICA_SETS, "a") == "etcd-rs-a"
    assert object_name(SERVICES, "a") == "etcd-a"
    assert object_name(SECRETS, "a") == "etcd-user-a"


@pytest.mark.parametrize("name", ["a", "serving-a", "user-a", "ca-a", "a" * 58])
def test_each_secret_of_a_storage_leads_back_to_it(name: str) -> None:
    secrets = {object_name(SECRETS, name), serving_secret(name), authority_secret(name)}
    assert len(secrets) == 3
    assert {storage_of(SECRETS, secret) for secret in secrets} == {name}


def test_no_pair_has_the_name_of_what_the_core_is_reached_with() -> None:
    shared = (AUTHORITY_SECRET, SERVING_SECRET, CLIENT_SECRET, ROOT_SECRET, CLIENT_CA_SECRET)
    assert [storage_of(SECRETS, name) for name in shared] == [None] * len(shared)


def test_a_service_of_the_longest_name_is_a_dns_label() -> None:
    assert len(object_name(SERVICES, "a" * 58)) == 63


@pytest.mark.parametrize("name", ["other", "xetcd-a", ""])
@pytest.mark.parametrize("resource", OWNED, ids=str)
def test_other_names_belong_to_no_storage(resource: Resource, name: str) -> None:
    assert storage_of(resource, name) is None
    assert storage_of(REPLICA_SETS, "etcd-a") is None


def test_the_selector_is_the_storage_label_alone_and_part_of_the_labels() -> None:
    storage = read("tenant")
    assert selector(storage) == {STORAGE_LABEL: "tenant"}
    assert selector(storage).items() <= labels(storage).items()
    assert labels(storage)["app.kubernetes.io/managed-by"] == "etcdproxy-controller"
