import random

import pytest

from hack.chaos.faults import CALM, Fate, Faults


def drawn(odds: float, method: str, *, watch: bool = False) -> list[Fate]:
    faults = Faults(random.Random(1), odds)
    found = [faults.draw(method, watch=watch) for _ in range(300)]
    assert faults.count == sum(fate != CALM for fate in found if fate.lasts is None)
    return found


@pytest.mark.parametrize("watch", [False, True])
def test_without_odds_the_server_answers(watch: bool) -> None:  # noqa: FBT001 - a parameter
    assert {*drawn(0.0, "PATCH", watch=watch)} == {CALM}


def test_a_write_meets_everything() -> None:
    found = drawn(1.0, "POST")
    assert {fate.answer for fate in found} == {None, 409, 429, 500}
    done = {(fate.reaches, fate.answer, fate.cut) for fate in found}
    # Carried out, and told as a failure or not at all.
    assert {(True, 500, False), (True, None, True), (False, None, True)} <= done
    assert max(fate.delay for fate in found) <= 1.0


def test_a_read_has_no_conflict() -> None:
    assert {fate.answer for fate in drawn(1.0, "GET")} == {None, 429, 500}


def test_a_watch_ends_in_its_midst() -> None:
    found = drawn(0.2, "GET", watch=True)
    lasting = [fate.lasts for fate in found if fate.lasts is not None]
    assert len(lasting) > 200
    assert 10 < sum(lasting) / len(lasting) < 30


def test_the_odds_are_those_asked_for() -> None:
    assert 30 < sum(fate != CALM for fate in drawn(0.2, "PUT")) < 90
