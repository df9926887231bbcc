"""One candidate's decisions, step by step; many of them together are tests/property's."""

import math
import random
from datetime import UTC, datetime

import pytest

from controller.leaderelection.election import (
    Election,
    LeaderElectionConfig,
    Move,
    Observation,
    Read,
    Request,
    Write,
    decide,
)
from controller.leaderelection.record import LeaderElectionRecord, Lease, released

WALL = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONFIG = LeaderElectionConfig(15.0, 10.0, 2.0)


def held_by(holder: str, duration: int | None = 15, renew_time: str = "t") -> LeaderElectionRecord:
    return LeaderElectionRecord(holder, duration, "t", renew_time, 3)


MOVES = [
    # Nobody's, and ours.
    (None, False, 0.0, Move.ACQUIRE),
    (held_by(""), False, 0.0, Move.ACQUIRE),
    (held_by("me"), False, 0.0, Move.RENEW),
    (held_by("me"), True, 0.0, Move.RENEW),
    (held_by("me", 1), True, 99.0, Move.RENEW),
    # Another's: for as long as it says, counted from when it was seen, ours if it says nothing.
    (held_by("it"), False, 14.9, Move.WAIT),
    (held_by("it"), False, 15.0, Move.ACQUIRE),
    (held_by("it", 60), False, 59.9, Move.WAIT),
    (held_by("it", 60), False, 60.0, Move.ACQUIRE),
    (held_by("it", 1), False, 1.0, Move.ACQUIRE),
    (held_by("it", None), False, 19.9, Move.WAIT),
    (held_by("it", None), False, 20.0, Move.ACQUIRE),
    # Whatever a leader finds that is not its own, another may work on the strength of.
    (None, True, 0.0, Move.LOST),
    (held_by(""), True, 0.0, Move.LOST),
    (held_by("it"), True, 0.0, Move.LOST),
    (held_by("it"), True, 99.0, Move.LOST),
]


@pytest.mark.parametrize(("record", "leading", "age", "move"), MOVES)
def test_what_may_be_done(
    record: LeaderElectionRecord | None,
    leading: bool,  # noqa: FBT001 - a column of the table
    age: float,
    move: Move,
) -> None:
    seen = Observation(record, since=1000.0)
    assert decide(seen, "me", leading=leading, duration=20.0, now=1000.0 + age) is move


class Candidate:
    """An election that is told what the server says, and its own time."""

    def __init__(self) -> None:
        self.election = Election("me", CONFIG)
        self.now = 100.0

    def begin(self) -> None:
        self.election.begin()

    def asks(self) -> Request | None:
        return self.election.next_request(self.now, WALL)

    def writes(self) -> Write:
        request = self.asks()
        assert isinstance(request, Write)
        return request

    def hears(self, request: Request | None, lease: Lease | None, *, took: float = 0.0) -> None:
        assert request is not None
        sent, self.now = self.now, self.now + took
        self.election.answered(lease, request=request, sent=sent, now=self.now)

    def reads(self, lease: Lease | None) -> None:
        request = self.asks()
        assert request == Read()
        self.hears(request, lease)

    def lead(self) -> Lease:
        """Come to lead; returns the lease."""
        self.begin()
        self.reads(None)
        request = self.writes()
        lease = Lease(request.record, "1")
        self.hears(request, lease)
        assert self.asks() is None
        assert self.election.leading
        return lease


@pytest.fixture
def me() -> Candidate:
    return Candidate()


def test_a_lease_that_is_not_there_is_made(me: Candidate) -> None:
    me.begin()
    me.reads(None)
    states = [me.election.may_hold]
    request = me.writes()
    states += [me.election.may_hold, me.election.leading]
    record = request.record
    assert (request.resource_version, record.holder, record.transitions) == (None, "me", 0)
    me.hears(request, Lease(record, "1"))
    assert [*states, me.election.leading] == [False, True, False, True]


def test_a_leader_writes_without_a_read_and_reads_once_refused(me: Candidate) -> None:
    lease = me.lead()
    me.now += 2.0
    me.begin()
    request = me.writes()
    assert request.resource_version == lease.resource_version
    assert me.election.slow_paths == 0
    me.election.failed(refused=True)
    me.reads(Lease(lease.record, "2"))
    assert me.election.slow_paths == 1
    again = me.writes()
    assert again.resource_version == "2"
    me.hears(again, Lease(again.record, "3"))
    me.begin()
    assert me.writes().resource_version == "3"


def test_a_write_of_unknown_outcome_is_followed_by_a_read_the_next_time(me: Candidate) -> None:
    me.lead()
    me.begin()
    lost = me.writes()
    me.election.failed(refused=False)
    assert me.asks() is None
    me.begin()
    me.reads(Lease(lost.record, "2"))
    assert me.writes().resource_version == "2"


def test_a_refused_write_of_a_candidate_ends_the_attempt(me: Candidate) -> None:
    me.begin()
    me.reads(Lease(held_by(""), "1"))
    me.writes()
    me.election.failed(refused=True)
    assert me.asks() is None
    assert not me.election.leading


def test_leading_is_counted_from_when_the_write_was_sent(me: Candidate) -> None:
    me.begin()
    me.reads(None)
    request = me.writes()
    me.hears(request, Lease(request.record, "1"), took=4.0)
    assert me.election.left(me.now) == 6.0
    me.now += 6.0
    me.election.expire(me.now)
    assert me.election.lost == "not renewed within 10 s"
    assert not me.election.leading


def test_an_answer_that_comes_after_the_deadline_is_no_begin(me: Candidate) -> None:
    me.begin()
    me.reads(None)
    request = me.writes()
    me.hears(request, Lease(request.record, "1"), took=10.0)
    assert not me.election.leading


def test_losing_is_final(me: Candidate) -> None:
    lease = me.lead()
    me.begin()
    me.writes()
    me.election.failed(refused=True)
    me.reads(Lease(held_by("it"), "2"))
    assert me.asks() is None
    assert me.election.lost == "held by it"
    me.begin()
    assert me.asks() is None
    me.election.answered(lease, request=Write(lease.record, "1"), sent=me.now, now=me.now)
    assert not me.election.leading


@pytest.mark.parametrize("lease", [None, Lease(held_by(""), "2")])
def test_a_lease_that_somebody_took_away_is_lost(me: Candidate, lease: Lease | None) -> None:
    me.lead()
    assert me.election.noticed(lease, me.now)
    me.begin()
    me.reads(lease)
    assert me.asks() is None
    assert me.election.lost == "the lease was taken away"


def test_the_end_is_counted_from_the_last_change_of_the_record(me: Candidate) -> None:
    for number in range(3):
        me.begin()
        me.reads(Lease(held_by("it", renew_time=f"{number}"), f"{number}"))
        assert me.asks() is None
        me.now += 14.0
    me.begin()
    # Another version of the same record: somebody has put a label on it.
    me.reads(Lease(held_by("it", renew_time="2"), "9"))
    assert me.asks() is None
    me.now += 1.0
    me.begin()
    me.reads(Lease(held_by("it", renew_time="2"), "9"))
    request = me.writes()
    assert (request.resource_version, request.record.transitions) == ("9", 4)


def test_what_a_watch_shows_between_read_and_write_is_heeded(me: Candidate) -> None:
    me.begin()
    me.reads(Lease(held_by(""), "1"))
    assert me.election.noticed(Lease(held_by("it"), "2"), me.now)
    assert me.asks() is None


def test_a_watch_hurries_only_where_the_holder_is_another(me: Candidate) -> None:
    assert not me.election.noticed(Lease(held_by("it"), "1"), me.now)
    assert not me.election.noticed(Lease(held_by("it", renew_time="u"), "2"), me.now)
    assert me.election.noticed(Lease(released(held_by("it"), WALL), "3"), me.now)
    assert me.election.noticed(Lease(held_by("other"), "4"), me.now)
    assert me.election.noticed(None, me.now)
    assert me.election.holder == ""


def test_a_leader_is_not_disturbed_by_its_own_writes(me: Candidate) -> None:
    lease = me.lead()
    assert not me.election.noticed(lease, me.now)
    me.begin()
    assert isinstance(me.asks(), Write)


def test_a_candidate_looks_again_when_the_lease_ends_or_by_chance_before(me: Candidate) -> None:
    rng = random.Random(1)
    me.begin()
    me.reads(Lease(held_by("it"), "1"))
    pauses = [me.election.pause(me.now, rng) for _ in range(200)]
    assert 2.0 <= min(pauses) < 2.1
    assert 4.3 < max(pauses) <= 4.4
    assert me.election.pause(me.now + 14.5, rng) == 0.5
    assert me.election.pause(me.now + 15.0, rng) >= 2.0


def test_a_leader_renews_every_period(me: Candidate) -> None:
    me.lead()
    assert me.election.pause(me.now, random.Random(1)) == 2.0


def test_who_does_not_lead_has_all_the_time(me: Candidate) -> None:
    assert me.election.left(me.now) == math.inf
    assert me.election.holder is None
    me.election.expire(1e9)
    assert not me.election.lost


def test_others_are_told_no_shorter_time_than_we_take() -> None:
    assert LeaderElectionConfig(2.5, 2.0, 0.5).written_duration == 3
    assert LeaderElectionConfig(15.0, 10.0, 2.0).written_duration == 15


def test_a_call_leaves_time_for_another() -> None:
    assert CONFIG.call_timeout == 5.0
