"""A storage's row, from its object alone."""

from datetime import timedelta
from typing import Any

import pytest

from controller.inspection.rows import HEADER, row, time_left, trouble_of
from tests.support.objects import etcd_storage, read
from tests.unit.controller.inspection.conftest import NOW


def condition(type_: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason, "message": message}


GOOD = [
    condition("Deployed", "True", "EtcdProxyDeployed", "every object exists"),
    condition("Ready", "True", "PodsReady", "pods read"),
    condition("Degraded", "False", "AsExpected", "nothing"),
]


def status(*conditions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    changed = {one["type"] for one in conditions}
    kept = [one for one in GOOD if one["type"] not in changed]
    return {"observedGeneration": 1, "conditions": [*kept, *conditions], **fields}


def test_all_that_is_known_is_told() -> None:
    certificates = {
        "signing": {"notAfter": "2031-11-01T00:00:00Z"},
        "serving": {"notAfter": "2027-01-30T00:00:00Z", "servedNotAfter": "2026-12-01T12:00:00Z"},
        "clients": [{"namespace": "n", "name": "c", "notAfter": "2027-01-01T00:00:00Z"}],
    }
    told = row(
        etcd_storage(
            status=status(
                endpoint="https://etcd-a.ns.svc:2379",
                isolation="Core",
                readyReplicas=1,
                usage={"keys": 7},
                certificates=certificates,
                coreClientCertificate={"notAfter": "2027-11-01T00:00:00Z"},
            )
        ),
        100 << 20,
    )
    assert dict(zip(HEADER, told.cells(NOW), strict=True)) == {
        "NAME": "etcd-name",
        "MODE": "Proxy",
        "ISOLATION": "Core",
        "ENDPOINT": "https://etcd-a.ns.svc:2379",
        "PODS": "1/2",
        "MEMORY": "100Mi",
        "CERTS": "30d",
        "KEYS": "7",
        "TROUBLE": "-",
    }
    as_json = told.as_json(NOW)
    assert (as_json["certificatesEnd"], as_json["certificatesDaysLeft"]) == (
        "2026-12-01T12:00:00Z",
        30,
    )
    assert (as_json["memoryBytes"], as_json["trouble"]) == (100 << 20, None)


def test_what_nobody_has_told_is_a_dash_or_null() -> None:
    told = row(etcd_storage(), None)
    assert told.cells(NOW)[2:8] == ("-", "-", "0/2", "-", "-", "-")
    unknown = ("isolation", "endpoint", "memoryBytes", "certificatesEnd", "keys")
    assert [told.as_json(NOW)[name] for name in unknown] == [None] * 5


def test_no_controller_is_a_trouble() -> None:
    trouble = trouble_of(read())
    assert trouble
    assert (trouble.reason, trouble.passes) == ("NotSeen", True)
    # That of a controller that is gone is older than the change.
    behind = trouble_of(read(generation=2, status=status()))
    assert behind
    assert "last change" in behind.message
    assert trouble_of(read(status=status())) is None


DEGRADED = condition("Degraded", "True", "PodsCannotStart", "image x cannot be had")
NOT_DEPLOYED = condition("Deployed", "False", "CoreCAMissing", "ConfigMap is missing")
NOT_READY = condition("Ready", "False", "NoPodReady", "pods are being started")


@pytest.mark.parametrize(
    ("conditions", "reason", "passes"),
    [
        ((DEGRADED, NOT_DEPLOYED, NOT_READY), "PodsCannotStart", False),
        ((NOT_DEPLOYED, NOT_READY), "CoreCAMissing", True),
        ((NOT_READY,), "NoPodReady", True),
    ],
)
def test_what_needs_a_person_comes_first(
    conditions: tuple[dict[str, Any], ...], reason: str, *, passes: bool
) -> None:
    trouble = trouble_of(read(status=status(*conditions)))
    assert trouble
    assert (trouble.reason, trouble.passes) == (reason, passes)


def test_a_long_trouble_is_cut_in_the_table_and_whole_in_json() -> None:
    long = condition("Degraded", "True", "WriteFailed", "word " * 40)
    told = row(etcd_storage(status=status(long)), None)
    assert len(told.cells(NOW)[-1]) <= 90
    assert told.as_json(NOW)["trouble"] == {"reason": "WriteFailed", "message": "word " * 40}


def test_an_end_is_told_in_its_largest_unit() -> None:
    assert time_left(timedelta(days=89, hours=23)) == "89d"
    assert time_left(timedelta(hours=23, minutes=59)) == "23h"
    assert time_left(timedelta(seconds=-1)) == "over"


def test_an_object_of_an_older_crd_is_no_obstacle() -> None:
    odd = etcd_storage(
        status={"conditions": [{}], "coreClientCertificate": [1], "certificates": "none"},
        replicas="many",
        mode=7,
    )
    assert row(odd, None).cells(NOW)[:2] == ("etcd-name", "Proxy")
