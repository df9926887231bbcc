"""Deliveries by a client with the rights of artifacts/consumers, on a real API server."""

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from controller.api.storage import StorageReference
from controller.consumers import Consumer, Consumers
from controller.options import PROGRAM
from controller.resources import ETCD_STORAGES
from informers import ApiError
from informers.errors import is_not_found
from tests.integration.conftest import administrator
from tests.integration.consumers.conftest import USER, Scene
from tests.support.deliveries import PairMaker, bundle, config_map, encoded, secret
from tests.support.eventually import eventually

pytestmark = pytest.mark.long

Json = dict[str, Any]
SIGNED_BY = "etcd.xmudrii.com/certificate-signed-by"


def rule(plural: str, name: str, *verbs: str, group: str = "") -> Json:
    return {
        "apiGroups": [group],
        "resources": [plural],
        "resourceNames": [name],
        "verbs": [*verbs],
    }


def test_the_manifests_rights_suffice_for_all_that_is_done(scene: Scene) -> None:
    scene.allow()
    report = scene.deliver()
    assert report.problems == ()
    assert [outcome.issued for outcome in report.outcomes] == ["", "there is none yet"]
    assert scene.get(scene.bundle)["data"] == {"serving-ca.crt": "CA 1"}
    there = scene.get(scene.pair)
    assert (there["data"], there["type"]) == (scene.makes.pair(1), "Opaque")
    assert there["metadata"]["annotations"][SIGNED_BY] == "authority 1"
    assert there["metadata"]["ownerReferences"][0]["uid"] == scene.storage.uid
    assert scene.deliver().problems == ()
    assert scene.get(scene.pair) == there
    scene.makes.authority = 2
    assert scene.deliver().problems == ()
    assert scene.get(scene.pair)["data"] == scene.makes.pair(2)
    assert scene.withdraw().problems == ()
    assert "data" not in scene.get(scene.pair)
    assert "annotations" not in scene.get(scene.pair)["metadata"]
    assert scene.deliver().problems == ()
    assert scene.get(scene.pair)["data"] == scene.makes.pair(3)


@pytest.mark.parametrize("kind", ["configmaps", "secrets"])
@pytest.mark.parametrize("missing", ["get", "patch", "create"])
def test_each_right_that_is_missing_is_told_and_holds_up_nobody_else(
    scene: Scene, kind: str, missing: str
) -> None:
    verbs = {"get", "patch", "create"}
    names = {"configmaps": "etcd-serving-ca", "secrets": "etcd-client"}
    rules = {of: rule(of, name, *verbs) for of, name in names.items()}
    scene.allow(*(rules | {kind: rule(kind, names[kind], *(verbs - {missing}))}).values())
    report = scene.deliver()
    (message,) = scene.messages(report)
    assert f"may not {missing} it" in message
    assert f"resourceNames: [{names[kind]}], verbs: [get, patch, create]" in message
    fine = scene.pair if kind == "configmaps" else scene.bundle
    assert [o.consumer for o in report.outcomes if o.problem is None] == [fine]
    scene.allow(*rules.values())
    eventually(lambda: scene.deliver().problems == ())


def test_what_left_with_its_role_is_told_with_the_ways_out_until_one_is_taken(
    scene: Scene,
) -> None:
    scene.allow()
    assert scene.deliver().problems == ()
    names = "role,rolebinding", "etcdproxy-controller-consumer"
    scene.control_plane.kubectl("delete", "-n", scene.namespace, *names)

    def messages() -> list[str]:
        return [*scene.messages(scene.withdraw(scene.pair))]

    eventually(lambda: messages() != [])
    # To delete the object is no way out: who may not look does not see that.
    scene.delete(scene.bundle)
    (message,) = scene.messages(scene.withdraw(scene.bundle))
    assert "resourceNames: [etcd-serving-ca], verbs: [get, patch, create]" in message
    assert "take its entry out of the annotation of a Secret" in message
    scene.allow()
    eventually(lambda: messages() == [])
    assert "data" not in scene.get(scene.pair)


def test_without_the_right_to_create_objects_that_are_there_are_served(scene: Scene) -> None:
    scene.allow(
        rule("configmaps", "etcd-serving-ca", "get", "patch"),
        rule("secrets", "etcd-client", "get", "patch"),
    )
    scene.put(config_map(consumer=scene.bundle))
    scene.put(secret(consumer=scene.pair))
    assert scene.deliver().problems == ()


def test_what_we_made_goes_with_its_storage_and_what_is_theirs_stays(scene: Scene) -> None:
    scene.allow()
    scene.put(config_map({"mine": "x"}, scene.bundle, metadata={"labels": {"a": "b"}}))
    assert scene.deliver().problems == ()
    assert scene.get(scene.bundle)["data"] == {"mine": "x", "serving-ca.crt": "CA 1"}
    scene.admin.delete(ETCD_STORAGES, scene.storage.name)

    def gone() -> bool:
        try:
            scene.get(scene.pair)
        except ApiError as error:
            return is_not_found(error)
        return False

    eventually(gone)
    there = scene.get(scene.bundle)
    assert there["data"] == {"mine": "x", "serving-ca.crt": "CA 1"}
    assert scene.withdraw().problems == ()
    there = scene.get(scene.bundle)
    assert (there["data"], there["metadata"]["labels"]) == ({"mine": "x"}, {"a": "b"})


def test_foreign_content_is_left_alone_until_it_is_taken_away(scene: Scene) -> None:
    scene.allow()
    scene.put(secret({"tls.crt": encoded("theirs")}, scene.pair))
    scene.put(config_map(consumer=scene.bundle, binaryData={"serving-ca.crt": encoded("x")}))
    before = scene.get(scene.bundle), scene.get(scene.pair)
    report = scene.deliver()
    assert {problem.reason for problem in report.problems} == {"ForeignContent"}
    for message in scene.messages(report):
        assert "kubectl-create" in message
    assert before == (scene.get(scene.bundle), scene.get(scene.pair))
    scene.patch(scene.pair, {"data": {"tls.crt": None}})
    scene.patch(scene.bundle, {"binaryData": {"serving-ca.crt": None}})
    assert scene.deliver().problems == ()


def test_a_pair_of_the_first_controller_is_told_as_that(scene: Scene) -> None:
    scene.allow()
    old = secret(
        {"tls.crt": encoded("RSA")}, scene.pair, metadata={"annotations": {SIGNED_BY: "x"}}
    )
    # Its client was called as its program, which is what the server calls the writer.
    with closing(administrator(scene.control_plane, PROGRAM)) as first:
        first.create(scene.pair.resource, old, scene.namespace)
    (message,) = scene.messages(scene.deliver())
    assert "controller of 2018" in message
    scene.delete(scene.pair)
    assert scene.deliver().problems == ()


def test_a_pair_that_somebody_changed_or_emptied_in_part(scene: Scene) -> None:
    scene.allow()
    scene.deliver()
    scene.patch(scene.pair, {"data": {"tls.key": encoded("another")}})
    (message,) = scene.messages(scene.deliver())
    assert "tls.key was written by kubectl-edit" in message
    scene.patch(scene.pair, {"data": {"tls.key": ""}})
    assert scene.deliver().problems == ()
    assert scene.get(scene.pair)["data"] == scene.makes.pair(int(_serial(scene)))
    scene.patch(scene.pair, {"data": None})
    assert scene.deliver().problems == ()
    assert scene.deliver().outcomes[1].issued == ""


def _serial(scene: Scene) -> str:
    (outcome,) = scene.deliver(scene.makes.delivery(scene.pair)).outcomes
    assert outcome.signed is not None
    return str(outcome.signed.serial)


def test_a_secret_of_type_tls_is_filled_and_emptied(scene: Scene) -> None:
    scene.allow()
    blanks = {"tls.crt": "", "tls.key": ""}
    scene.put(secret(blanks, scene.pair, type="kubernetes.io/tls"))
    assert scene.deliver().problems == ()
    assert scene.get(scene.pair)["data"] == scene.makes.pair(1)
    for _ in range(2):
        assert scene.withdraw().problems == ()
        assert scene.get(scene.pair)["data"] == blanks
    assert scene.deliver().problems == ()
    assert scene.get(scene.pair)["data"] == scene.makes.pair(2)


def test_an_immutable_object_is_told(scene: Scene) -> None:
    scene.allow()
    scene.put(secret({}, scene.pair, immutable=True))
    (problem,) = scene.deliver().problems
    assert problem.reason == "ConsumerImmutable"
    scene.delete(scene.pair)
    assert scene.deliver().problems == ()


def test_two_storages_that_name_one_object_keep_what_is_theirs(
    scene: Scene, storages: Iterator[StorageReference]
) -> None:
    scene.allow()
    scene.deliver()
    other = next(storages)
    consumers = Consumers(scene.client, clock=scene.clock, rng=random.Random(2))
    report = consumers.deliver(other, [bundle("CA of other", scene.bundle)])
    assert f"EtcdStorage {scene.storage.name}" in report.problems[0].message
    assert consumers.withdraw(other, [scene.bundle], note="annotation").problems == ()
    assert scene.get(scene.bundle)["data"] == {"serving-ca.crt": "CA 1"}
    scene.withdraw()
    scene.clock.step(1000)
    assert consumers.deliver(other, [bundle("CA of other", scene.bundle)]).problems == ()


@pytest.mark.parametrize("there", [True, False])
def test_an_object_that_changes_between_look_and_write_is_not_overwritten(
    scene: Scene, *, there: bool
) -> None:
    scene.allow()
    if there:
        scene.put(config_map({"mine": "x"}, scene.bundle))
    get = scene.client.get
    raced: list[bool] = []

    def racing(*arguments: Any) -> Json | None:
        try:
            return get(*arguments)
        finally:
            if not raced:
                raced.append(True)
                if there:
                    scene.delete(scene.bundle)
                scene.put(config_map({"serving-ca.crt": "theirs"}, scene.bundle))

    with patch.object(scene.client, "get", racing):
        (problem,) = scene.deliver(bundle(consumer=scene.bundle)).problems
    assert problem.reason == "ForeignContent"
    found = scene.get(scene.bundle)
    assert found["data"] == {"serving-ca.crt": "theirs"}
    assert "ownerReferences" not in found["metadata"]


def test_what_is_brought_for_the_first_time_is_a_conflict_where_something_is(
    scene: Scene,
) -> None:
    scene.allow()
    scene.put(config_map({"serving-ca.crt": "theirs"}, scene.bundle))
    wanted = (bundle(consumer=scene.bundle), scene.makes.delivery(scene.pair))
    report = scene.deliver(*(replace(each, first=True) for each in wanted))
    assert [problem.reason for problem in report.problems] == ["ForeignContent"]
    assert scene.get(scene.bundle)["data"] == {"serving-ca.crt": "theirs"}
    assert scene.get(scene.pair)["data"] == scene.makes.pair(1)
    assert scene.get(scene.pair)["metadata"]["ownerReferences"][0]["uid"] == scene.storage.uid


def test_an_object_that_is_deleted_between_look_and_write_is_made_with_an_owner(
    scene: Scene,
) -> None:
    scene.allow()
    scene.put(config_map({"mine": "x"}, scene.bundle))
    get = scene.client.get
    raced: list[bool] = []

    def racing(*arguments: Any) -> Json | None:
        found = get(*arguments)
        if not raced:
            raced.append(True)
            scene.delete(scene.bundle)
        return found

    with patch.object(scene.client, "get", racing):
        assert scene.deliver(bundle(consumer=scene.bundle)).problems == ()
    assert scene.get(scene.bundle)["metadata"]["ownerReferences"][0]["uid"] == scene.storage.uid


def test_an_object_that_was_deleted_is_brought_again(scene: Scene) -> None:
    scene.allow()
    scene.deliver()
    scene.delete(scene.pair)
    scene.delete(scene.bundle)
    assert scene.deliver().outcomes[1].issued == "there is none yet"
    assert scene.get(scene.pair)["data"] == scene.makes.pair(2)


def test_a_namespace_that_is_not_there_is_told_as_well_as_the_rights_allow(
    scene: Scene, request: pytest.FixtureRequest
) -> None:
    away = Consumer("Secret", f"{scene.namespace}-away", "etcd-client")
    (problem,) = scene.deliver(scene.makes.delivery(away)).problems
    assert problem.reason == "ConsumerForbidden"
    assert f"if the namespace {away.namespace} exists" in problem.message
    assert scene.withdraw(away).problems != ()
    role = f"see-namespaces-{scene.namespace}"
    run = scene.control_plane.kubectl
    request.addfinalizer(lambda: run("delete", "clusterrole,clusterrolebinding", role))
    run("create", "clusterrole", role, "--verb=get", "--resource=namespaces")
    user = f"--user={USER}"
    run("create", "clusterrolebinding", role, f"--clusterrole={role}", user)

    def reason() -> str:
        return scene.deliver(scene.makes.delivery(away)).problems[0].reason

    eventually(lambda: reason() == "NamespaceMissing")
    assert scene.withdraw(away).problems == ()


def test_a_namespace_that_is_being_deleted_passes(scene: Scene) -> None:
    scene.allow()
    held = {"name": "held", "finalizers": ["example.org/held"]}
    scene.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    # A Role that stays to the end, or the right to look would be gone first.
    for kind in ("role", "rolebinding"):
        finalizers = '--patch={"metadata":{"finalizers":["example.org/held"]}}'
        name = f"{kind}/etcdproxy-controller-consumer"
        scene.control_plane.kubectl("patch", "-n", scene.namespace, name, finalizers)
    try:
        scene.control_plane.kubectl("delete", "namespace", scene.namespace, "--wait=false")
        report = scene.deliver()
        assert {p.reason for p in report.problems} == {"NamespaceTerminating"}
        assert all(problem.passes for problem in report.problems)
        assert scene.withdraw().problems == ()
    finally:
        for name in (
            "configmap/held",
            *(f"{kind}/etcdproxy-controller-consumer" for kind in ("role", "rolebinding")),
        ):
            free = '--patch={"metadata":{"finalizers":null}}'
            scene.control_plane.kubectl("patch", "-n", scene.namespace, name, "--type=merge", free)


def test_a_quota_is_told(scene: Scene) -> None:
    scene.allow()
    scene.control_plane.kubectl("create", "quota", "q", "--hard=secrets=0", "-n", scene.namespace)
    eventually(lambda: any("quota" in m for m in scene.messages(scene.deliver())))
    (problem,) = scene.deliver().problems
    assert problem.reason == "DeliveryFailed"
    assert problem.message.startswith(f"{scene.pair}: create: ")


def test_what_a_policy_quotes_of_a_pair_is_told_to_nobody(
    scene: Scene, request: pytest.FixtureRequest
) -> None:
    scene.allow()
    assert scene.deliver().problems == ()
    name, run = f"quotes-{scene.namespace}", scene.control_plane.kubectl
    kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding"
    request.addfinalizer(lambda: run("delete", kinds, name))
    for obj in _quoting_policy(name, scene.namespace):
        run("create", "-f", "-", stdin=obj)

    def denied() -> bool:
        scene.makes.authority += 1
        messages = scene.messages(scene.deliver(scene.makes.delivery(scene.pair)))
        return any(f"'{name}' with binding '{name}' denied request" in told for told in messages)

    with capture_logs() as logs:
        eventually(denied)
        # Of the one that was there before as well: it is good until its end.
        reports = (scene.deliver(), scene.withdraw(scene.pair))
    assert [report.problems[0].reason for report in reports] == ["DeliveryFailed"] * 2
    keys = [PairMaker().pair(serial)["tls.key"] for serial in range(1, 100)]
    assert scene.get(scene.pair)["data"]["tls.key"] in keys
    told = repr((logs, reports))
    assert not [key for key in keys if key in told]


@pytest.mark.parametrize(
    "path", ["/metadata/annotations/etcd.xmudrii.com~1certificate-signed-by", "/data/tls.key"]
)
@pytest.mark.parametrize("change", ['op: "replace", value: "eA=="', 'op: "remove"'])
def test_what_a_policy_changes_as_we_write_it_is_told(
    scene: Scene, request: pytest.FixtureRequest, path: str, change: str
) -> None:
    scene.allow()
    name, run = f"changes-{scene.namespace}", scene.control_plane.kubectl
    kinds = "mutatingadmissionpolicy,mutatingadmissionpolicybinding"
    for obj in _changing_policy(name, scene.namespace, f'{change}, path: "{path}"'):
        run("create", "-f", "-", stdin=obj)
    request.addfinalizer(lambda: run("delete", kinds, name, "--ignore-not-found"))

    def told() -> bool:
        scene.makes.authority += 1  # There has to be something to write.
        return any("does not stay as we write it" in m for m in scene.messages(scene.deliver()))

    eventually(told)
    key = path.rpartition("/")[2].replace("~1", "/")
    for _ in range(2):
        report = scene.deliver()
        (problem,) = report.problems
        assert problem.reason == "ForeignContent"
        assert f"{scene.pair}: {key} does not stay" in problem.message
        assert [o.consumer for o in report.outcomes if o.problem is None] == [scene.bundle]
    run("delete", kinds, name)
    eventually(lambda: scene.deliver().problems == ())


def _changing_policy(name: str, namespace: str, patch: str) -> list[Json]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{**rule, "resources": ["secrets"]}]},
            "matchConditions": [{"name": "holds", "expression": "has(object.data)"}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [
                {"patchType": "JSONPatch", "jsonPatch": {"expression": f"[JSONPatch{{{patch}}}]"}}
            ],
        },
    }
    only = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "matchResources": only},
    }
    return [policy, binding]


def _quoting_policy(name: str, namespace: str) -> list[Json]:
    group = "admissionregistration.k8s.io/v1"
    rules = [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["secrets"],
        }
    ]
    policy = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": rules},
            "validations": [
                {
                    "expression": "false",
                    "messageExpression": "'no room for ' + string(oldObject.data['tls.key'])"
                    " + (has(object.data) ? string(object.data['tls.key']) : '')",
                }
            ],
        },
    }
    only = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": only},
    }
    return [policy, binding]
