"""Consumers as they are named, told in JSON and annotated."""

from pathlib import Path

import pytest
import yaml

from controller.api.storage import ObjectReference
from controller.consumers.consumer import (
    Consumer,
    Signed,
    client_secrets,
    config_maps,
    deployments,
    dump,
    load,
    manager,
)
from controller.resources import CONFIG_MAPS, SECRETS
from tests.support.deliveries import BUNDLE, END, OTHER, PAIR, STORAGE, PairMaker

ARTIFACTS = Path(__file__).parents[4] / "artifacts"
REFERENCES = (ObjectReference("a", "x"), ObjectReference("b", "x"))


def test_references_become_consumers_of_their_kind() -> None:
    assert config_maps(REFERENCES)[1] == Consumer("ConfigMap", "b", "x")
    assert client_secrets(REFERENCES)[0] == Consumer("Secret", "a", "x")
    assert (
        deployments(REFERENCES)[0].resource.path("a") == "/apis/apps/v1/namespaces/a/deployments"
    )
    assert (BUNDLE.resource, PAIR.resource) == (CONFIG_MAPS, SECRETS)
    assert str(PAIR) == "Secret team-a/etcd-client"


def test_the_list_of_consumers_is_read_back_whatever_its_order() -> None:
    assert set(load(dump([PAIR, BUNDLE, PAIR]))) == {BUNDLE, PAIR}
    assert dump([PAIR, BUNDLE]) == dump([BUNDLE, PAIR, BUNDLE])
    assert load(dump([])) == load("") == ()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "no JSON",
            "{}",
            "7",
            "null",
            '["x"]',
            '[{"kind": "Pod", "namespace": "a", "name": "b"}]',
        ),
        '[{"kind": "Secret", "namespace": "", "name": "b"}]',
        '[{"kind": "Secret", "namespace": "a", "name": "../b"}]',
        '[{"kind": "Secret", "namespace": "A", "name": "b"}]',
        '[{"kind": "Secret", "namespace": 7, "name": "b"}, {"kind": ["Secret"]}]',
    ],
)
def test_a_list_that_somebody_spoilt_counts_as_far_as_it_is_clear(text: str) -> None:
    assert load(text) == ()


def test_annotations_tell_end_and_authority() -> None:
    assert Signed(7, END, "etcdstorage x 0a1b2c3d").annotations == {
        "etcd.xmudrii.com/certificate-expiry-date": "2030-01-02T03:04:05Z",
        "etcd.xmudrii.com/certificate-signed-by": "etcdstorage x 0a1b2c3d",
    }


def test_each_storage_has_a_manager_of_its_own_that_is_short_enough() -> None:
    assert manager(STORAGE) != manager(OTHER)
    assert len(manager(STORAGE)) - len(STORAGE.name) + 58 <= 128


def test_no_key_is_in_a_repr() -> None:
    delivery = PairMaker().delivery()
    content = delivery.content(None)
    assert content.data["tls.key"] not in repr((delivery, content))


def test_the_manifest_gives_three_verbs_on_names_to_the_deployments_account() -> None:
    role, binding = yaml.safe_load_all((ARTIFACTS / "consumers/role.yaml").read_text())
    for rule in role["rules"]:
        assert rule["verbs"] == ["get", "patch", "create"]
        assert len(rule["resourceNames"]) == 1
    documents = (ARTIFACTS / "deployment/00-etcdproxy-controller.yaml").read_text()
    accounts = [d for d in yaml.safe_load_all(documents) if d["kind"] == "ServiceAccount"]
    (account,) = ({**a["metadata"], "kind": "ServiceAccount"} for a in accounts)
    assert binding["subjects"] == [account]
    assert all("namespace" not in document["metadata"] for document in (role, binding))
