"""What must be there before a proxy can reach the core."""

import dataclasses
from typing import Any

import pytest

from controller.dataplane.core import core_problem
from tests.support.objects import CA, CORE, core_config_map, core_secret

PLAIN = dataclasses.replace(CORE, urls=("http://core:2379",))


def test_nothing_is_missing() -> None:
    assert core_problem(CORE, core_config_map(), core_secret(), users=False) is None


def test_a_core_without_tls_needs_no_certificates() -> None:
    assert core_problem(PLAIN, None, None, users=False) is None
    assert (CORE.tls, PLAIN.tls) == (True, False)


def test_where_each_storage_has_its_own_pair_only_the_ca_is_shared() -> None:
    assert core_problem(CORE, core_config_map(), None, users=True) is None
    problem = core_problem(CORE, None, None, users=True)
    assert problem is not None
    assert problem.reason == "CoreCAMissing"


@pytest.mark.parametrize(
    ("config_map", "secret", "reason", "says"),
    [
        (None, core_secret(), "CoreCAMissing", ["ConfigMap etcd-coreserving-ca is missing"]),
        (core_config_map({}), core_secret(), "CoreCAMissing", ["etcd-coreserving-ca", "ca.pem"]),
        (core_config_map({"ca.pem": " \n"}), core_secret(), "CoreCAMissing", ["empty"]),
        (core_config_map({"ca.crt": CA}), core_secret(), "CoreCAMissing", ["no key ca.pem"]),
        (
            core_config_map(),
            None,
            "CoreCertsMissing",
            ["Secret etcd-coreserving-cert is missing", "client.pem and client-key.pem"],
        ),
        (
            core_config_map(),
            core_secret({"client.pem": "certificate"}),
            "CoreCertsMissing",
            ["Secret etcd-coreserving-cert", "no key client-key.pem,"],
        ),
        (
            core_config_map(),
            core_secret({"client.pem": "", "client-key.pem": "key"}),
            "CoreCertsMissing",
            ["no key client.pem,"],
        ),
        (
            core_config_map(),
            core_secret({}),
            "CoreCertsMissing",
            ["client.pem and no key client-key.pem"],
        ),
        (
            core_config_map(),
            {"data": {"client.pem": "=", "client-key.pem": "abc"}},
            "CoreCertsMissing",
            ["client.pem", "client-key.pem"],
        ),
        ({"data": None}, core_secret(), "CoreCAMissing", ["ca.pem"]),
        (core_config_map(), {"data": None}, "CoreCertsMissing", ["client.pem"]),
    ],
)
def test_what_is_missing_is_named(
    config_map: dict[str, Any] | None,
    secret: dict[str, Any] | None,
    reason: str,
    says: list[str],
) -> None:
    problem = core_problem(CORE, config_map, secret, users=False)
    assert problem is not None
    assert problem.reason == reason
    assert [part for part in says if part not in problem.message] == []


def test_the_content_of_a_secret_is_never_told() -> None:
    problem = core_problem(
        CORE, core_config_map(), core_secret({"client-key.pem": "private"}), users=False
    )
    assert problem is not None
    assert "private" not in problem.message
