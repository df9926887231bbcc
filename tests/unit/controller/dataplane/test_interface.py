"""Names of a storage's objects, and back again."""

import pytest

from controller.dataplane.interface import (
    replica_set_name,
    service_name,
    storage_of_replica_set,
    storage_of_service,
)
from tests.support.objects import CA, PLANE, read


@pytest.mark.parametrize("name", ["etcd-name", "rs-a", "a", "a" * 58])
def test_the_names_are_the_originals_and_can_be_read_back(name: str) -> None:
    assert (replica_set_name(name), service_name(name)) == (f"etcd-rs-{name}", f"etcd-{name}")
    assert storage_of_replica_set(replica_set_name(name)) == name
    assert storage_of_service(service_name(name)) == name


def test_a_service_of_the_longest_name_is_a_dns_label() -> None:
    assert len(service_name("a" * 58)) == 63


@pytest.mark.parametrize("name", ["other", "xetcd-a", ""])
def test_other_names_belong_to_no_storage(name: str) -> None:
    assert storage_of_replica_set(name) is None
    assert storage_of_service(name) is None
    assert storage_of_replica_set("etcd-a") is None


def test_the_revision_is_the_one_on_the_template() -> None:
    desired = PLANE.desired(read(), CA)
    template = desired.replica_set["spec"]["template"]
    assert desired.revision == template["metadata"]["labels"]["etcd.xmudrii.com/revision"]
