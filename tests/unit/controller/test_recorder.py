"""Events as the server gets them: counted, combined, bounded, and never in the way."""

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller import correlator
from controller import recorder as module
from controller.events import normal, warning
from controller.recorder import EventRecorder
from controller.resources import EVENTS
from informers import ApiError, Client, ConnectionFailed
from tests.support.clock import FakeClock, Unhurried
from tests.support.eventually import eventually
from tests.support.memoryserver import MemoryServer
from tests.support.objects import read
from workqueue import Clock

Json = dict[str, Any]

STORAGE = read()


class Gate(MemoryServer):
    """A server that answers nothing before `open` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.reached = threading.Event()

    def create(self, *args: Any, **kwargs: Any) -> Json:
        self.reached.set()
        assert self.open.wait(5)
        return super().create(*args, **kwargs)


class Moments:
    """A minute passes between any two looks."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def recorder(server: MemoryServer) -> Iterator[EventRecorder]:
    recorder = sending(server.client)
    yield recorder
    end(recorder)


def sending(client: Client, clock: Clock | None = None) -> EventRecorder:
    """Return a recorder for which no time passes between two tries, but by a clock."""
    return EventRecorder(
        client,
        "etcdproxy-controller",
        Moments(),
        clock=clock or Unhurried(),
        rng=random.Random(1),
    )


def flush(recorder: EventRecorder) -> None:
    """Return once all that was recorded before has been sent."""
    recorder._sender.submit(int).result(timeout=5)


def end(recorder: EventRecorder) -> None:
    """Stop, and wait for the thread, as only a test has to."""
    recorder.stop()
    recorder._sender.shutdown()


def test_an_event_as_kubectl_describe_wants_it(
    server: MemoryServer, recorder: EventRecorder
) -> None:
    recorder.record(STORAGE, warning("Broken", "x" * 2000))
    flush(recorder)
    (event,) = server.all(EVENTS)
    name = event["metadata"]["name"]
    assert name.startswith("etcd-name.")
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"] == {
        "apiVersion": "etcd.xmudrii.com/v1alpha1",
        "kind": "EtcdStorage",
        "name": "etcd-name",
        "uid": "uid-etcd-name",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Broken", "x" * 1024)
    assert (event["count"], event["source"]) == (1, {"component": "etcdproxy-controller"})
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-02T03:05:05Z"


def test_a_repetition_is_counted(server: MemoryServer, recorder: EventRecorder) -> None:
    for _ in range(3):
        recorder.record(STORAGE, normal("Synced", "done"))
    flush(recorder)
    (event,) = server.all(EVENTS)
    assert (event["count"], event["type"]) == (3, "Normal")
    assert event["firstTimestamp"] == "2026-01-02T03:05:05Z"
    assert event["lastTimestamp"] == "2026-01-02T03:07:05Z"


def test_what_differs_is_an_event_of_its_own(
    server: MemoryServer, recorder: EventRecorder
) -> None:
    other = read("other")
    reborn = read(meta={"uid": "another"})
    for storage, event in (
        (STORAGE, normal("A", "m")),
        (STORAGE, warning("A", "m")),
        (STORAGE, normal("B", "m")),
        (STORAGE, normal("A", "n")),
        (other, normal("A", "m")),
        (reborn, normal("A", "m")),
    ):
        recorder.record(storage, event)
    flush(recorder)
    assert [event["count"] for event in server.all(EVENTS)] == [1] * 6


def test_an_event_that_the_server_has_forgotten_is_written_anew(
    server: MemoryServer, recorder: EventRecorder
) -> None:
    recorder.record(STORAGE, normal("Synced", "done"))
    recorder.record(STORAGE, normal("Synced", "done"))
    flush(recorder)
    (first,) = server.all(EVENTS)
    server.remove(EVENTS, first["metadata"]["name"])
    recorder.record(STORAGE, normal("Synced", "done"))
    recorder.record(STORAGE, normal("Synced", "done"))
    flush(recorder)
    (second,) = server.all(EVENTS)
    assert second["metadata"]["name"] != first["metadata"]["name"]
    assert second["count"] == 4


@pytest.mark.parametrize(
    "failure",
    [
        ApiError(403, "Forbidden", "no"),
        ConnectionFailed("https://server", "refused"),
        KeyError("an error of our own"),
    ],
)
def test_a_failing_server_harms_nothing(failure: Exception) -> None:
    class Failing(MemoryServer):
        broken = True

        def create(self, *args: Any, **kwargs: Any) -> Json:
            if self.broken:
                raise failure
            return super().create(*args, **kwargs)

    server = Failing()
    recorder = sending(server.client)
    with capture_logs() as logs:
        recorder.record(STORAGE, normal("A", "m"))
        flush(recorder)
    assert [(log["event"], log["key"], log["reason"]) for log in logs] == [
        ("event_broke" if isinstance(failure, KeyError) else "event_not_sent", "etcd-name", "A")
    ]
    server.broken = False
    recorder.record(STORAGE, normal("A", "m"))
    flush(recorder)
    end(recorder)
    assert [event["count"] for event in server.all(EVENTS)] == [2]


def test_a_full_buffer_drops_and_does_not_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PENDING", 3)
    server = Gate()
    recorder = sending(server.client)
    with capture_logs() as logs:
        for number in range(5):
            recorder.record(STORAGE, normal("A", str(number)))
    assert [log["event"] for log in logs] == ["event_dropped", "event_dropped"]
    server.open.set()
    flush(recorder)
    # There is room again for those that come now.
    recorder.record(STORAGE, normal("A", "later"))
    flush(recorder)
    end(recorder)
    assert [event["message"] for event in server.all(EVENTS)] == ["0", "1", "2", "later"]


def test_no_more_events_are_remembered_than_there_is_room_for(
    server: MemoryServer, recorder: EventRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlator, "_REMEMBERED", 2)
    for message in ("a", "b", "a", "c", "a", "b"):
        recorder.record(STORAGE, normal("A", message))
    flush(recorder)
    counts = [(event["message"], event["count"]) for event in server.all(EVENTS)]
    assert counts == [("a", 3), ("b", 1), ("c", 1), ("b", 1)]


def test_stop_returns_at_once_and_drops_what_waits() -> None:
    server = Gate()
    recorder = sending(server.client)
    for number in range(3):
        recorder.record(STORAGE, normal("A", str(number)))
    assert server.reached.wait(5)
    recorder.stop()
    recorder.record(STORAGE, normal("A", "after the stop"))
    server.open.set()
    eventually(lambda: not any(thread.is_alive() for thread in recorder._sender._threads))
    assert [event["message"] for event in server.all(EVENTS)] == ["0"]


class Away(MemoryServer):
    """A server that cannot be reached for so many calls."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls
        self.tried = 0

    def create(self, *args: Any, **kwargs: Any) -> Json:
        self.tried += 1
        if self.tried <= self.calls:
            raise ConnectionFailed("https://server", "refused")
        return super().create(*args, **kwargs)


@pytest.mark.parametrize(("calls", "sent"), [(1, 1), (11, 1), (12, 0)])
def test_a_server_that_cannot_be_reached_is_tried_twelve_times(calls: int, sent: int) -> None:
    server = Away(calls)
    recorder = sending(server.client)
    recorder.record(STORAGE, normal("A", "m"))
    flush(recorder)
    end(recorder)
    assert (server.tried, len(server.all(EVENTS))) == (min(calls + 1, 12), sent)


def test_tries_are_ten_seconds_apart_and_the_first_wait_is_by_chance() -> None:
    server, clock = Away(3), FakeClock()
    recorder = sending(server.client, clock)
    recorder.record(STORAGE, normal("A", "m"))
    for pause in (10 * random.Random(1).random(), 10.0, 10.0):
        clock.await_waiters()
        tried = server.tried
        clock.step(pause - 0.001)
        clock.await_waiters()
        assert server.tried == tried
        clock.step(0.002)
    flush(recorder)
    end(recorder)
    assert server.tried == 4


def test_stop_ends_the_wait_for_another_try() -> None:
    clock = FakeClock()
    recorder = sending(Away(12).client, clock)
    recorder.record(STORAGE, normal("A", "m"))
    clock.await_waiters()
    end(recorder)


def test_a_refusal_is_not_tried_again(server: MemoryServer, recorder: EventRecorder) -> None:
    class Refusing(MemoryServer):
        tried = 0

        def create(self, *_: Any, **__: Any) -> Json:
            self.tried += 1
            raise ApiError(500, "InternalError", "no")

    refusing = Refusing()
    recorder = sending(refusing.client)
    recorder.record(STORAGE, normal("A", "m"))
    flush(recorder)
    end(recorder)
    assert refusing.tried == 1


def test_similar_events_become_one_whose_message_is_the_last(
    server: MemoryServer, recorder: EventRecorder
) -> None:
    for number in range(12):
        recorder.record(STORAGE, warning("Broken", f"for reason {number}"))
    flush(recorder)
    told = [(event["message"], event["count"]) for event in server.all(EVENTS)]
    assert told[:9] == [(f"for reason {number}", 1) for number in range(9)]
    assert told[9:] == [("(combined from similar events): for reason 11", 3)]


def test_what_is_too_much_about_one_object_is_dropped(
    server: MemoryServer, recorder: EventRecorder
) -> None:
    for number in range(40):
        recorder.record(STORAGE, warning(f"Broken{number}", "m"))
    recorder.record(read("other"), warning("Broken", "m"))
    flush(recorder)
    # A minute passes between two of them, and one in five is a token.
    told = [event["involvedObject"]["name"] for event in server.all(EVENTS)]
    assert (told.count(STORAGE.name), told.count("other")) == (32, 1)
