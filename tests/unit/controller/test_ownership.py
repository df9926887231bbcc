"""Whose an object is, and what a mended one looks like."""

from copy import deepcopy
from typing import Any

import pytest

from controller.ownership import (
    STORAGE_LABEL,
    Claim,
    claim,
    controller_of,
    controller_reference,
    describe_conflict,
    merge_patch,
    overlay,
    with_controller,
)
from tests.support.memoryserver import apply_merge_patch
from tests.support.objects import metadata, read

Json = dict[str, Any]

SERVICE = "Service etcd-etcd-name exists and"
STORAGE = read()
OURS = controller_reference(STORAGE)
LABEL = {STORAGE_LABEL: STORAGE.name}


def obj(*owners: Json, labels: Json | None = None) -> Json:
    fields: Json = {"ownerReferences": list(owners)} if owners else {}
    if labels is not None:
        fields["labels"] = labels
    return {"kind": "Service", "metadata": metadata("etcd-etcd-name", "n", **fields)}


def controller(kind: str = "Deployment", name: str = "other", uid: str = "uid-other") -> Json:
    return {"kind": kind, "name": name, "uid": uid, "controller": True}


OWNER = {"kind": "Team", "name": "t", "uid": "uid-team"}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (obj(OURS), Claim.OWNED),
        (obj(OWNER, OURS), Claim.OWNED),
        (obj(OURS, labels={STORAGE_LABEL: "renamed"}), Claim.OWNED),
        (obj(labels=LABEL), Claim.ORPHAN),
        (obj(OWNER, labels=LABEL), Claim.ORPHAN),
        (obj({**OURS, "controller": False}, labels=LABEL), Claim.ORPHAN),
        (obj(), Claim.FOREIGN),
        (obj(labels={}), Claim.FOREIGN),
        (obj(labels={STORAGE_LABEL: "another"}), Claim.FOREIGN),
        (obj(controller(), labels=LABEL), Claim.FOREIGN),
        (obj(controller(), {**OURS, "controller": False}, labels=LABEL), Claim.FOREIGN),
        (obj({**OURS, "uid": "uid-of-a-predecessor"}, labels=LABEL), Claim.FOREIGN),
        (obj({**OURS, "controller": False}), Claim.FOREIGN),
        ({"metadata": {"name": "a", "labels": None, "ownerReferences": None}}, Claim.FOREIGN),
    ],
)
def test_whose_an_object_is(found: Json, verdict: Claim) -> None:
    assert claim(found, STORAGE) is verdict


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (obj(OURS), Claim.LEAVING),
        (obj(labels={STORAGE_LABEL: STORAGE.name}), Claim.LEAVING),
        (obj(), Claim.FOREIGN),
    ],
)
def test_what_is_being_deleted_is_left_to_go(found: Json, verdict: Claim) -> None:
    found["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    assert claim(found, STORAGE) is verdict


def test_the_reference_lets_the_garbage_collector_follow() -> None:
    assert controller_reference(STORAGE) == {
        "apiVersion": "etcd.xmudrii.com/v1alpha1",
        "kind": "EtcdStorage",
        "name": "etcd-name",
        "uid": "uid-etcd-name",
        "controller": True,
        "blockOwnerDeletion": True,
    }


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (
            obj(),
            f"{SERVICE} is not ours: delete it, or create the EtcdStorage under another name",
        ),
        (
            obj(controller()),
            f"{SERVICE} is controlled by Deployment other: delete one of the two",
        ),
        (
            obj(controller("EtcdStorage", "etcd-name", "uid-of-a-predecessor")),
            f"{SERVICE} belongs to a deleted EtcdStorage of this name: it is awaited",
        ),
        (
            obj(controller("EtcdStorage", "rs-x")),
            f"{SERVICE} is controlled by EtcdStorage rs-x: delete one of the two",
        ),
    ],
)
def test_a_conflict_names_the_object_and_its_holder(found: Json, says: str) -> None:
    assert str(describe_conflict(found, "Service", STORAGE)) == says


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), (OURS,)),
        ((OWNER,), (OWNER, OURS)),
        ((OURS, OWNER), (OURS, OWNER)),
        # A plain reference of ours would leave the object without a controller for ever.
        (({**OURS, "controller": False}, OWNER), (OURS, OWNER)),
    ],
)
def test_it_becomes_the_controller_next_to_other_owners(
    before: tuple[Json, ...], after: tuple[Json, ...]
) -> None:
    found = obj(*before)
    untouched = deepcopy(found)
    adopted = with_controller(found, STORAGE)
    assert adopted["metadata"]["ownerReferences"] == list(after)
    assert controller_of(adopted) == OURS
    assert found == untouched
    assert with_controller(adopted, STORAGE) == adopted


@pytest.mark.parametrize(
    ("actual", "desired", "merged"),
    [
        ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
        ({"m": {"theirs": 1}}, {"m": {"ours": 2}}, {"m": {"theirs": 1, "ours": 2}}),
        ({}, {"m": {"ours": 2}}, {"m": {"ours": 2}}),
        ({"m": None}, {"m": {"ours": 2}}, {"m": {"ours": 2}}),
        ({"m": "text"}, {"m": {"ours": 2}}, {"m": {"ours": 2}}),
        ({"l": [{"d": 0, "a": 1}]}, {"l": [{"a": 2}]}, {"l": [{"d": 0, "a": 2}]}),
        ({"l": [{"d": 0}, {"d": 1}]}, {"l": [{"a": 2}]}, {"l": [{"a": 2}]}),
        ({"l": ["a", "x"]}, {"l": ["a", "b"]}, {"l": ["a", "b"]}),
        ({"selector": {"theirs": 1}}, {"selector": {"ours": 2}}, {"selector": {"ours": 2}}),
        (
            {"spec": {"selector": {"controller": "epc", "ours": 1}, "ip": "x"}},
            {"spec": {"selector": {"ours": 1}}},
            {"spec": {"selector": {"ours": 1}, "ip": "x"}},
        ),
    ],
)
def test_an_overlay_keeps_what_is_not_named(actual: Json, desired: Json, merged: Json) -> None:
    before = deepcopy((actual, desired))
    assert overlay(actual, desired) == merged
    assert (actual, desired) == before
    assert overlay(merged, desired) == merged


@pytest.mark.parametrize(
    ("actual", "target", "patch"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {}, {"a": None}),
        ({}, {"a": {}}, {"a": {}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": None}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": [1, 2]}, {"a": [2]}, {"a": [2]}),
        ({"a": [1]}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
        ({"a": None}, {"a": None}, {}),
    ],
)
def test_a_patch_says_the_difference_and_no_more(actual: Json, target: Json, patch: Json) -> None:
    assert merge_patch(actual, target) == patch
    assert apply_merge_patch(actual, patch) == target
