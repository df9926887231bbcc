"""All the objects of a storage together."""

import dataclasses
from typing import Any

import pytest

from controller.dataplane import Facts, GatedDataPlane
from controller.dataplane.interface import REVISION_LABEL
from controller.ownership import STORAGE_LABEL
from controller.resources import DISRUPTION_BUDGETS, NETWORK_POLICIES, SERVICES
from tests.support.objects import CORE, FACTS, IMAGES, NAMESPACE, PLANE, desired_of, plane, read

PLAIN = dataclasses.replace(
    PLANE, core=dataclasses.replace(CORE, urls=("http://a:2379", "http://b:2379"))
)
WITH_TLS = dataclasses.replace(FACTS, tls=True)
WITH_USERS = dataclasses.replace(FACTS, auth=True, users=True)


def empty_fields(value: Any, path: str = "") -> list[str]:
    """Name the fields that are null, or empty maps or lists."""
    if isinstance(value, dict):
        inner = [f for key, item in value.items() for f in empty_fields(item, f"{path}.{key}")]
        return inner if value else [path]
    if isinstance(value, list):
        inner = [f for item in value for f in empty_fields(item, f"{path}[]")]
        return inner if value else [path]
    return [path] if value is None else []


def test_the_names_and_the_endpoint_are_the_originals() -> None:
    desired = desired_of()
    assert desired.replica_set["metadata"]["name"] == "etcd-rs-etcd-name"
    assert desired.objects[SERVICES]["metadata"]["name"] == "etcd-etcd-name"
    assert desired.endpoint == "http://etcd-etcd-name.kube-apiserver-storage.svc:2379"
    for obj in (desired.replica_set, *desired.objects.values()):
        assert obj["metadata"]["namespace"] == NAMESPACE


def test_what_shields_pods_is_written_before_what_sends_clients_to_them() -> None:
    assert list(desired_of().objects) == [NETWORK_POLICIES, DISRUPTION_BUDGETS, SERVICES]


def test_every_object_is_of_the_kind_it_is_listed_under() -> None:
    for resource, obj in desired_of().objects.items():
        assert (obj["apiVersion"], obj["kind"]) == (resource.api_version, resource.kind)


def test_the_selectors_are_the_storage_label_alone_and_the_pods_carry_it() -> None:
    replica_set = desired_of(read("tenant")).replica_set
    only = {STORAGE_LABEL: "tenant"}
    assert replica_set["spec"]["selector"] == {"matchLabels": only}
    assert replica_set["spec"]["template"]["metadata"]["labels"][STORAGE_LABEL] == "tenant"


@pytest.mark.parametrize("made_by", [PLANE, PLAIN])
@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
@pytest.mark.parametrize("facts", [FACTS, WITH_USERS, WITH_TLS])
def test_no_field_is_empty_or_null_which_the_server_would_drop(
    made_by: GatedDataPlane, mode: str, facts: Facts
) -> None:
    desired = made_by.desired(read(mode=mode), facts)
    assert empty_fields([desired.replica_set, *desired.objects.values()]) == []


def test_replicas_are_asked_for_as_in_the_spec() -> None:
    assert desired_of(read(replicas=5)).replica_set["spec"]["replicas"] == 5


def test_it_is_a_pure_function_and_its_results_are_not_shared() -> None:
    one, other = desired_of(), desired_of()
    assert one == other
    one.replica_set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].clear()
    one.replica_set["spec"]["template"]["spec"]["containers"][0]["securityContext"].clear()
    one.objects[SERVICES]["spec"]["selector"].clear()
    assert desired_of() == other


def test_the_revision_moves_with_the_template_and_with_nothing_else() -> None:
    def revision(made_by: GatedDataPlane = PLANE, facts: Facts = FACTS, **spec: Any) -> str:
        return made_by.desired(read(**spec), facts).revision

    def with_core(**fields: Any) -> GatedDataPlane:
        return dataclasses.replace(PLANE, core=dataclasses.replace(CORE, **fields))

    assert revision() == revision(replicas=9) == revision(generation=5)
    others = [
        revision(plane(1)),
        revision(dataclasses.replace(PLANE, images=dataclasses.replace(IMAGES, gate="other"))),
        revision(with_core(urls=("https://b:2379",))),
        revision(with_core(certs_secret="s")),
        revision(PLAIN),
        revision(facts=dataclasses.replace(FACTS, drain_token="f" * 32)),
        revision(facts=dataclasses.replace(FACTS, users=True)),
        revision(facts=WITH_USERS),
        revision(facts=WITH_TLS),
        revision(mode="Direct"),
    ]
    assert len({revision(), *others}) == len(others) + 1
    # A label holds 63 characters of these.
    assert all(other.isalnum() and len(other) <= 63 for other in others)


def test_only_the_template_carries_the_revision() -> None:
    desired = desired_of()
    assert REVISION_LABEL not in desired.replica_set["metadata"]["labels"]
    assert REVISION_LABEL not in str(desired.replica_set["spec"]["selector"])
    assert REVISION_LABEL not in str(desired.objects)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"mode": "Fast"}, "no mode Fast"),
        ({"reclaimPolicy": "Recycle"}, "no reclaimPolicy Recycle"),
    ],
)
def test_what_it_cannot_do_is_refused_and_never_done_in_part(
    spec: dict[str, Any], says: str
) -> None:
    assert says in (PLANE.unsupported(read(**spec)) or "supported")


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_what_it_can_do(mode: str) -> None:
    assert PLANE.unsupported(read(mode=mode)) is None
    assert PLANE.unsupported(read(mode=mode, serverCACert=[{"name": "a"}])) is None
    listed = [{"name": "a", "namespace": "b"}]
    assert PLANE.unsupported(read(mode=mode, clientCertSecret=listed)) is None


def test_the_endpoint_says_whether_there_is_tls() -> None:
    desired = desired_of(facts=WITH_TLS)
    assert desired.endpoint == "https://etcd-etcd-name.kube-apiserver-storage.svc:2379"
