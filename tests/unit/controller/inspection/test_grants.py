"""The rights are those of the manifests, no more and no less."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from controller.inspection.finding import Level
from controller.inspection.grants import (
    REVIEWS,
    SELF_REVIEWS,
    Right,
    allowed,
    findings,
    needed,
    review,
)

ROOT = Path(__file__).parents[4]
NAMESPACE = "kube-apiserver-storage"
CONFIG_MAP = "etcd-coreserving-ca"

Asked = tuple[str, str, str, str, str]


def allowed_by(manifest: str) -> set[Asked]:
    """Return what a manifest's Roles allow, right by right."""
    documents = yaml.safe_load_all((ROOT / "artifacts/deployment" / manifest).read_text())
    return {
        (verb, group, resource, role["metadata"].get("namespace", ""), name)
        for role in documents
        if role and role["kind"] in {"Role", "ClusterRole"}
        for rule in role["rules"]
        for verb, group, resource, name in _expanded(rule)
    }


def _expanded(rule: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    yield verb, group, resource, name


def asked(*, election: bool, finalizers: bool) -> set[Asked]:
    rights = needed(NAMESPACE, CONFIG_MAP, election=election, finalizers=finalizers)
    found = [(r.verb, r.group, r.resource, r.namespace, r.name) for r in rights]
    assert len(found) == len(set(found))
    return set(found)


def test_they_are_those_of_the_manifests() -> None:
    base = allowed_by("00-etcdproxy-controller.yaml")
    assert asked(election=True, finalizers=False) == base
    users = allowed_by("10-core-users.yaml")
    assert asked(election=True, finalizers=True) == base | users


def test_without_an_election_nothing_of_the_lease_is_needed() -> None:
    without = asked(election=False, finalizers=False)
    assert {resource for _, _, resource, _, _ in without} & {"leases"} == set()


def test_a_review_asks_for_the_service_account_with_its_groups() -> None:
    resource, body = review(Right("create", "", "pods/eviction", "ns"), "ns:sa")
    assert resource == REVIEWS
    assert body["spec"] == {
        "resourceAttributes": {
            "verb": "create",
            "resource": "pods",
            "subresource": "eviction",
            "namespace": "ns",
        },
        "user": "system:serviceaccount:ns:sa",
        "groups": [
            "system:serviceaccounts",
            "system:serviceaccounts:ns",
            "system:authenticated",
        ],
    }


def test_without_one_it_asks_for_whoever_asks() -> None:
    resource, body = review(Right("get", "", "namespaces"), None)
    assert resource == SELF_REVIEWS
    assert body["spec"] == {"resourceAttributes": {"verb": "get", "resource": "namespaces"}}
    assert allowed({"status": {"allowed": True}})
    assert not allowed({"status": {"allowed": False}})
    assert not allowed({})


def test_what_is_lacking_is_told_by_object() -> None:
    lacking = [
        Right("create", "apps", "replicasets", "ns"),
        Right("patch", "apps", "replicasets", "ns"),
        Right("list", "", "configmaps", "ns", "ca"),
    ]
    first, second = findings("sa", lacking, 41)
    assert first.what == "sa may not create, patch replicasets.apps in ns"
    assert second.what == "sa may not list configmaps ca in ns"
    assert {first.level, second.level} == {Level.FAIL}
    (good,) = findings("sa", [], 41)
    assert (good.level, good.what) == (Level.OK, "sa has all 41 that it needs")
