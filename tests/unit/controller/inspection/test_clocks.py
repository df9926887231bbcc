from datetime import timedelta

import pytest

from controller.inspection.clocks import finding
from tests.unit.controller.inspection.conftest import NOW


@pytest.mark.parametrize(
    ("apart", "level", "words"),
    [
        (timedelta(seconds=59), "OK", "agree"),
        (timedelta(minutes=5), "WARN", "0:05:00 behind"),
        (-timedelta(minutes=5), "WARN", "0:05:00 ahead of"),
        (timedelta(days=2), "FAIL", "2 days, 0:00:00 behind"),
    ],
)
def test_clocks_are_compared(apart: timedelta, level: str, words: str) -> None:
    found = finding(NOW + apart, NOW)
    assert (found.level.value, words in found.what) == (level, True), found


def test_a_server_without_a_clock_is_no_fault() -> None:
    assert finding(None, NOW).level.value == "UNKNOWN"
