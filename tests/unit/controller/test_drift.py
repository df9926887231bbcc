"""When a field of ours that somebody else keeps changing is mended again."""

from typing import Any

import pytest

from controller.drift import (
    FIGHT,
    Correction,
    Field,
    fields,
    holds,
    listed,
    looked_at,
    paths,
    rivals,
    value_at,
    written,
)

Json = dict[str, Any]

OURS = "etcdproxy-controller"


@pytest.mark.parametrize(
    ("value", "wrote", "verdict"),
    [
        (2, 2, True),
        (3, 2, False),
        (None, None, True),
        ("there", None, False),
        ({"a": 1, "theirs": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": None}, False),
        ({"b": 1}, {"a": None, "b": 1}, True),
        (None, {"a": 1}, False),
        ([{"a": 1, "default": 2}], [{"a": 1}], True),
        ([{"a": 1}, {"a": 2}], [{"a": 1}], False),
        ("text", {"a": 1}, False),
        ({}, {}, True),
        (None, {}, False),
    ],
)
def test_whether_what_was_written_is_still_there(
    value: object, wrote: object, *, verdict: bool
) -> None:
    assert holds(value, wrote) is verdict


def test_the_fields_of_a_patch_are_what_makes_sense_to_write_at_once() -> None:
    template: Json = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    defaulted = {**template["spec"], "dnsPolicy": None}
    patch = {
        "metadata": {
            "resourceVersion": "7",
            "labels": {"app.kubernetes.io/name": "x"},
            "annotations": {"a": None},
            "ownerReferences": [],
        },
        "spec": {"replicas": 2, "template": {**template, "spec": defaulted}, "selector": None},
        "data": {"tls.crt": "x", "tls.key": "y"},
    }
    assert dict(fields(patch)) == {
        ("metadata", "labels", "app.kubernetes.io/name"): "x",
        ("metadata", "annotations", "a"): None,
        ("metadata", "ownerReferences"): [],
        ("spec", "replicas"): 2,
        ("spec", "template"): template,
        ("spec", "selector"): None,
        ("data",): {"tls.crt": "x", "tls.key": "y"},
    }
    assert dict(fields({"metadata": {"labels": None}, "spec": None})) == {
        ("metadata", "labels"): None,
        ("spec",): None,
    }


def test_what_an_object_holds_in_a_field() -> None:
    obj = {"spec": {"replicas": 2}}
    assert value_at(obj, ("spec", "replicas")) == 2
    assert value_at(obj, ()) == obj
    assert value_at(obj, ("spec", "replicas", "deeper")) is None
    assert value_at(None, ("spec",)) is None


def test_paths_are_told_as_a_person_reads_them() -> None:
    wrote = {"spec": {"containers": [1], "dnsPolicy": "x"}, "metadata": {"labels": {"a": None}}}
    found = paths(("spec", "template"), wrote)
    assert found == [
        ("spec", "template", "spec", "containers"),
        ("spec", "template", "spec", "dnsPolicy"),
        ("spec", "template", "metadata", "labels", "a"),
    ]
    assert paths(("spec", "replicas"), 2) == [("spec", "replicas")]
    assert listed([("a", "b")]) == "a.b"
    assert listed([("a",), ("b",), ("c",), ("d",), ("e",)]) == "a, b, c and 2 more"


def fought(*, step: float, times: int) -> Correction:
    """Return what is remembered of a field that was undone so often, each time after `step`."""
    known = write(None, 2, 0.0)
    now = 0.0
    for _ in range(times):
        now += step
        undone = looked_at(known, 7, now, differs=True)
        assert undone is not None
        assert undone.undone
        assert looked_at(undone, 7, now, differs=True) == undone  # A second look counts nothing.
        now = max(now, undone.due)
        known = write(undone, 2, now)
    return known


def write(before: Correction | None, wrote: object, now: float) -> Correction:
    return written(before, wrote, now, answer=wrote)


def test_a_fight_waits_twice_as_long_each_time_up_to_a_minute() -> None:
    pauses = []
    for times in range(1, 13):
        known = fought(step=0.0, times=times)
        before = fought(step=0.0, times=times - 1)
        pauses.append(known.at - before.at)
    assert pauses == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_it_is_a_fight_from_the_fifth_time_on() -> None:
    assert [fought(step=1.0, times=n).fights for n in range(7)] == [False] * 5 + [True] * 2
    assert FIGHT == 5


def test_what_stays_is_forgotten_sooner_or_later() -> None:
    once = write(None, 2, 0.0)
    assert looked_at(once, 2, 599.0, differs=False) == once
    assert looked_at(once, 2, 600.0, differs=False) is None
    fast = fought(step=0.1, times=5)
    assert looked_at(fast, 2, fast.at + 29.9, differs=False) == fast
    assert looked_at(fast, 2, fast.at + 30.0, differs=False) is None
    # Whoever takes three minutes each time has not given up after half a minute.
    slow = fought(step=180.0, times=5)
    assert looked_at(slow, 2, slow.at + 359.0, differs=False) == slow
    assert looked_at(slow, 2, slow.at + 360.0, differs=False) is None


def test_another_value_that_we_want_ourselves_is_nobodys_drift() -> None:
    known = write(None, 2, 0.0)
    assert looked_at(known, 2, 1.0, differs=True) == known
    assert write(known, 3, 1.0) == Correction(3, 1.0)
    # What is there by now is what we want as well.
    assert looked_at(known, 3, 1.0, differs=False) == known


def test_when_it_is_worth_a_look_without_news() -> None:
    assert write(None, 2, 0.0).again(0.0) is None
    lost = written(None, 2, 0.0, answer=7)
    assert (lost.again(0.0), lost.again(0.25), lost.again(9.0)) == (1.0, 0.75, 0.0)
    undone = looked_at(fought(step=0.0, times=4), 7, 0.25, differs=True)
    assert undone is not None
    assert (undone.again(0.25), undone.again(9.0)) == (0.75, 0.0)
    ended = fought(step=0.0, times=5)
    assert ended.again(ended.at + 5.0) == 25.0


def test_all_that_was_written_in_a_field_has_to_stay() -> None:
    known = write(write(None, {"a": {"b": 1}}, 0.0), {"a": {"c": 2}}, 1.0)
    assert known.wrote == {"a": {"b": 1, "c": 2}}
    assert write(known, "text", 2.0).wrote == "text"


def test_what_was_written_is_not_shown() -> None:
    assert "key" not in repr(write(None, {"tls.key": "a private key"}, 0.0))


def managed(*entries: Json) -> Json:
    return {"metadata": {"managedFields": [*entries]}}


def entry(manager: str, fields: Json, **more: Any) -> Json:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


REPLICAS: Json = {"f:spec": {"f:replicas": {}}}
OTHERS: Json = {"f:metadata": {"f:labels": {".": {}, "f:a.b/c": {}}}}


@pytest.mark.parametrize(
    ("entries", "path", "named"),
    [
        ([entry(OURS, OTHERS), entry("hpa", REPLICAS)], ("spec", "replicas"), ["hpa"]),
        ([entry(OURS, REPLICAS), entry("hpa", REPLICAS)], ("spec", "replicas"), ["hpa"]),
        ([entry("b", OTHERS), entry("a", OTHERS)], ("metadata", "labels", "a.b/c"), ["a", "b"]),
        ([entry("kubectl", REPLICAS, subresource="scale")], ("spec", "replicas"), ["kubectl"]),
        # Changed on its way to the server.
        ([entry(OURS, REPLICAS), entry("other", OTHERS)], ("spec", "replicas"), []),
        # Nobody has what is gone: it was the last one to write.
        (
            [
                entry("first", OTHERS, time="2026-01-01T00:00:00Z"),
                entry("last", OTHERS, time="2026-01-03T00:00:00Z"),
                entry("kcm", REPLICAS, time="2026-01-04T00:00:00Z", subresource="status"),
            ],
            ("spec", "selector"),
            ["last"],
        ),
        ([], ("spec", "replicas"), []),
        ([{"operation": "Update"}], ("spec", "replicas"), []),
    ],
)
def test_who_is_named(entries: list[Json], path: Field, named: list[str]) -> None:
    assert rivals(managed(*entries), [path], OURS) == named


def test_nobody_is_named_where_the_server_keeps_no_fields() -> None:
    assert rivals({"metadata": {}}, [("spec",)], OURS) == []
    assert rivals({"metadata": {"managedFields": None}}, [("spec",)], OURS) == []
