"""The kinds against the manifests that give us the right to them."""

from pathlib import Path

import pytest
import yaml

from controller import resources
from controller.resources import ETCD_STORAGES
from informers import Resource

ARTIFACTS = Path(__file__).parents[3] / "artifacts"
KINDS = [value for value in vars(resources).values() if isinstance(value, Resource)]


def test_the_etcdstorage_is_the_one_of_the_crd() -> None:
    crd = yaml.safe_load((ARTIFACTS / "etcdstorage/crd.yaml").read_text())["spec"]
    assert crd["group"] == ETCD_STORAGES.group
    assert crd["names"]["plural"] == ETCD_STORAGES.plural
    assert crd["names"]["kind"] == ETCD_STORAGES.kind
    assert crd["scope"] == "Cluster"
    assert not ETCD_STORAGES.namespaced
    assert [v["name"] for v in crd["versions"] if v["storage"]] == [ETCD_STORAGES.version]


@pytest.mark.parametrize("resource", KINDS, ids=str)
def test_the_deployment_gives_rights_to_every_kind(resource: Resource) -> None:
    manifest = ARTIFACTS / "deployment/00-etcdproxy-controller.yaml"
    granted = {
        (group, plural)
        for document in yaml.safe_load_all(manifest.read_text())
        if document and document["kind"] in {"Role", "ClusterRole"}
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for plural in rule["resources"]
    }
    assert (resource.group, resource.plural) in granted
