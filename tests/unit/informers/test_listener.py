"""One handler's buffer."""

import threading
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from informers.handlers import ResourceEventHandlerFuncs
from informers.listener import Added, Listener, Updated
from informers.store import Object
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


def test_a_handler_that_is_far_behind_is_named_once_until_it_has_caught_up(
    listener: Listener, picture: Picture
) -> None:
    listener.notify([Updated(A, B)])
    eventually(lambda: len(listener) == 0, what="one is being handled")
    with capture_logs() as logs:
        listener.notify([Updated(A, B)] * 1024)
        assert logs == []
        for _ in range(2):
            listener.notify([Updated(A, B)])
            listener.notify([Updated(A, B)] * 1000)
    assert [(entry["thread"], entry["waiting"]) for entry in logs] == [("test", 1025)]
    picture.gate.set()
    eventually(lambda: len(picture.events) == 3027)
    picture.gate.clear()
    with capture_logs() as logs:
        listener.notify([Updated(A, B)] * 1026)
    assert [entry["event"] for entry in logs] == ["slow_handler"]


def test_a_long_initial_list_is_no_sign_of_that(listener: Listener, picture: Picture) -> None:
    with capture_logs() as logs:
        listener.notify([Added(config_map(f"n{n}"), initial=True) for n in range(5000)])
        listener.notify([Updated(A, B)])
    assert logs == []
    assert not listener.caught_up()
    picture.gate.set()
    eventually(listener.caught_up)


def test_a_handler_that_raised_at_the_beginning_is_named_too(clock: FakeClock) -> None:
    gate = threading.Event()

    def fail_once(obj: Object, _initial: bool) -> None:  # noqa: FBT001 - client-go's
        if obj["metadata"]["name"] == "bad":
            raise ValueError("not this one")

    def hang(_old: Object, _new: Object) -> None:
        gate.wait(5)

    handler = ResourceEventHandlerFuncs(add=fail_once, update=hang)
    listener = Listener(handler, clock, "test", resync_period=0, guard=lambda body: body())
    listener.thread.start()
    listener.notify([Added(config_map("bad"), initial=True), Added(A, initial=True)])
    clock.await_waiters()
    clock.step(1)
    eventually(lambda: len(listener) == 0)
    listener.notify([Updated(A, B)])
    eventually(lambda: len(listener) == 0)
    with capture_logs() as logs:
        listener.notify([Updated(A, B)] * 1025)
    assert [entry["event"] for entry in logs] == ["slow_handler"]
    assert not listener.caught_up()
    listener.stop()
    gate.set()
    assert listener.join(5)


def test_a_stop_does_not_wait_until_a_handler_that_raised_has_rested(clock: FakeClock) -> None:
    def fail(_obj: Object, _initial: bool) -> None:  # noqa: FBT001 - client-go's
        raise ValueError("not this one")

    handler = ResourceEventHandlerFuncs(add=fail)
    listener = Listener(handler, clock, "test", resync_period=0, guard=lambda body: body())
    listener.thread.start()
    listener.notify([Added(A, initial=True)])
    clock.await_waiters()
    listener.stop()
    assert listener.join(5)


def test_a_resync_is_due_once_per_period(listener: Listener, clock: FakeClock) -> None:
    now = clock.monotonic()
    due = [listener.is_due(now + seconds) for seconds in (9.9, 10, 10.1, 19.9, 20, 35, 44, 45)]
    assert due == [False, True, False, False, True, True, False, True]


def test_a_stopped_listener_takes_nothing(listener: Listener) -> None:
    listener.stop()
    listener.notify([Updated(A, B)])
    assert len(listener) == 0
