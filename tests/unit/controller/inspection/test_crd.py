"""The CRD of the artifacts is good, and each way to be another is told."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.inspection.cluster import Unread
from controller.inspection.crd import FIELDS, findings
from controller.inspection.finding import Level

ROOT = Path(__file__).parents[4]


def installed() -> dict[str, Any]:
    """Return the CRD as a server has it."""
    crd: dict[str, Any] = yaml.safe_load((ROOT / "artifacts/etcdstorage/crd.yaml").read_text())
    types = ("NamesAccepted", "Established")
    crd["status"] = {"conditions": [{"type": type_, "status": "True"} for type_ in types]}
    return copy.deepcopy(crd)


def test_that_of_this_release_is_good() -> None:
    (only,) = findings(installed())
    assert only.level is Level.OK


def test_every_field_of_it_is_looked_for() -> None:
    schema = installed()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    assert {part: set(schema[part]["properties"]) for part in FIELDS} == FIELDS


def without_field(crd: dict[str, Any]) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    del schema["status"]["properties"]["usage"]


def of_2018(crd: dict[str, Any]) -> None:
    told = {"name": "v1alpha1", "served": True, "storage": True, "subresources": {"status": {}}}
    crd["spec"]["versions"][0] = told


def without_status(crd: dict[str, Any]) -> None:
    del crd["spec"]["versions"][0]["subresources"]


def of_another_version(crd: dict[str, Any]) -> None:
    crd["spec"]["versions"][0]["name"] = "v1"


def not_established(crd: dict[str, Any]) -> None:
    crd["status"]["conditions"][0].update(status="False", message="the name es is taken")


def going(crd: dict[str, Any]) -> None:
    crd["metadata"]["deletionTimestamp"] = "2026-11-01T00:00:00Z"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_field, "lacks status.usage"),
        (of_2018, "lacks subresource scale, spec, status, the rules on names"),
        (without_status, "is of an older release and has no status subresource"),
        (of_another_version, "lacks version v1alpha1"),
        (not_established, "is not NamesAccepted: the name es is taken"),
        (going, "is being deleted"),
    ],
)
def test_another_is_told_with_what_to_do(change: Any, words: str) -> None:
    crd = installed()
    change(crd)
    (only,) = findings(crd)
    assert only.level is Level.FAIL
    assert words in only.what
    assert only.todo


def test_none_is_a_failure_and_no_right_to_look_is_not() -> None:
    (missing,) = findings(None)
    assert missing.level is Level.FAIL
    assert missing.todo == "kubectl apply -f artifacts/etcdstorage/crd.yaml"
    (unread,) = findings(Unread("forbidden"))
    assert unread.level is Level.UNKNOWN
