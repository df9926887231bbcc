"""What the API server takes as an EtcdStorage, what it refuses, and how it says so."""

import json
from typing import Any

import pytest
import yaml

from hack.cluster.controlplane import ControlPlane, KubectlError
from informers import ApiError
from tests.integration.controller.conftest import CRD, Storages, manifest
from tests.support.eventually import eventually

DEFAULTS = {
    "mode": "Proxy",
    "replicas": 2,
    "reclaimPolicy": "Retain",
    "signingCertificateValidity": "43800h",
    "servingCertificateValidity": "2160h",
    "clientCertificateValidity": "2160h",
}


@pytest.mark.parametrize("spec", [None, {}, {"mode": None}, "absent"])
def test_every_way_to_say_nothing_gives_all_the_defaults(
    storages: Storages, control_plane: ControlPlane, spec: Any
) -> None:
    obj = manifest("defaults", {})
    if spec == "absent":
        del obj["spec"]
    else:
        obj["spec"] = spec
    created = control_plane.kubectl_json("create", "-f", "-", stdin=obj)
    assert created["spec"] == DEFAULTS


@pytest.mark.parametrize("name", ["a", "0", "a-b", "x" * 58])
def test_usable_names(storages: Storages, name: str) -> None:
    assert storages.create(name)["metadata"]["name"] == name


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("x" * 59, {}, "at most 58 characters"),
        ("a.b", {}, "must be a DNS label"),
        ("registry", {}, "are reserved"),
        ("root", {}, "are reserved"),
        ("bad", {"replicas": 0}, "greater than or equal to 1"),
        ("bad", {"replicas": 10}, "less than or equal to 9"),
        ("bad", {"mode": "Fast"}, 'supported values: "Proxy", "Direct"'),
        ("bad", {"servingCertificateValidity": "5 days"}, "must be a Go duration"),
        ("bad", {"servingCertificateValidity": "5d"}, "must be a Go duration"),
        ("bad", {"servingCertificateValidity": ""}, "must be a Go duration"),
        ("bad", {"servingCertificateValidity": "9s"}, "at least 10s"),
        ("bad", {"clientCertificateValidity": "0s"}, "at least 10s"),
        ("bad", {"signingCertificateValidity": "2562048h"}, "must be a Go duration"),
        ("bad", {"servingCertificateValidity": "43801h"}, "must not be above signing"),
        ("bad", {"clientCertificateValidity": "43800h1s"}, "must not be above signing"),
        (
            "bad",
            {
                "caCertConfigMap": [
                    {"name": "a", "namespace": "b"},
                    {"name": "a", "namespace": "b"},
                ]
            },
            "Duplicate value",
        ),
        ("bad", {"clientCertSecret": [{"name": "a"}]}, "namespace: Required value"),
        ("bad", {"restartDeployments": [{"namespace": "b"}]}, "name: Required value"),
        *(
            ("bad", {field: [{"name": name, "namespace": namespace}]}, message)
            for field in ("caCertConfigMap", "clientCertSecret", "restartDeployments")
            for name, namespace, message in (
                ("\u00e4", "b", "name must be that of an object"),
                ("A", "b", "name must be that of an object"),
                ("a/../b", "b", "name must be that of an object"),
                ("a\n", "b", "name must be that of an object"),
                ("a", "B", "namespace must be a DNS label"),
                ("a", "b.c", "namespace must be a DNS label"),
            )
        ),
    ],
)
def test_refusals_say_why(
    storages: Storages, name: str, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(ApiError, match=message) as refusal:
        storages.create(name, **spec)
    assert "type conversion error" not in str(refusal.value)
    assert "no such key" not in str(refusal.value)


@pytest.mark.parametrize("validity", ["10s", "1h30m", "1.5h", "43800h"])
def test_usable_durations(storages: Storages, validity: str) -> None:
    created = storages.create("durations", servingCertificateValidity=validity)
    assert created["spec"]["servingCertificateValidity"] == validity


def test_the_mode_cannot_be_changed(storages: Storages, control_plane: ControlPlane) -> None:
    storages.create("modes", mode="Direct")
    for patch in ('{"spec":{"mode":"Proxy"}}', '{"spec":null}'):
        with pytest.raises(KubectlError, match="mode is immutable"):
            control_plane.kubectl("patch", "es/modes", "--type=merge", f"--patch={patch}")
    control_plane.kubectl("scale", "es/modes", "--replicas=3")
    assert storages.get("modes")["spec"]["replicas"] == 3


def test_an_etcdstorage_of_2018_is_taken(storages: Storages) -> None:
    old = {"serverCACert": [{"name": "ca", "namespace": "n"}], "clientCert": [{"name": "c"}]}
    assert storages.create("etcd-name", **old)["spec"] == {**DEFAULTS, **old}


def test_an_object_that_an_older_crd_let_in_can_still_lose_its_finalizer(
    storages: Storages, control_plane: ControlPlane
) -> None:
    older = yaml.safe_load(CRD.read_text())
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["x-kubernetes-validations"]
    control_plane.kubectl("replace", "-f", "-", stdin=older)
    obj = manifest("registry", {})
    obj["metadata"]["finalizers"] = ["example.org/held"]
    _eventually_created(control_plane, obj)
    control_plane.kubectl("apply", "-f", str(CRD))
    _eventually_refused(control_plane, manifest("root", {}))
    control_plane.kubectl("label", "es/registry", "still=editable")
    control_plane.kubectl("delete", "es/registry", "--wait=false")
    control_plane.kubectl(
        "patch", "es/registry", "--type=merge", '--patch={"metadata":{"finalizers":null}}'
    )
    control_plane.kubectl("wait", "--for=delete", "es/registry", "--timeout=120s")


def test_references_that_an_older_crd_let_in_keep_nothing_else_from_being_changed(
    storages: Storages, control_plane: ControlPlane
) -> None:
    """Patterns are no news to an object whose lists stay as they are; new items are."""
    older = yaml.safe_load(CRD.read_text())
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    lists = schema["properties"]["spec"]["properties"]
    del lists["clientCertSecret"]["items"]["x-kubernetes-validations"]  # An alias of all three.
    odd, fine = {"name": "A_b", "namespace": "n"}, {"name": "a", "namespace": "n"}
    obj = manifest("misnamed", {"clientCertSecret": [odd]})
    control_plane.kubectl("replace", "-f", "-", stdin=older)
    _eventually_created(control_plane, obj)
    control_plane.kubectl("apply", "-f", str(CRD))
    obj["metadata"]["name"] = "another"
    _eventually_refused(control_plane, obj)
    for consumers in ([odd, fine], [fine]):
        patch = json.dumps({"spec": {"replicas": 3, "clientCertSecret": consumers}})
        control_plane.kubectl("patch", "es/misnamed", "--type=merge", f"--patch={patch}")
    patch = json.dumps({"spec": {"clientCertSecret": [odd]}})
    with pytest.raises(KubectlError, match="name must be that of an object"):
        control_plane.kubectl("patch", "es/misnamed", "--type=merge", f"--patch={patch}")


def _eventually_created(control_plane: ControlPlane, obj: dict[str, Any]) -> None:
    """The server takes a moment to serve by a changed CRD."""

    def created() -> bool:
        try:
            control_plane.kubectl("create", "-f", "-", stdin=obj)
        except KubectlError:
            return False
        return True

    eventually(created, what="the older CRD to be served")


def _eventually_refused(control_plane: ControlPlane, obj: dict[str, Any]) -> None:
    def refused() -> bool:
        try:
            control_plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=obj)
        except KubectlError:
            return True
        return False

    eventually(refused, what="today's CRD to be served again")
