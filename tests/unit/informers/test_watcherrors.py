"""How loud a failed attempt is."""

import pytest
from structlog.testing import capture_logs

from informers.errors import ApiError, ConnectionFailed
from informers.resource import Resource
from informers.watcherrors import log_watch_error

SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", namespaced=True)


@pytest.mark.parametrize(
    ("error", "level", "event"),
    [
        (ApiError(410, "Expired", "too old"), "debug", "list_and_watch_expired"),
        (ApiError(410, "Gone", "gone"), "debug", "list_and_watch_expired"),
        (ApiError(403, "Forbidden", "no"), "warning", "list_and_watch_failed"),
        (ConnectionFailed("https://x", "no route"), "warning", "list_and_watch_failed"),
    ],
)
def test_what_servers_and_networks_do_is_one_line(
    error: Exception, level: str, event: str
) -> None:
    with capture_logs() as logs:
        log_watch_error(SETS, error)
    assert logs == [
        {"log_level": level, "event": event, "resource": "replicasets.apps", "error": str(error)}
    ]


def test_a_recovery_is_no_news_to_most() -> None:
    with capture_logs() as logs:
        log_watch_error(SETS, None)
    assert logs == [
        {"log_level": "debug", "event": "watching_again", "resource": "replicasets.apps"}
    ]


def test_what_only_a_programmer_can_mend_comes_with_its_traceback() -> None:
    error = ValueError("a transform that fails")
    with capture_logs() as logs:
        log_watch_error(SETS, error)
    assert [(one["log_level"], one["exc_info"]) for one in logs] == [("error", error)]
