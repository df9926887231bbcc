from datetime import UTC, datetime

from hack.bench.controller.subjects import requests, synced
from hack.program import Metrics

LOG = """\
{"event": "starting", "timestamp": "2026-01-01T00:00:00Z"}
{"workers": 4, "event": "synced", "timestamp": "2026-01-01T00:00:01.500000Z"}
{"event": "status_changed", "timestamp": "2026-01-01T00:00:02Z"}
"""


def test_time_begins_with_the_first_sync() -> None:
    assert synced(LOG) == datetime(2026, 1, 1, 0, 0, 1, 500000, tzinfo=UTC)


def test_requests_are_counted_by_verb() -> None:
    text = (
        'rest_client_requests_total{code="201",method="POST"} 4\n'
        'rest_client_requests_total{code="409",method="POST"} 1\n'
        'rest_client_requests_total{code="200",method="GET"} 2\n'
    )
    assert requests(Metrics(text)) == {"POST": 5, "GET": 2}
