from datetime import UTC, datetime

from hack.bench.controller.subjects import first

LOG = """\
{"event": "starting", "timestamp": "2026-01-01T00:00:00Z"}
{"workers": 4, "event": "synced", "timestamp": "2026-01-01T00:00:01.500000Z"}
{"event": "status_changed", "timestamp": "2026-01-01T00:00:02Z"}
"""


def test_time_begins_with_the_first_sync() -> None:
    assert first(LOG, "synced") == datetime(2026, 1, 1, 0, 0, 1, 500000, tzinfo=UTC)
