"""Times as objects have them: ours, and those that stand in a status, whoever wrote them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from controller.api.times import read_time, rfc3339


@pytest.mark.parametrize("hours", [-5, 0, 2])
def test_a_moment_is_told_in_utc_to_the_second(hours: int) -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, 999999, UTC).astimezone(timezone(timedelta(hours=hours)))
    assert rfc3339(time) == "2026-01-02T03:04:05Z"
    assert read_time(rfc3339(time)) == time.replace(microsecond=0)


@pytest.mark.parametrize(
    "told", ["2026-01-02T03:04:05Z", "2026-01-02T05:04:05+02:00", "2026-01-02t03:04:05.0Z"]
)
def test_the_same_moment_however_it_is_told(told: str) -> None:
    assert read_time(told) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "told",
    [
        # The API server takes these for times.
        *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59Z"),
        *("2026-01-01T00:00:00+99:99", "2026-01-01T00:00:00z", "2026-01-01T00:00:00X1Z"),
        # Under a CRD without a schema anything may stand there.
        *("", "tomorrow", None, 7, ["2026-01-02T03:04:05Z"]),
    ],
)
def test_what_is_none(told: object) -> None:
    assert read_time(told) is None
