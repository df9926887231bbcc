"""Candidates for one lease, over a network that loses and delays, by clocks that disagree.

Time is simulated and every order of events can come about: a write that takes effect long after
its sender gave it up, a watch that shows the past, a crash between a write and its answer.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.leaderelection.election import Election, LeaderElectionConfig, Read, Request, Write
from controller.leaderelection.record import Lease, released

START = datetime(2026, 1, 2, tzinfo=UTC)
TROUBLE = 240.0
"""Seconds in which anything may happen; from then on the network is a good one."""

CALM = 120.0
"""Seconds in which the last of the trouble is over, and somebody leads."""


@dataclass
class World:
    """The server, the network, and the true time."""

    rng: random.Random
    config: LeaderElectionConfig = field(default_factory=LeaderElectionConfig)
    now: float = 0.0
    lease: Lease | None = None
    candidates: list["Candidate"] = field(default_factory=list)
    terms: int = 0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def calm(self) -> bool:
        return self.now >= TROUBLE

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
            assert len(self.leaders()) <= 1, f"two lead after {self.now} s"
        self.now = until

    def leaders(self) -> list["Candidate"]:
        return [one for one in self.candidates if one.leads()]

    def join(self) -> None:
        Candidate(self, f"candidate-{len(self.candidates)}").attempt()

    def delay(self) -> float:
        """Seconds of one way through the network."""
        if self.calm or self.rng.random() < 0.7:
            return self.rng.uniform(0.001, 0.05)
        return self.rng.choice([self.rng.uniform(0.1, 6.0), self.rng.uniform(6.0, 40.0)])

    def lost(self) -> bool:
        return not self.calm and self.rng.random() < 0.2

    def do(self, request: Request) -> None:
        """As `apply`, for who does not wait for an answer."""
        self.apply(request)

    def apply(self, request: Request) -> tuple[bool, Lease | None]:
        """Do what is asked; whether it was accepted, and the lease."""
        if isinstance(request, Read):
            return True, self.lease
        version = self.lease.resource_version if self.lease else None
        if request.resource_version != version:
            return False, None
        self.store(Lease(request.record, str(next(self._numbers))))
        return True, self.lease

    def store(self, lease: Lease | None) -> None:
        self.lease = lease
        for candidate in self.candidates:
            if not self.lost():
                self.after(self.delay(), partial(candidate.notice, lease))


class Candidate:
    """A program: what the shell around an `Election` does, in simulated time."""

    def __init__(self, world: World, identity: str) -> None:
        self.world = world
        self.rate = world.rng.uniform(0.87, 1.15)
        self.skew = world.rng.uniform(-1e6, 1e6)
        self.election = Election(identity, world.config)
        self.ended = False
        self.waiting = 0
        """The number of the attempt or the call that is waited for; earlier ones are void."""
        self.was_leading = False
        self.resting = False
        self.hurry = False
        world.candidates.append(self)

    def clock(self) -> float:
        return self.skew + self.rate * self.world.now

    def leads(self) -> bool:
        left = self.election.left(self.clock())
        return not self.ended and self.election.leading and left > 1e-6

    def attempt(self) -> None:
        self.resting = self.hurry = False
        self.election.begin()
        self.step()

    def step(self) -> None:
        if self.ended:
            return
        wall = START + timedelta(seconds=self.clock())
        request = self.election.next_request(self.clock(), wall)
        if self.election.lost:
            self.end()
        elif request is None:
            pause = self.election.pause(self.clock(), self.world.rng)
            self.resting = True
            self.later(0.0 if self.hurry else pause, self.attempt)
        else:
            self.send(request)

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        """Do it when our clock is so much further, unless something else comes first."""
        self.waiting += 1
        number = self.waiting
        self.world.after(
            seconds / self.rate + 1e-9, lambda: None if number != self.waiting else event()
        )

    def send(self, request: Request) -> None:
        sent = self.clock()
        self.later(self.election.config.call_timeout, partial(self.fail, refused=False))
        number = self.waiting

        def arrive() -> None:
            accepted, lease = self.world.apply(request)
            if not self.world.lost():
                self.world.after(self.world.delay(), lambda: back(accepted, lease))

        def back(accepted: bool, lease: Lease | None) -> None:  # noqa: FBT001 - from `arrive`
            if self.ended or number != self.waiting:
                return
            if accepted:
                self.election.answered(lease, request=request, sent=sent, now=self.clock())
                self.begin_leading()
                self.step()
            else:
                self.fail(refused=True)

        if not self.world.lost():
            self.world.after(self.world.delay(), arrive)

    def fail(self, *, refused: bool) -> None:
        self.election.failed(refused=refused)
        self.step()

    def begin_leading(self) -> None:
        if self.election.leading and not self.was_leading:
            self.was_leading = True
            self.world.terms += 1
            if not self.world.calm:
                way_out = self.world.rng.choice([self.end, self.let_go, lambda: None])
                self.world.after(self.world.rng.uniform(0.0, 60.0), way_out)

    def notice(self, lease: Lease | None) -> None:
        if self.ended or not self.election.noticed(lease, self.clock()):
            return
        self.hurry = True
        if self.resting:
            self.later(0.0, self.attempt)

    def end(self) -> None:
        """Go without a word, as when killed; another program takes the place."""
        if not self.ended:
            self.ended = True
            self.world.after(self.world.rng.uniform(0.5, 5.0), self.world.join)

    def let_go(self) -> None:
        """Stop in order: read, and then write that nobody leads."""
        lease = self.world.lease
        if self.ended:
            return
        self.end()
        if lease and lease.record.holder == self.election.identity:
            request = Write(released(lease.record, START), lease.resource_version)
            self.world.after(self.world.delay(), lambda: self.world.do(request))


seeds = st.integers(min_value=0, max_value=2**32)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(min_value=2, max_value=3))
def test_never_two_lead_and_in_the_end_one_does(seed: int, candidates: int) -> None:
    world = World(random.Random(seed))
    for _ in range(candidates):
        world.after(world.rng.uniform(0.0, 3.0), world.join)
    world.run(TROUBLE + CALM)
    (leader,) = world.leaders()
    world.run(world.now + CALM)
    assert world.leaders() == [leader]
