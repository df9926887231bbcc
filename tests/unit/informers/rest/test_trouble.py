"""What is told, and how often."""

from structlog.testing import capture_logs

from informers.rest.trouble import Trouble


def test_each_state_is_told_once() -> None:
    trouble = Trouble("thing_unusable", path="/a")
    with capture_logs() as logs:
        for problem in (None, "gone", "gone", "empty", None, None, "empty"):
            trouble.tell(problem, line=1)
    assert logs == [
        {
            "event": "thing_unusable",
            "log_level": "warning",
            "path": "/a",
            "line": 1,
            "problem": problem,
        }
        for problem in ("gone", "empty", "empty")
    ]
