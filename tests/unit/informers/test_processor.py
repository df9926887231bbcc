"""Who is told of what, and how often each is shown everything again."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from informers.listener import Added, Deleted, Listener, Notification, Updated
from informers.processor import Processor
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.listerwatcher import config_map
from tests.support.picture import Picture

A1, A2, B1 = config_map("a", 1), config_map("a", 2), config_map("b", 1)


class Cast:
    """A processor whose default resync period is 10 s, and the pictures of its handlers."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.processor = Processor(clock, "test", 10.0, guard=lambda body: body())
        self.pictures: dict[Listener, Picture] = {}

    def add(self, period: float | None = None, *stored: dict[str, object]) -> Listener:
        picture = Picture()
        listener = self.processor.add(picture, period, stored)
        self.pictures[listener] = picture
        return listener

    def tell(self, *notifications: Notification) -> None:
        self.processor.distribute(notifications)

    def events(self, listener: Listener, count: int) -> list[str]:
        """What the handler was told, once that is at least `count` events."""
        events = self.pictures[listener].events
        eventually(lambda: len(events) >= count, what=f"{count} events of {events}")
        assert self.pictures[listener].faults == []
        return events


@pytest.fixture
def cast(clock: FakeClock, _no_stray_threads: None) -> Iterator[Cast]:
    made = Cast(clock)
    yield made
    for picture in made.pictures.values():
        picture.gate.set()
    made.processor.stop()
    assert all(listener.join(5) for listener in made.processor.listeners)


class TestEvents:
    def test_go_to_all_in_order(self, cast: Cast) -> None:
        early, late = cast.add(), cast.add()
        cast.processor.start()
        cast.tell(Added(A1, initial=True), Updated(A1, A2))
        cast.tell()
        cast.tell(Deleted(A2))
        for listener in (early, late):
            assert cast.events(listener, 3) == ["initial a", "update a", "delete a"]

    def test_wait_for_the_start(self, cast: Cast) -> None:
        listener = cast.add()
        cast.tell(Added(A1, initial=True))
        assert cast.processor.waiting() == 1
        cast.processor.start()
        assert cast.events(listener, 1) == ["initial a"]

    def test_begin_for_a_late_handler_with_what_is_stored(self, cast: Cast) -> None:
        cast.processor.start()
        first = cast.add()
        cast.tell(Added(A1, initial=True), Added(B1, initial=True))
        late = cast.add(None, A1, B1)
        cast.tell(Updated(A1, A2))
        assert cast.events(late, 3) == ["initial a", "initial b", "update a"]
        assert cast.events(first, 3) == ["initial a", "initial b", "update a"]

    def test_end_for_a_handler_that_is_taken_off(self, cast: Cast) -> None:
        cast.processor.start()
        gone, stays = cast.add(), cast.add()
        cast.processor.remove(gone)
        cast.processor.remove(gone)
        cast.tell(Added(A1, initial=False))
        assert cast.events(stays, 1) == ["add a"]
        assert gone.join(5)
        assert cast.pictures[gone].events == []

    def test_that_wait_are_counted_for_the_slowest(self, cast: Cast) -> None:
        assert cast.processor.waiting() == 0
        slow, quick = cast.add(), cast.add()
        cast.pictures[slow].gate.clear()
        cast.processor.start()
        cast.tell(Added(A1, initial=False))
        eventually(lambda: len(slow) == 0)
        cast.tell(Updated(A1, A2), Deleted(A2))
        cast.events(quick, 3)
        assert cast.processor.waiting() == 2


class TestResync:
    def test_is_for_those_who_are_due(self, cast: Cast) -> None:
        each, seldom, never = cast.add(10), cast.add(20), cast.add(0)
        cast.processor.start()
        cast.tell(Added(A1, initial=True))
        for _ in range(2):
            cast.clock.step(10)
            assert cast.processor.should_resync(cast.clock.monotonic())
            cast.tell(Updated(A1, A1))
        cast.tell(Updated(A1, A2))
        assert cast.events(each, 4) == ["initial a", "sync a", "sync a", "update a"]
        assert cast.events(seldom, 3) == ["initial a", "sync a", "update a"]
        assert cast.events(never, 2) == ["initial a", "update a"]

    def test_is_none_when_nobody_is_due(self, cast: Cast) -> None:
        cast.add(20)
        cast.clock.step(19.9)
        assert not cast.processor.should_resync(cast.clock.monotonic())
        cast.clock.step(0.1)
        assert cast.processor.should_resync(cast.clock.monotonic())
        assert not cast.processor.should_resync(cast.clock.monotonic())

    def test_leaves_out_a_handler_taken_off_since(self, cast: Cast) -> None:
        cast.processor.start()
        gone = cast.add(10)
        cast.clock.step(10)
        assert cast.processor.should_resync(cast.clock.monotonic())
        cast.processor.remove(gone)
        cast.tell(Updated(A1, A1))
        assert gone.join(5)
        assert cast.pictures[gone].events == []


class TestPeriods:
    @pytest.mark.parametrize(
        ("wanted", "period", "check"),
        [
            (None, 10, 10),
            (0, 0, 10),
            (-1, 0, 10),
            (30, 30, 10),
            (5, 5, 5),
            (0.2, 1, 1),
        ],
    )
    def test_before_the_start_are_what_is_asked_for_but_a_second_at_least(
        self, cast: Cast, wanted: float | None, period: float, check: float
    ) -> None:
        assert cast.add(wanted).resync_period == period
        assert cast.processor.check_period == check

    def test_that_are_too_short_are_told(self, cast: Cast) -> None:
        with capture_logs() as logs:
            cast.add(0.2)
            cast.add(1)
        assert [(one["wanted"], one["effective"]) for one in logs] == [(0.2, 1)]

    def test_that_were_given_stay_at_the_start(self, cast: Cast) -> None:
        listeners = [cast.add(period) for period in (30, None, 4, 0)]
        cast.processor.start()
        assert [listener.resync_period for listener in listeners] == [30, 10, 4, 0]
        assert cast.processor.check_period == 4

    def test_after_the_start_are_no_shorter_than_the_check_period(self, cast: Cast) -> None:
        cast.processor.start()
        with capture_logs() as logs:
            periods = [cast.add(wanted).resync_period for wanted in (None, 10, 11, 0)]
        assert (periods, logs) == ([10, 10, 11, 0], [])
        with capture_logs() as logs:
            assert cast.add(3).resync_period == 10
        assert [(one["event"], one["wanted"], one["effective"]) for one in logs] == [
            ("resync_period_changed", 3, 10)
        ]
        assert cast.processor.check_period == 10

    def test_are_set_by_the_first_who_asks_if_there_is_no_default(self, clock: FakeClock) -> None:
        processor = Processor(clock, "test", 0.0, guard=lambda body: body())
        assert processor.add(Picture(), None, []).resync_period == 0
        assert processor.check_period == 0
        processor.add(Picture(), 30, [])
        processor.add(Picture(), 60, [])
        assert processor.check_period == 30

    def test_are_void_if_nobody_asked_before_the_start(self, clock: FakeClock) -> None:
        processor = Processor(clock, "test", 0.0, guard=lambda body: body())
        processor.start()
        with capture_logs() as logs:
            listener = processor.add(Picture(), 30, [])
        assert listener.resync_period == 0
        assert [one["effective"] for one in logs] == [0]
        processor.stop()
        assert listener.join(5)


class TestStop:
    def test_names_everyone_whose_thread_may_run_on(self, cast: Cast) -> None:
        cast.processor.start()
        stays, hangs, ends = cast.add(), cast.add(), cast.add()
        cast.pictures[hangs].gate.clear()
        cast.tell(Added(A1, initial=False))
        eventually(lambda: len(hangs) == 0)
        cast.processor.remove(ends)
        assert ends.join(5)
        cast.processor.remove(hangs)
        cast.processor.stop()
        assert cast.processor.listeners == [stays, hangs]
        assert stays.join(5)
        assert not hangs.join(0)
        cast.pictures[hangs].gate.set()
        assert hangs.join(5)

    def test_misses_nobody_who_is_being_taken_off(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone, goes = cast.add(), cast.add()
        cast.processor.remove(gone)
        named: list[bool] = []

        def look() -> bool:
            named.append(goes in cast.processor.listeners)
            return False

        monkeypatch.setattr(gone.thread, "is_alive", look)
        cast.processor.remove(goes)
        assert named == [True]

    def test_before_the_start_leaves_nothing_to_wait_for(self, cast: Cast) -> None:
        listener = cast.add()
        cast.processor.stop()
        assert listener.join(0)

    def test_leaves_the_thread_of_a_late_handler_unstarted(self, cast: Cast) -> None:
        cast.processor.start()
        cast.processor.stop()
        assert cast.add().thread.ident is None

    def test_threads_are_named_by_their_number(self, cast: Cast) -> None:
        cast.processor.remove(cast.add())
        assert cast.add().thread.name == "test/handler-2"
