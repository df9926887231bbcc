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


def granted(manifest: str) -> set[tuple[str, str, str, str]]:
    """Return what a manifest allows: kind of role, group, plural, verb."""
    documents = yaml.safe_load_all((ARTIFACTS / "deployment" / manifest).read_text())
    return {
        (document["kind"], group, plural, verb)
        for document in documents
        if document["kind"] in {"Role", "ClusterRole"}
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for plural in rule["resources"]
        for verb in rule["verbs"]
    }


def test_no_secret_and_no_object_of_a_consumer_may_be_deleted() -> None:
    own = granted("00-etcdproxy-controller.yaml")
    verbs = {verb for kind, _, plural, verb in own if (kind, plural) == ("Role", "secrets")}
    assert verbs == {"get", "list", "watch", "create", "patch"}
    assert not {plural for kind, _, plural, _ in own if kind == "ClusterRole"} & {
        "secrets",
        "configmaps",
    }


def test_no_right_is_given_twice() -> None:
    assert not granted("00-etcdproxy-controller.yaml") & granted("10-core-users.yaml")


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
