"""The shared informer: what handlers are told, when, and how it ends."""

import gc
import random
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from structlog.testing import capture_logs

from informers import mutation
from informers.errors import ConnectionFailed
from informers.handlers import ResourceEventHandlerFuncs
from informers.processing import apply
from informers.shared import STOP_TIMEOUT, SharedIndexInformer
from informers.store import IndexFunc, Object
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.fakesource import FakeSource
from tests.support.listerwatcher import CONFIG_MAPS
from tests.support.picture import Picture

Make = Callable[..., SharedIndexInformer]


@pytest.fixture
def source() -> FakeSource:
    source = FakeSource(streaming=True)
    source.write("a", 1)
    source.write("b", 1)
    return source


@pytest.fixture
def make(clock: FakeClock, source: FakeSource, _no_stray_threads: None) -> Iterator[Make]:
    """Make informers; they are stopped at the end."""
    made: list[SharedIndexInformer] = []

    def build(**options: Any) -> SharedIndexInformer:
        rng = random.Random(1)
        made.append(SharedIndexInformer(CONFIG_MAPS, source, clock=clock, rng=rng, **options))
        return made[-1]

    yield build
    for informer in made:
        informer.stop()
        assert informer.join() == []


class Resyncs:
    """Counts what a handler is shown again."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's
        pass

    def on_update(self, old: Object, new: Object) -> None:
        self.seen.append(("sync " if old is new else "update ") + new["metadata"]["name"])

    def on_delete(self, obj: object) -> None:
        pass

    def has_seen(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.seen) == count


class TestEvents:
    def test_begin_with_what_is_there(self, make: Make, source: FakeSource) -> None:
        informer, picture = make(), Picture()
        registration = informer.add_event_handler(picture)
        assert not registration.has_synced()
        informer.start()
        eventually(registration.has_synced)
        source.write("c", 1)
        source.write("a", 2)
        source.remove("b")
        eventually(lambda: len(picture.events) == 5)
        assert picture.events == ["initial a", "initial b", "add c", "update a", "delete b"]

    def test_missed_ones_are_made_up_by_a_list(
        self, make: Make, source: FakeSource, clock: FakeClock
    ) -> None:
        informer, picture = make(), Picture()
        informer.add_event_handler(picture)
        informer.start()
        eventually(lambda: len(picture.events) == 2)
        source.expire(in_stream=True)
        source.remove("a")
        source.write("b", 2)
        source.write("c", 1)
        clock.await_waiters()
        clock.step(5)
        eventually(lambda: len(picture.events) == 5)
        assert picture.events[2:] == ["lost a", "update b", "add c"]
        assert (picture.faults, len(informer.store)) == ([], 2)

    def test_of_a_store_are_never_ahead_of_it(self, make: Make) -> None:
        informer = make()
        missing: list[str] = []

        def check(obj: Object, _initial: bool) -> None:  # noqa: FBT001 - client-go's
            if informer.store.get(f"default/{obj['metadata']['name']}") is None:
                missing.append(obj["metadata"]["name"])

        registration = informer.add_event_handler(ResourceEventHandlerFuncs(add=check))
        informer.start()
        eventually(registration.has_synced)
        assert missing == []

    def test_of_what_a_list_finds_unchanged_are_for_those_due_a_resync(
        self, make: Make, source: FakeSource, clock: FakeClock
    ) -> None:
        informer, due, never = make(), Resyncs(), Resyncs()
        informer.add_event_handler(due, resync_period=10)
        informer.add_event_handler(never)
        informer.start()
        eventually(informer.has_synced)
        clock.await_waiters()
        clock.step(10)
        eventually(due.has_seen(2))
        source.expire(in_stream=False)
        source.write("b", 2)
        clock.await_waiters(2)
        clock.step(5)
        eventually(due.has_seen(4))
        assert due.seen == ["sync a", "sync b", "update a", "update b"]
        assert never.seen == ["update b"]


def held_up(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Hold up a change between the store and the handlers.

    The first event says that it is there, and the second lets it go on.
    """
    stored, told = threading.Event(), threading.Event()

    def apply_and_wait(*args: Any, **options: Any) -> Any:
        notifications = apply(*args, **options)
        stored.set()
        assert told.wait(5)
        return notifications

    monkeypatch.setattr("informers.shared.apply", apply_and_wait)
    return stored, told


class TestHandlers:
    def test_that_come_late_get_everything_once(self, make: Make, source: FakeSource) -> None:
        informer = make()
        informer.start()
        eventually(informer.has_synced)
        late = Picture()
        registration = informer.add_event_handler(late)
        source.write("c", 1)
        eventually(lambda: len(late.events) == 3)
        assert late.events == ["initial a", "initial b", "add c"]
        assert registration.has_synced()

    def test_that_hang_keep_nobody_waiting(self, make: Make) -> None:
        informer, stuck, free = make(), Picture(), Picture()
        stuck.gate.clear()
        slow = informer.add_event_handler(stuck)
        informer.add_event_handler(free)
        informer.start()
        eventually(lambda: len(free.events) == 2)
        assert (stuck.events, slow.has_synced(), informer.has_synced()) == ([], False, True)
        stuck.gate.set()
        eventually(slow.has_synced)

    def test_that_come_during_a_change_hear_of_it_once(
        self, make: Make, source: FakeSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        informer, late = make(), Picture()
        informer.start()
        eventually(informer.has_synced)
        stored, told = held_up(monkeypatch)
        source.write("c", 1)
        assert stored.wait(5)
        adding = threading.Thread(target=informer.add_event_handler, args=(late,))
        adding.start()
        # In the store and not yet told to anybody: the new handler has to wait.
        adding.join(0.05)
        told.set()
        adding.join(5)
        eventually(lambda: len(late.events) == 3)
        source.write("d", 1)
        eventually(lambda: len(late.events) == 4)
        assert (late.events[-1], late.faults) == ("add d", [])

    def test_that_go_during_a_change_wait_until_all_are_told(
        self, make: Make, source: FakeSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Or they would be taken off while somebody goes through them."""
        informer = make()
        registration = informer.add_event_handler(Picture())
        informer.start()
        eventually(registration.has_synced)
        stored, told = held_up(monkeypatch)
        source.write("c", 1)
        assert stored.wait(5)
        going = threading.Thread(target=registration.remove)
        going.start()
        going.join(0.05)
        assert going.is_alive()
        told.set()
        going.join(5)
        assert registration.listener.is_stopped

    def test_that_raise_lose_that_event_and_rest(self, make: Make, clock: FakeClock) -> None:
        informer, other = make(), Picture()
        seen: list[str] = []

        def fail_on_a(obj: Object, _initial: bool) -> None:  # noqa: FBT001 - client-go's
            seen.append(obj["metadata"]["name"])
            if seen[-1] == "a":
                raise ZeroDivisionError("no a, please")

        failing = informer.add_event_handler(ResourceEventHandlerFuncs(add=fail_on_a))
        informer.add_event_handler(other)
        with capture_logs() as logs:
            informer.start()
            eventually(lambda: seen)
            clock.await_waiters()
            assert seen == ["a"]
            clock.step(0.99)
            clock.await_waiters()
            assert seen == ["a"]
            clock.step(0.02)
            eventually(lambda: seen == ["a", "b"])
        eventually(lambda: len(other.events) == 2)
        assert [entry["event"] for entry in logs] == ["handler_failed"]
        assert informer.has_synced()
        assert not failing.has_synced()

    def test_can_be_taken_off(self, make: Make, source: FakeSource) -> None:
        informer, gone, kept = make(), Picture(), Picture()
        registration = informer.add_event_handler(gone)
        informer.add_event_handler(kept)
        informer.start()
        eventually(lambda: len(gone.events) == len(kept.events) == 2)
        registration.remove()
        registration.remove()
        source.write("c", 1)
        eventually(lambda: len(kept.events) == 3)
        assert len(gone.events) == 2

    def test_of_another_informer_are_not_taken_off(self, make: Make) -> None:
        informer, other, picture = make(), make(), Picture()
        registration = informer.add_event_handler(picture)
        other.remove_event_handler(registration)
        informer.start()
        eventually(registration.has_synced)

    def test_count_twice_when_added_twice(self, make: Make) -> None:
        informer, seen = make(), []
        handler = ResourceEventHandlerFuncs(add=lambda obj, _: seen.append(obj))
        one, two = informer.add_event_handler(handler), informer.add_event_handler(handler)
        informer.start()
        eventually(lambda: one.has_synced() and two.has_synced())
        assert len(seen) == 4

    def test_that_come_and_go_leave_nothing_behind(self, make: Make) -> None:
        informer = make()
        informer.start()
        eventually(informer.has_synced)
        gone: list[weakref.ref[Picture]] = []
        for _ in range(20):
            picture = Picture()
            gone.append(weakref.ref(picture))
            assert informer.add_event_handler(picture).shut_down(5)
        del picture
        gc.collect()
        # The last one is looked at when the next is taken off.
        assert [ref() for ref in gone[:-1]] == [None] * 19
        assert informer.handler_queued_items == 0


class TestShutDownOfAHandler:
    def test_waits_for_the_call_under_way(self, make: Make, source: FakeSource) -> None:
        informer, slow, other = make(), Picture(), Picture()
        slow.gate.clear()
        registration = informer.add_event_handler(slow)
        informer.add_event_handler(other)
        informer.start()
        eventually(lambda: len(other.events) == 2)
        eventually(lambda: len(registration.listener) == 1, what="a call is under way")
        assert not registration.shut_down(0.01)
        slow.gate.set()
        assert registration.shut_down()
        assert slow.events == ["initial a"]
        source.write("c", 1)
        eventually(lambda: len(other.events) == 3)
        assert slow.events == ["initial a"]
        assert registration.shut_down()

    def test_from_the_handler_itself_is_refused(self, make: Make) -> None:
        informer = make()
        said: list[str] = []

        def shut_down(_obj: Object, _initial: bool) -> None:  # noqa: FBT001 - client-go's
            with pytest.raises(RuntimeError, match="wait for its own end"):
                registration.shut_down()
            said.append("refused")

        registration = informer.add_event_handler(ResourceEventHandlerFuncs(add=shut_down))
        informer.start()
        eventually(registration.has_synced)
        assert said == ["refused"] * 2

    def test_waits_for_nothing_before_the_start_or_after_the_end(self, make: Make) -> None:
        informer, early, late = make(), Picture(), Picture()
        assert informer.add_event_handler(early).shut_down()
        registration = informer.add_event_handler(late)
        informer.start()
        eventually(registration.has_synced)
        informer.stop()
        assert informer.join() == []
        assert registration.shut_down()
        assert early.events == []


class TestResync:
    def test_shows_everything_again_without_a_request(
        self, make: Make, source: FakeSource, clock: FakeClock
    ) -> None:
        informer, handler, other = make(), Resyncs(), Resyncs()
        registration = informer.add_event_handler(handler, resync_period=60)
        informer.add_event_handler(other)
        informer.start()
        eventually(registration.has_synced)
        for n in range(1, 4):
            clock.await_waiters()
            clock.step(60)
            eventually(handler.has_seen(2 * n))
        assert handler.seen == ["sync a", "sync b"] * 3
        assert (other.seen, source.lists, source.watches) == ([], 0, 1)

    def test_is_counted_from_the_first_sync(
        self, make: Make, source: FakeSource, clock: FakeClock
    ) -> None:
        informer, picture = make(), Picture()
        informer.add_event_handler(picture, resync_period=10)
        clock.step(60)
        informer.start()
        eventually(informer.has_synced)
        clock.await_waiters()
        clock.step(10)
        eventually(lambda: len(picture.events) >= 4)
        source.write("c", 1)
        eventually(lambda: "add c" in picture.events)
        assert picture.events == ["initial a", "initial b", "sync a", "sync b", "add c"]

    def test_periods_are_each_handlers_own(self, make: Make, clock: FakeClock) -> None:
        informer, often, seldom = make(), Resyncs(), Resyncs()
        informer.add_event_handler(often, resync_period=10)
        informer.add_event_handler(seldom, resync_period=30)
        informer.start()
        eventually(informer.has_synced)
        for n in range(1, 7):
            clock.await_waiters()
            clock.step(10)
            eventually(often.has_seen(2 * n))
        eventually(lambda: len(seldom.seen) == 4)

    def test_is_left_out_when_nobody_is_due(self, make: Make, clock: FakeClock) -> None:
        informer = make()
        often = informer.add_event_handler(Resyncs(), resync_period=10)
        informer.add_event_handler(Resyncs(), resync_period=30)
        often.remove()
        informer.start()
        eventually(informer.has_synced)
        clock.await_waiters()
        before = informer.processing_latency.read()
        clock.step(10)
        clock.await_waiters()
        assert informer.processing_latency.read() == before

    def test_period_of_the_informer_is_the_default(self, make: Make, clock: FakeClock) -> None:
        informer, default, never = make(resync_period=20), Resyncs(), Resyncs()
        informer.add_event_handler(default)
        informer.add_event_handler(never, resync_period=0)
        informer.start()
        eventually(informer.has_synced)
        clock.await_waiters()
        clock.step(20)
        eventually(lambda: len(default.seen) == 2)
        assert never.seen == []


class TestStart:
    def test_may_come_twice(self, make: Make) -> None:
        informer = make()
        informer.start()
        informer.start()
        eventually(informer.has_synced)

    def test_closes_the_time_for_settings(self, make: Make) -> None:
        informer = make()
        informer.start()
        with pytest.raises(RuntimeError, match="started already"):
            informer.set_transform(lambda obj: obj)
        with pytest.raises(RuntimeError, match="started already"):
            informer.set_watch_error_handler(lambda _resource, _error: None)

    def test_leaves_time_for_indexers(self, make: Make) -> None:
        informer = make()
        informer.start()
        eventually(informer.has_synced)
        informer.add_indexers({"value": lambda obj: [obj["data"]["value"]]})
        assert len(informer.store.by_index("value", "1")) == 2

    def test_uses_the_transform(self, make: Make) -> None:
        informer = make()
        informer.set_transform(lambda obj: {**obj, "data": "of one that was set before"})
        informer.set_transform(lambda obj: {**obj, "data": None})
        informer.start()
        eventually(informer.has_synced)
        assert [obj["data"] for obj in informer.store.list()] == [None, None]

    def test_uses_the_error_handler(self, make: Make, source: FakeSource) -> None:
        errors: list[str] = []
        source.interrupt()
        informer = make()
        informer.set_watch_error_handler(
            lambda resource, error: errors.append(f"{resource.plural}: {error}")
        )
        informer.start()
        eventually(lambda: errors)
        assert errors == ["configmaps: https://fake: closed"]
        assert isinstance(informer.last_error, ConnectionFailed)


def hangs_on_c(gate: threading.Event, reached: threading.Event) -> IndexFunc:
    """An index function that sets `reached` when it is given "c", and waits for `gate`."""

    def index(obj: Object) -> list[str]:
        if obj["metadata"]["name"] == "c" and not gate.is_set():
            reached.set()
            assert gate.wait(5)
        return []

    return index


class TestStop:
    def test_ends_all_threads_and_takes_no_more(self, make: Make) -> None:
        informer, picture = make(), Picture()
        registration = informer.add_event_handler(picture)
        informer.start()
        eventually(registration.has_synced)
        assert informer.is_alive()
        informer.stop()
        assert informer.join() == []
        assert not informer.is_alive()
        registration.remove()
        with pytest.raises(RuntimeError, match="has stopped"):
            informer.add_event_handler(picture)
        with pytest.raises(RuntimeError, match="has stopped"):
            informer.add_indexers({})
        informer.start()
        assert not informer.is_alive()

    def test_before_the_start_is_final(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        informer = make()
        started: list[threading.Thread] = []
        informer.add_event_handler(Picture())
        monkeypatch.setattr(threading.Thread, "start", started.append)
        informer.stop()
        informer.start()
        assert (started, informer.join(), informer.is_alive()) == ([], [], False)

    def test_names_a_handler_that_does_not_return(self, make: Make) -> None:
        informer, stuck = make(), Picture()
        stuck.gate.clear()
        registration = informer.add_event_handler(stuck)
        informer.start()
        eventually(informer.has_synced)
        eventually(lambda: len(registration.listener) == 1, what="a call is under way")
        informer.stop()
        assert informer.join(0.05) == ["informer-configmaps/handler-1"]
        stuck.gate.set()

    def test_from_a_handler_does_not_wait_for_itself(self, make: Make) -> None:
        informer, left = make(), []

        def stop(_obj: Object, _initial: bool) -> None:  # noqa: FBT001 - client-go's
            informer.stop()
            left.append(informer.join())

        informer.add_event_handler(ResourceEventHandlerFuncs(add=stop))
        informer.start()
        eventually(lambda: left)
        assert left == [[]]

    def test_drops_what_handlers_have_not_seen(self, make: Make) -> None:
        informer, slow = make(), Picture()
        slow.gate.clear()
        registration = informer.add_event_handler(slow)
        informer.start()
        eventually(informer.has_synced)
        informer.stop()
        eventually(lambda: registration.listener.is_stopped)
        slow.gate.set()
        assert informer.join() == []
        assert len(slow.events) <= 1

    def test_ends_handlers_after_what_feeds_them(self, make: Make, source: FakeSource) -> None:
        gate, reached = threading.Event(), threading.Event()
        informer = make(indexers={"slow": hangs_on_c(gate, reached)})
        registration = informer.add_event_handler(Picture())
        informer.start()
        eventually(registration.has_synced)
        source.write("c", 1)
        assert reached.wait(5)
        informer.stop()
        joined: list[list[str]] = []
        joiner = threading.Thread(target=lambda: joined.append(informer.join()))
        joiner.start()
        handler = registration.listener
        # Nobody who may still be told of what is being processed has to go.
        assert (handler.thread.is_alive(), handler.is_stopped, joined) == (True, False, [])
        gate.set()
        joiner.join(5)
        assert joined == [[]]
        assert not handler.thread.is_alive()

    def test_does_not_wait_for_an_index_function_that_hangs(
        self, make: Make, source: FakeSource
    ) -> None:
        gate, reached = threading.Event(), threading.Event()
        informer = make(indexers={"slow": hangs_on_c(gate, reached)})
        registration = informer.add_event_handler(Picture())
        informer.start()
        eventually(registration.has_synced)
        source.write("c", 1)
        assert reached.wait(5)
        informer.start()
        informer.stop()
        with ThreadPoolExecutor(1) as pool:
            joining = pool.submit(informer.join, 0.05)
            # Were it to wait for the lock, the gate would have to open first.
            late = joining.result(2)
            gate.set()
        assert {"informer-configmaps/processor", "informer-configmaps/handler-1"} <= {*late}
        assert informer.join() == []

    def test_has_two_seconds(self) -> None:
        assert STOP_TIMEOUT == 2


class Deaths:
    """What an informer's owner is told of its end, and what it finds then."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool, bool]] = []

    def __call__(self, informer: SharedIndexInformer, error: BaseException) -> None:
        known = informer.failure is error
        self.told.append((repr(error), known, informer.settled.is_set()))


def broken(_obj: Object) -> list[str]:
    """An index function must not raise; here is what follows when one does."""
    raise ValueError("a bug")


def broken_by_c(obj: Object) -> list[str]:
    return broken(obj) if obj["metadata"]["name"] == "c" else []


class TestDeath:
    def test_of_a_thread_is_seen(self, make: Make) -> None:
        deaths = Deaths()
        informer = make(indexers={"broken": broken}, on_failure=deaths)
        with capture_logs() as logs:
            informer.start()
            eventually(lambda: "informer_failed" in [entry["event"] for entry in logs])
        eventually(lambda: not informer.is_alive())
        assert deaths.told == [("ValueError('a bug')", True, True)]
        assert str(informer.failure) == "a bug"
        assert informer.settled.is_set()
        assert not informer.has_synced()

    def test_of_one_thread_is_seen_while_another_hangs(
        self, make: Make, source: FakeSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        interrupt = source.interrupt
        known: list[str] = []
        informer = make(indexers={"broken": broken_by_c})
        monkeypatch.setattr(source, "interrupt", lambda: known.append(str(informer.failure)))
        informer.start()
        eventually(informer.has_synced)
        # By what comes from the watch, so that its reader is sure to wait for more.
        source.write("c", 1)
        eventually(lambda: not informer.is_alive())
        eventually(lambda: informer.join(0) == ["informer-configmaps/reflector"])
        assert known == ["a bug"]
        interrupt()

    def test_is_told_before_a_log_line_that_fails(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class BrokenLog:
            def exception(self, *_: object, **__: object) -> None:
                raise BrokenPipeError

        monkeypatch.setattr("informers.shared._log", BrokenLog())
        monkeypatch.setattr(threading, "excepthook", lambda _: None)
        deaths = Deaths()
        informer = make(indexers={"broken": broken}, on_failure=deaths)
        informer.start()
        assert eventually(lambda: deaths.told) == [("ValueError('a bug')", True, True)]
        eventually(lambda: not informer.is_alive())

    def test_is_logged_even_if_who_is_told_raises(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def complain(_informer: SharedIndexInformer, _error: BaseException) -> None:
            raise RuntimeError("the owner's own bug")

        raised: list[str] = []
        monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(str(args[1])))
        informer = make(indexers={"broken": broken}, on_failure=complain)
        with capture_logs() as logs:
            informer.start()
            eventually(lambda: raised)
        failed = [entry for entry in logs if entry["event"] == "informer_failed"]
        assert [entry["exc_info"] for entry in failed] == [informer.failure]
        assert raised == ["the owner's own bug"]

    def test_of_handlers_threads_is_told_once(self, make: Make) -> None:
        deaths = Deaths()
        informer = make(on_failure=deaths)

        def leave(_obj: Object, _initial: bool) -> None:  # noqa: FBT001 - client-go's
            raise SystemExit(3)

        for _ in range(2):
            informer.add_event_handler(ResourceEventHandlerFuncs(add=leave))
        with capture_logs() as logs:
            informer.start()
            eventually(lambda: not informer.is_alive())
            assert informer.join() == []
        assert deaths.told == [("SystemExit(3)", True, True)]
        assert "informer_failed" in [entry["event"] for entry in logs]

    def test_is_no_stop(self, make: Make) -> None:
        deaths = Deaths()
        informer = make(on_failure=deaths)
        informer.start()
        eventually(informer.has_synced)
        informer.stop()
        assert informer.join() == []
        assert (deaths.told, informer.failure) == ([], None)


class TestMutation:
    """`mutations` is what the detector found in this test, see tests/conftest.py."""

    @staticmethod
    def change(obj: Object, _initial: bool) -> None:  # noqa: FBT001 - client-go's
        obj["data"]["changed"] = "by a handler"

    def test_ends_the_informer(
        self, make: Make, mutations: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mutation, "PERIOD", 0.001)
        deaths = Deaths()
        informer = make(on_failure=deaths)
        informer.add_event_handler(ResourceEventHandlerFuncs(add=self.change))
        informer.start()
        eventually(lambda: deaths.told)
        eventually(lambda: not informer.is_alive())
        assert isinstance(informer.failure, mutation.MutationError)
        assert "default/a at .data.changed" in str(informer.failure)
        mutations.clear()

    def test_is_found_at_the_end_at_the_latest(self, make: Make, mutations: list[str]) -> None:
        deaths = Deaths()
        informer = make(on_failure=deaths)
        handler = ResourceEventHandlerFuncs(add=self.change)
        registration = informer.add_event_handler(handler)
        informer.start()
        eventually(registration.has_synced)
        informer.stop()
        assert informer.join() == []
        (message,) = mutations
        assert "default/a at .data.changed, default/b at .data.changed" in message
        assert len(deaths.told) == 1
        mutations.clear()

    def test_is_not_looked_for_unless_asked(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(mutation.SWITCH)
        informer = make()
        registration = informer.add_event_handler(ResourceEventHandlerFuncs(add=self.change))
        informer.start()
        eventually(registration.has_synced)
        names = {thread.name for thread in threading.enumerate()}
        assert "informer-configmaps/processor" in names
        assert "informer-configmaps/mutations" not in names


@pytest.mark.parametrize("streaming", [True, False])
def test_each_object_that_arrives_is_transformed_once(
    make: Make, source: FakeSource, clock: FakeClock, *, streaming: bool
) -> None:
    source.supports_watch_list = streaming
    transformed: list[str] = []

    def transform(obj: Object) -> Object:
        transformed.append(f"{obj['metadata']['name']}{obj['metadata']['resourceVersion']}")
        return obj

    informer, picture = make(), Picture()
    informer.set_transform(transform)
    informer.add_event_handler(picture, resync_period=10)
    informer.start()
    eventually(lambda: len(picture.events) == 2)
    source.write("c", 1)
    eventually(lambda: len(picture.events) == 3)
    clock.await_waiters()
    clock.step(10)
    eventually(lambda: len(picture.events) == 6)
    source.expire(in_stream=False)
    source.remove("a")
    clock.await_waiters(2)
    clock.step(5)
    eventually(lambda: "lost a" in picture.events)
    assert transformed == ["a2", "b3", "c4", "b3", "c4"]


def test_the_age_of_the_last_message_grows(
    make: Make, source: FakeSource, clock: FakeClock
) -> None:
    informer = make()
    informer.start()
    eventually(informer.has_synced)
    clock.step(70)
    assert informer.seconds_since_last_message() == 70
    source.bookmark()
    eventually(lambda: informer.seconds_since_last_message() == 0)
