"""The core's ConfigMap and Secrets: what is wrong with each, and the command that mends it."""

import base64
from datetime import timedelta
from typing import Any

import pytest

from controller.inspection.cluster import Unread
from controller.inspection.credentials import Pair, bundle_finding, findings, pair_finding, pairs
from controller.inspection.deployment import read_flags
from controller.inspection.finding import Level
from controller.options import Options
from tests.unit.controller.inspection.conftest import NOW, authority_of, pair

NAMESPACE = "ns"


def options(*flags: str, url: str = "https://core:2379") -> Options:
    read = read_flags((f"--etcd-core-url={url}", *flags), NAMESPACE)
    assert isinstance(read, Options)
    return read


def secret(**content: bytes) -> dict[str, Any]:
    encoded = {
        key.replace("_", "-").replace("0", "."): base64.b64encode(value).decode()
        for key, value in content.items()
    }
    return {"data": encoded}


def of(cert: bytes, key: bytes) -> dict[str, Any]:
    return secret(client0pem=cert, client_key0pem=key)


GOOD = pair()
OTHER = pair()
ENDING = pair(9)
EARLY = pair(now=NOW + timedelta(days=4, hours=1))
BUNDLE = authority_of().cert_pem.decode()


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        ({"data": {"ca.pem": BUNDLE}}, "OK", "good for 3650d"),
        (None, "FAIL", "ConfigMap ca is missing"),
        ({"data": {"ca.crt": BUNDLE}}, "FAIL", "has no key ca.pem"),
        ({"data": {"ca.pem": "a bundle"}}, "FAIL", "ca.pem is no certificate in PEM"),
        (
            {"data": {"ca.pem": authority_of(1, now=NOW - timedelta(days=9)).cert_pem.decode()}},
            "FAIL",
            "ca.pem ended at 2026-10-24T00:00:00Z",
        ),
        ({"data": {"ca.pem": authority_of(9).cert_pem.decode()}}, "WARN", "ends in 9d"),
        (Unread("forbidden"), "UNKNOWN", "forbidden"),
    ],
)
def test_the_bundle(found: Any, level: str, words: str) -> None:
    finding = bundle_finding("ca", NAMESPACE, found, NOW)
    assert (finding.level.value, words in finding.what) == (level, True), finding
    assert bool(finding.todo) == (level != "OK")


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (of(GOOD.cert_pem, GOOD.key_pem), "OK", "client.pem is good for 100d"),
        (None, "FAIL", "Secret pair is missing"),
        (secret(client0pem=GOOD.cert_pem), "FAIL", "has no key client-key.pem"),
        (of(GOOD.cert_pem, OTHER.key_pem), "FAIL", "client.pem has a key that is not its own"),
        (of(GOOD.cert_pem, b"key"), "FAIL", "has a key that is none in PEM"),
        (of(b"cert", GOOD.key_pem), "FAIL", "is no certificate in PEM"),
        (of(ENDING.cert_pem, ENDING.key_pem), "WARN", "client.pem ends in 9d"),
        (of(EARLY.cert_pem, EARLY.key_pem), "FAIL", "is not good before 2026-11-04"),
        (Unread("forbidden"), "UNKNOWN", "forbidden"),
    ],
)
def test_a_pair(found: Any, level: str, words: str) -> None:
    finding = pair_finding(Pair("pair"), NAMESPACE, found, NOW)
    assert (finding.level.value, words in finding.what) == (level, True), finding
    assert bool(finding.todo) == (level != "OK")


def test_the_command_that_makes_it_names_its_keys() -> None:
    finding = pair_finding(Pair("pair"), NAMESPACE, None, NOW)
    assert finding.todo == (
        "kubectl create secret generic pair --from-file=client.pem --from-file=client-key.pem"
        " -n ns"
    )


def test_roots_pair_has_to_be_roots() -> None:
    for cn, level in (("root", Level.OK), ("admin", Level.FAIL), (None, Level.FAIL)):
        made = pair(cn=cn)
        found = of(made.cert_pem, made.key_pem)
        finding = pair_finding(Pair("pair", cn="root"), NAMESPACE, found, NOW)
        assert finding.level is level, finding


def test_which_secrets_are_read_depends_on_the_flags() -> None:
    assert [one.name for one in pairs(options())] == ["etcd-coreserving-cert"]
    users = ("--etcd-core-root-secret=root", "--etcd-core-client-ca-secret=ca")
    assert [(one.name, one.cert) for one in pairs(options(*users))] == [
        ("root", "client.pem"),
        ("ca", "ca.pem"),
    ]
    assert pairs(options(url="http://core:2379")) == ()


def test_all_are_told_and_none_where_the_core_has_no_tls() -> None:
    found = {
        "ConfigMap etcd-coreserving-ca": {"data": {"ca.pem": BUNDLE}},
        "Secret etcd-coreserving-cert": of(GOOD.cert_pem, GOOD.key_pem),
    }
    told = list(findings(options(), found, NOW))
    assert [one.level for one in told] == [Level.OK, Level.OK]
    (only,) = findings(options(url="http://core:2379"), {}, NOW)
    assert only.level is Level.OK
