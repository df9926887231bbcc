"""What becomes of a stream of events: some are sent, some count on others, some are dropped."""

from datetime import UTC, datetime, timedelta

import pytest

from controller import correlator as module
from controller.correlator import Correlator, Posting
from controller.events import Event

NOW = datetime(2026, 1, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def event(message: str = "m", *, type_: str = "Normal", reason: str = "A") -> Event:
    return Event(type_, reason, message)


class Stream:
    """Events of one object as they come, all of which reach the server."""

    def __init__(self) -> None:
        self.correlator = Correlator()
        self.now = NOW
        self.names = 0

    def send(self, one: Event, uid: str = "uid") -> Posting | None:
        posting = self.correlator.correlate(uid, one, self.now)
        if posting:
            self.names += not posting.name
            self.correlator.sent(posting, posting.name or f"n{self.names}")
        return posting

    def told(self, one: Event, uid: str = "uid") -> tuple[str, str, int] | None:
        posting = self.send(one, uid)
        return (posting.name, posting.event.message, posting.count) if posting else None


@pytest.fixture
def stream() -> Stream:
    return Stream()


def test_a_repetition_counts_on_the_first(stream: Stream) -> None:
    assert [stream.told(event()) for _ in range(3)] == [
        ("", "m", 1),
        ("n1", "m", 2),
        ("n1", "m", 3),
    ]


def test_what_was_not_sent_is_counted_and_tried_anew() -> None:
    correlator = Correlator()
    for count in (1, 2):
        posting = correlator.correlate("uid", event(), NOW)
        assert posting is not None
        assert (posting.name, posting.count) == ("", count)


def test_from_the_tenth_message_for_one_reason_on_they_are_one_event(stream: Stream) -> None:
    for number in range(9):
        assert stream.told(event(f"m{number}")) == ("", f"m{number}", 1)
    combined = "(combined from similar events): m"
    assert stream.told(event("m9")) == ("", f"{combined}9", 1)
    assert stream.told(event("m10")) == ("n10", f"{combined}10", 2)
    # Of another reason, type or object it is another one.
    assert stream.told(event(reason="B")) == ("", "m", 1)
    assert stream.told(event(type_="Warning")) == ("", "m", 1)
    assert stream.told(event(), "another") == ("", "m", 1)


def test_a_group_that_was_quiet_for_ten_minutes_begins_anew(stream: Stream) -> None:
    for number in range(9):
        stream.send(event(f"m{number}"))
    stream.now += 10 * MINUTE
    assert stream.told(event("m9")) == ("", "(combined from similar events): m9", 1)
    stream.now += 10 * MINUTE + timedelta(seconds=1)
    assert stream.told(event("m10")) == ("", "m10", 1)


def test_of_one_object_25_come_through_and_then_one_in_five_minutes(stream: Stream) -> None:
    sent = [stream.told(event(reason=f"R{number}")) for number in range(26)]
    assert [number for number, one in enumerate(sent) if one is None] == [25]
    stream.now += 5 * MINUTE - timedelta(seconds=1)
    assert stream.told(event(reason="late")) is None
    stream.now += timedelta(seconds=1)
    # What was dropped meanwhile has been counted.
    assert stream.told(event(reason="late")) == ("", "m", 2)
    assert stream.told(event(reason="late")) is None
    # Trouble is not crowded out by what goes well, nor one object by another.
    assert stream.told(event(type_="Warning")) == ("", "m", 1)
    assert stream.told(event(), "another") == ("", "m", 1)


def test_no_more_than_25_are_saved_up_and_a_clock_set_back_takes_none(stream: Stream) -> None:
    stream.send(event())
    stream.now += timedelta(days=30)
    sent = [stream.told(event(reason=f"R{number}")) for number in range(26)]
    assert sent.count(None) == 1
    stream.now -= timedelta(days=60)
    assert stream.told(event(reason="back")) is None
    stream.now += 5 * MINUTE
    assert stream.told(event(reason="back")) is not None


def test_a_bounded_number_of_objects_is_remembered(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    for number in range(50):
        stream.send(event(), f"uid-{number}")
    correlator = stream.correlator
    for kept in (correlator._groups, correlator._sent, correlator._buckets):
        assert len(kept) == 3
