"""Whose fields are, out of managedFields as a real server writes them."""

from datetime import UTC, datetime
from typing import Any

from controller.consumers.fields import applied_at, owned, writers

OURS = "etcdproxy-controller/etcd-name"
UID = "11111111-1111-1111-1111-111111111111"


def entry(manager: str, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


def obj(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"managedFields": [*entries]}}


APPLIED = {
    "f:data": {"f:tls.crt": {}},
    "f:metadata": {
        "f:annotations": {"f:e.x/a": {}},
        "f:ownerReferences": {f'k:{{"uid":"{UID}"}}': {}},
    },
}
UPDATED = {
    "f:data": {".": {}, "f:tls.crt": {}, "f:tls.key": {}, "f:a:b": {}},
    "f:metadata": {
        "f:finalizers": {".": {}, 'v:"e.x/hold"': {}},
        "f:ownerReferences": {".": {}, 'k:{"uid":"u"}': {".": {}, "f:name": {}}},
    },
    "f:type": {},
}


def test_what_we_applied_is_ours_and_nothing_else() -> None:
    there = obj(
        entry(OURS, "Apply", APPLIED),
        entry(OURS, "Update", UPDATED),
        entry("other", "Apply", UPDATED),
    )
    assert owned(there, OURS) == {
        ("data", "tls.crt"),
        ("metadata", "annotations", "e.x/a"),
        ("metadata", "ownerReferences", UID),
    }
    assert owned(there, "nobody") == owned({"metadata": {}}, OURS) == frozenset()


def test_all_writers_of_a_field_are_named() -> None:
    there = obj(entry("b", "Update", UPDATED), entry("a", "Apply", APPLIED))
    assert writers(there, ("data", "tls.crt")) == ["a", "b"]
    assert writers(there, ("data", "tls.key")) == ["b"]
    assert writers(there, ("data", "a:b")) == ["b"]
    assert writers(there, ("metadata", "ownerReferences", "u")) == ["b"]
    assert writers(there, ("data", "none")) == []
    assert writers({"metadata": {"managedFields": None}}, ("data", "tls.crt")) == []


def test_entries_of_fields_that_are_no_more_say_nothing() -> None:
    there = obj(entry("a", "Update", {"f:data": {}}), {"manager": "b", "operation": "Apply"})
    assert writers(there, ("data", "tls.crt")) == []


def test_when_we_applied_last_whatever_others_did_since() -> None:
    ours = {**entry(OURS, "Apply", APPLIED), "time": "2026-01-02T03:04:05Z"}
    theirs = {**entry("other", "Apply", APPLIED), "time": "2026-05-06T07:08:09Z"}
    assert applied_at(obj(ours, theirs), OURS) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert applied_at(obj(theirs, entry(OURS, "Update", UPDATED)), OURS) is None
    assert applied_at(obj(entry(OURS, "Apply", APPLIED)), OURS) is None
