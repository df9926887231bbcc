"""What is said of initial events that are long in coming, and when."""

import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from informers.stall import StallWarning, stall
from tests.support.clock import FakeClock
from tests.support.listerwatcher import CONFIG_MAPS


@pytest.mark.parametrize(
    ("last_event", "now", "said"),
    [
        (3.0, 20.0, ("initial_events_do_not_begin", 10.0)),
        (10.0, 30.0, ("initial_events_do_not_begin", 20.0)),
        (15.0, 20.0, None),
        (15.0, 24.9, None),
        (15.0, 25.0, ("initial_events_do_not_end", 10.0)),
        (15.0, 40.0, ("initial_events_do_not_end", 25.0)),
    ],
)
def test_says_since_when_there_was_none(
    last_event: float, now: float, said: tuple[str, float] | None
) -> None:
    assert stall(10.0, last_event, now) == said


class Source:
    """When the last event came."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.at = clock.monotonic() - 5

    def __call__(self) -> float:
        return self.at

    def event(self) -> None:
        self.at = self.clock.monotonic()


def said(seconds: int, event: str) -> dict[str, Any]:
    about = {"resource": "configmaps", "seconds": seconds}
    return {"log_level": "warning", "event": event, **about}


def test_looks_every_ten_seconds(clock: FakeClock) -> None:
    source = Source(clock)

    def after(seconds: float) -> None:
        clock.await_waiters()
        clock.step(seconds)
        clock.await_waiters()

    with capture_logs() as logs, StallWarning(CONFIG_MAPS, clock, source):
        after(9.9)
        assert logs == []
        after(0.1)
        after(10)
        assert [one["seconds"] for one in logs] == [10, 20]
        after(4)
        source.event()
        after(6)
        assert len(logs) == 2
        after(10)
    assert logs == [
        said(10, "initial_events_do_not_begin"),
        said(20, "initial_events_do_not_begin"),
        said(16, "initial_events_do_not_end"),
    ]


@pytest.mark.parametrize("log", ["sound", "broken"])
def test_ends_with_its_context_whatever_the_log_does(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, log: str
) -> None:
    said = threading.Event()

    def say(*_: object, **__: object) -> None:
        said.set()
        if log == "broken":
            raise BrokenPipeError("nobody reads")

    monkeypatch.setattr("informers.stall._log.warning", say, raising=False)
    with StallWarning(CONFIG_MAPS, clock, Source(clock)):
        clock.await_waiters()
        clock.step(10)
        clock.await_waiters()
        assert said.is_set()
    assert clock.waiters == 0
