"""One handler's buffer."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from informers.listener import Added, Listener, Updated
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.listerwatcher import config_map
from tests.support.picture import Picture

A, B = config_map("a", 1), config_map("a", 2)


@pytest.fixture
def picture() -> Picture:
    picture = Picture()
    picture.gate.clear()
    return picture


@pytest.fixture
def listener(clock: FakeClock, picture: Picture, _no_stray_threads: None) -> Iterator[Listener]:
    made = Listener(picture, clock, "test", resync_period=10, guard=lambda body: body())
    made.thread.start()
    yield made
    made.stop()
    picture.gate.set()
    assert made.join(5)


def test_a_handler_that_is_far_behind_is_named_once(listener: Listener) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            listener.notify([Updated(A, B)] * 1000)
    assert [(entry["event"], entry["thread"]) for entry in logs] == [("slow_handler", "test")]


def test_a_long_initial_list_is_no_sign_of_that(listener: Listener, picture: Picture) -> None:
    with capture_logs() as logs:
        listener.notify([Added(config_map(f"n{n}"), initial=True) for n in range(5000)])
        listener.notify([Updated(A, B)])
    assert logs == []
    assert not listener.caught_up()
    picture.gate.set()
    eventually(listener.caught_up)


def test_a_resync_is_due_once_per_period(listener: Listener, clock: FakeClock) -> None:
    now = clock.monotonic()
    due = [listener.is_due(now + seconds) for seconds in (9.9, 10, 10.1, 19.9, 20, 35, 44, 45)]
    assert due == [False, True, False, False, True, True, False, True]


def test_a_stopped_listener_takes_nothing(listener: Listener) -> None:
    listener.stop()
    listener.notify([Updated(A, B)])
    assert len(listener) == 0
