"""A Lease, read and written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from controller.leaderelection.record import (
    LeaderElectionRecord,
    Lease,
    acquired,
    micro_time,
    released,
    renewed,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HELD = LeaderElectionRecord("a", 15, "2026-01-01T00:00:00.000000Z", "2026-01-01T01:00:00.5Z", 7)


def test_a_record_is_read_as_it_is_written() -> None:
    obj = {"metadata": {"resourceVersion": "12"}, "spec": HELD.spec()}
    assert Lease.of(obj) == Lease(HELD, "12")


@pytest.mark.parametrize("obj", [{}, {"spec": None}, {"spec": {}}, {"spec": {"strategy": "x"}}])
def test_every_field_may_be_absent(obj: dict[str, Any]) -> None:
    assert LeaderElectionRecord.of(obj) == LeaderElectionRecord("", None, None, None, 0)


def test_times_are_in_utc_and_have_microseconds() -> None:
    assert micro_time(NOW) == "2026-01-02T03:04:05.000678Z"
    assert micro_time(NOW.astimezone(timezone(timedelta(hours=5)))) == micro_time(NOW)


def test_who_acquires_counts_the_transition() -> None:
    time = micro_time(NOW)
    assert acquired(HELD, "b", 20, NOW) == LeaderElectionRecord("b", 20, time, time, 8)
    assert acquired(None, "b", 20, NOW) == LeaderElectionRecord("b", 20, time, time, 0)


def test_a_number_that_the_api_takes_no_successor_of_stays() -> None:
    """Or whoever edits it to that keeps everybody from leading."""
    full = replace(HELD, transitions=2**31 - 1)
    assert acquired(full, "b", 20, NOW).transitions == 2**31 - 1


def test_who_renews_keeps_all_but_the_time() -> None:
    assert renewed(HELD, 15, NOW) == replace(HELD, renew_time=micro_time(NOW))
    assert renewed(HELD, 30, NOW).lease_duration == 30


def test_who_releases_leaves_a_lease_of_nobody_that_ends_at_once() -> None:
    time = micro_time(NOW)
    assert released(HELD, NOW) == LeaderElectionRecord("", 1, time, time, 7)
