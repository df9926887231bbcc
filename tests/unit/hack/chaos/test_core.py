"""What the core is to have, beside what it has."""

import pytest

from hack.chaos.core import faults


@pytest.mark.parametrize(
    ("wanted", "there", "told"),
    [
        ({"a"}, {"a"}, []),
        ({"a", "b"}, {"b"}, ["key a is lost"]),
        ({"b"}, {"a", "b"}, ["key a should be gone"]),
    ],
)
def test_what_is_lost_or_left_is_told(wanted: set[str], there: set[str], told: list[str]) -> None:
    assert faults("key", wanted, there) == told
