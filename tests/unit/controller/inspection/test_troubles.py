from datetime import datetime, timedelta

from controller.inspection.finding import Level
from controller.inspection.troubles import findings
from tests.support.objects import CREATED, etcd_storage
from tests.unit.controller.inspection.conftest import levels
from tests.unit.controller.inspection.test_rows import (
    DEGRADED,
    NOT_DEPLOYED,
    condition,
    status,
)

MADE = datetime.fromisoformat(CREATED)


def test_those_that_need_a_person_come_first_and_the_good_are_counted() -> None:
    waiting = etcd_storage("a", status=status(NOT_DEPLOYED))
    broken = etcd_storage("b", status=status(DEGRADED))
    first, second = findings([waiting, broken, etcd_storage("c", status=status())], MADE)
    assert (first.level, first.what) == (
        Level.FAIL,
        "b: PodsCannotStart: image x cannot be had",
    )
    assert (second.level, second.todo) == (Level.WARN, "kubectl describe etcdstorage a")
    (only,) = findings([etcd_storage("c", status=status())], MADE)
    assert (only.level, only.what) == (Level.OK, "none of 1 has a trouble")


def test_a_storage_that_nobody_looks_at_is_wrong_after_a_minute() -> None:
    (young,) = findings([etcd_storage()], MADE + timedelta(seconds=30))
    assert young.level is Level.WARN
    (old,) = findings([etcd_storage()], MADE + timedelta(seconds=61))
    assert (old.level, old.todo) == (Level.FAIL, "does the controller run?")


def test_what_troubles_many_alike_is_told_once() -> None:
    many = [etcd_storage(f"s-{n}", status=status(DEGRADED)) for n in range(25)]
    one = etcd_storage("t", status=status(NOT_DEPLOYED))
    first, second = findings([one, *many], MADE)
    assert first.what == "s-0 and 24 more: PodsCannotStart: image x cannot be had"
    assert first.todo == "kubectl describe etcdstorage s-0"
    assert second.what.startswith("t: CoreCAMissing: ")


def test_of_many_different_ones_some_are_told() -> None:
    many = [
        etcd_storage(
            f"s-{n}", status=status(condition("Degraded", "True", "DriftFight", f"field {n // 2}"))
        )
        for n in range(50)
    ]
    told = list(findings(many, MADE))
    assert levels(told) == ["FAIL"] * 20 + ["WARN"]
    assert told[-1].what == "10 more have a trouble"
