"""Reading an EtcdStorage, complete or as an older CRD let it in."""

from datetime import timedelta
from typing import Any

import pytest

from controller.api.storage import (
    CORE_FINALIZER,
    CORE_USER_OWNER,
    RESERVED_NAMES,
    ObjectReference,
    name_problem,
    read_storage,
)
from tests.support.objects import CREATED, etcd_storage, read


def test_reads_everything() -> None:
    storage = read(
        "tenant",
        generation=4,
        mode="Direct",
        replicas=5,
        reclaimPolicy="Delete",
        caCertConfigMap=[{"name": "ca", "namespace": "one"}],
        clientCertSecret=[{"name": "a", "namespace": "one"}, {"name": "b", "namespace": "two"}],
        restartDeployments=[{"name": "api", "namespace": "two"}],
        signingCertificateValidity="100h",
        servingCertificateValidity="90m",
        clientCertificateValidity="10s",
        meta={"annotations": {"etcd.xmudrii.com/rotate": "now"}},
        status={"observedGeneration": 3},
    )
    assert (storage.name, storage.uid) == ("tenant", "uid-tenant")
    assert (storage.resource_version, storage.generation) == ("7", 4)
    assert (storage.mode, storage.replicas, storage.reclaim_policy) == ("Direct", 5, "Delete")
    assert storage.ca_cert_config_maps == (ObjectReference("one", "ca"),)
    assert storage.client_cert_secrets == (
        ObjectReference("one", "a"),
        ObjectReference("two", "b"),
    )
    assert storage.restart_deployments == (ObjectReference("two", "api"),)
    assert storage.signing_validity == timedelta(hours=100)
    assert storage.serving_validity == timedelta(minutes=90)
    assert storage.client_validity == timedelta(seconds=10)
    assert storage.rotate == "now"
    assert storage.tls
    assert storage.status == {"observedGeneration": 3}
    assert storage.prefix == "/tenant/"
    assert not storage.deleting


@pytest.mark.parametrize("spec", [{}, {"spec": None}, {"spec": {}}, {"spec": {"replicas": None}}])
def test_what_is_unset_has_the_defaults_of_the_crd(spec: dict[str, Any]) -> None:
    meta = {"name": "a", "uid": "u", "resourceVersion": "1", "creationTimestamp": CREATED}
    storage = read_storage({"metadata": meta, **spec})
    assert (storage.mode, storage.replicas, storage.reclaim_policy) == ("Proxy", 2, "Retain")
    assert (storage.ca_cert_config_maps, storage.client_cert_secrets) == ((), ())
    assert (storage.generation, storage.status) == (1, {})
    assert (storage.restart_deployments, storage.rotate, storage.tls) == ((), "", False)
    assert storage.signing_validity == timedelta(hours=43800)
    assert (storage.serving_validity, storage.client_validity) == (timedelta(hours=2160),) * 2
    assert storage.ignored_fields == ()


@pytest.mark.parametrize(
    ("spec", "unreadable"),
    [
        ("words", ("spec",)),
        ([1], ("spec",)),
        ({"caCertConfigMap": [{"name": "x"}]}, ("spec.caCertConfigMap",)),
        ({"clientCertSecret": {"name": "x", "namespace": "y"}}, ("spec.clientCertSecret",)),
        ({"clientCertSecret": ["x"]}, ("spec.clientCertSecret",)),
        (
            {
                "caCertConfigMap": [
                    {"name": "a", "namespace": "b"},
                    {"name": "A_b", "namespace": "n"},
                ]
            },
            ("spec.caCertConfigMap (no object can be called 'n/A_b')",),
        ),
        (
            {"clientCertSecret": [{"name": "\u00e4", "namespace": "n"}]},
            ("spec.clientCertSecret (no object can be called 'n/\\xe4')",),
        ),
        (
            {"restartDeployments": [{"name": "a", "namespace": "x" * 200}]},
            (f"spec.restartDeployments (no object can be called '{'x' * 100}')",),
        ),
        (
            {"clientCertSecret": [{"name": "a", "namespace": ""}]},
            ("spec.clientCertSecret (no object can be called '/a')",),
        ),
        ({"replicas": "two", "mode": 7}, ("spec.mode", "spec.replicas")),
        ({"replicas": True}, ("spec.replicas",)),
        ({"reclaimPolicy": {}, "replicas": 3}, ()),
        ({"restartDeployments": ["x"]}, ("spec.restartDeployments",)),
        ({"servingCertificateValidity": "90d"}, ("spec.servingCertificateValidity",)),
        ({"clientCertificateValidity": "9s"}, ("spec.clientCertificateValidity",)),
        ({"signingCertificateValidity": 5}, ("spec.signingCertificateValidity",)),
        ({"servingCertificateValidity": "43801h"}, ("spec.servingCertificateValidity",)),
        # What the leaves have by default is above it.
        (
            {"signingCertificateValidity": "1h"},
            ("spec.servingCertificateValidity", "spec.clientCertificateValidity"),
        ),
        (
            {"signingCertificateValidity": "1h", "servingCertificateValidity": "1h"},
            ("spec.clientCertificateValidity",),
        ),
    ],
)
def test_what_a_crd_without_a_schema_let_in_is_named_and_never_fatal(
    spec: Any, unreadable: tuple[str, ...]
) -> None:
    storage = read_storage({**etcd_storage(), "spec": spec, "status": "words"})
    assert storage.unreadable_fields == unreadable
    assert storage.mode == "Proxy"
    assert storage.status == {}


def test_empty_lists_are_no_references() -> None:
    storage = read(caCertConfigMap=[], clientCertSecret=None)
    assert (storage.ca_cert_config_maps, storage.client_cert_secrets) == ((), ())


@pytest.mark.parametrize(
    ("namespace", "name"), [("n", "a.b"), ("0", "x" * 253), ("a-b" * 21, "a"), ("n", "a--b")]
)
def test_names_that_an_object_can_have(namespace: str, name: str) -> None:
    storage = read(clientCertSecret=[{"name": name, "namespace": namespace}])
    assert storage.client_cert_secrets == (ObjectReference(namespace, name),)
    assert storage.unreadable_fields == ()


def test_a_deletion_under_way_is_seen() -> None:
    assert read(meta={"deletionTimestamp": "2026-01-02T03:04:05Z"}).deleting


@pytest.mark.parametrize(
    ("finalizers", "owner", "held", "claimed"),
    [
        ([], None, False, False),
        (["theirs"], "uid-etcd-name", False, False),
        ([CORE_FINALIZER], None, True, False),
        ([CORE_FINALIZER], "of another object", True, False),
        (["theirs", CORE_FINALIZER], "uid-etcd-name", True, True),
    ],
)
def test_a_claim_takes_the_finalizer_and_the_status_of_the_very_object(
    finalizers: list[str],
    owner: str | None,
    held: bool,  # noqa: FBT001 - a column of the table
    claimed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    status = {CORE_USER_OWNER: owner} if owner else {}
    storage = read(meta={"finalizers": finalizers}, status=status)
    assert (storage.held, storage.claimed) == (held, claimed)


def test_the_fields_of_2018_are_named_with_what_took_their_place() -> None:
    storage = read(serverCACert=[{"name": "ca"}], clientCert=[])
    assert storage.ignored_fields == (
        "spec.serverCACert (use spec.caCertConfigMap)",
        "spec.clientCert (use spec.clientCertSecret)",
    )
    assert (storage.ca_cert_config_maps, storage.client_cert_secrets) == ((), ())


def test_reading_changes_nothing() -> None:
    obj = etcd_storage(clientCertSecret=[{"name": "a", "namespace": "one"}], status={"x": [1]})
    read_storage(obj)
    assert obj == etcd_storage(
        clientCertSecret=[{"name": "a", "namespace": "one"}], status={"x": [1]}
    )


@pytest.mark.parametrize("name", ["a", "0", "etcd-name", "a--b", "a" * 58, "register", "rooted"])
def test_a_usable_name(name: str) -> None:
    assert name_problem(name, RESERVED_NAMES) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("registry", "reserved"),
        ("root", "reserved"),
        ("a" * 59, "59 characters, 58"),
        ("a.b", "no DNS label"),
        ("-a", "no DNS label"),
        ("a-", "no DNS label"),
        ("A", "no DNS label"),
        ("", "no DNS label"),
        ("a/b", "no DNS label"),
        ("a\n", "no DNS label"),
    ],
)
def test_an_unusable_name_and_why(name: str, says: str) -> None:
    assert says in (name_problem(name, RESERVED_NAMES) or "no problem at all")


def test_the_operator_may_reserve_more_names() -> None:
    assert name_problem("kube", RESERVED_NAMES) is None
    assert name_problem("kube", RESERVED_NAMES | {"kube"}) == "the name 'kube' is reserved"
