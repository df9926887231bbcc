"""A fleet of storages that share slots: the limit, the order, and that nobody is forgotten.

A storage is looked at only when the controller would: once at the start, when something of it
changes, when it is woken, and by time while it holds a slot.
"""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane.rolling import Stage
from controller.rollouts import LOOK, TRIAL, Rollouts
from tests.support.clock import FakeClock

STEP = 300.0
"""Seconds of the fleet's time: several looks come late, which has to make no difference."""


@dataclass
class Storage:
    """Two pods by their revision, and the template; `broken` never gets a new pod ready."""

    template: int = 0
    pods: list[int] = field(default_factory=lambda: [0, 0])
    broken: bool = False
    progressed: float = 0.0

    def is_rolling(self) -> bool:
        return any(pod != self.template for pod in self.pods)


class Fleet:
    """What a reconcile does of a roll, for many storages; `bad` revisions work nowhere."""

    def __init__(self, size: int, limit: int, rng: random.Random) -> None:
        self.clock = FakeClock()
        self.rng = rng
        self.limit = limit
        self.wanted = 0
        self.bad: set[int] = set()
        self.storages = {f"s{n}": Storage() for n in range(size)}
        self.most = 0
        """The most that were in the middle of a roll at once."""
        self.begun: list[str] = []
        self.asked: list[str] = []
        self.in_order = False
        """Whether the queue gives what was put in first first, as the real one does."""
        self.start()

    def start(self) -> None:
        """Begin as the program does, with nothing in memory."""
        self.queue = dict.fromkeys(self.rng.sample([*self.storages], len(self.storages)))
        self.rollouts = Rollouts(self.limit, self.clock, self.queue.setdefault)
        middle = {name: s.template for name, s in self.storages.items() if s.is_rolling()}
        self.rollouts.restore({name: str(template) for name, template in middle.items()})
        self.later: dict[str, float] = {}

    def stage(self, storage: Storage) -> Stage:
        if all(pod == self.wanted for pod in storage.pods):
            return Stage.SETTLED
        if storage.template != self.wanted:
            return Stage.OUTDATED
        late = self.clock.monotonic() - storage.progressed >= TRIAL
        return Stage.STUCK if late else Stage.ROLLING

    def reconcile(self, name: str) -> None:
        storage = self.storages.get(name)
        if storage is None:
            self.rollouts.leave(name)
            return
        stage = self.stage(storage)
        if stage is Stage.OUTDATED and name not in self.asked:
            self.asked.append(name)
        allowed = self.rollouts.may_roll(name, str(self.wanted), stage)
        if stage is Stage.SETTLED or not allowed:
            return
        self.later[name] = self.clock.monotonic() + LOOK
        if stage is Stage.OUTDATED:
            self.begun.append(name)
            storage.template, storage.progressed = self.wanted, self.clock.monotonic()
        elif not storage.broken and self.wanted not in self.bad:
            old = next(n for n, pod in enumerate(storage.pods) if pod != self.wanted)
            storage.pods[old] = self.wanted
            storage.progressed = self.clock.monotonic()
        else:
            return
        self.queue.setdefault(name)

    def work(self, steps: int = 10_000) -> None:
        """Look at storages in any order until there is nothing to do, or so often."""
        while self.queue and steps:
            name = next(iter(self.queue)) if self.in_order else self.rng.choice([*self.queue])
            del self.queue[name]
            self.reconcile(name)
            self.most = max(self.most, self.acting())
            steps -= 1

    def let_pass(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.step(STEP)
            self.queue |= {n: None for n, at in self.later.items() if at <= self.clock.monotonic()}
            self.work()

    def acting(self) -> int:
        return sum(storage.is_rolling() for storage in self.storages.values())

    def want(self, revision: int, *, bad: bool = False) -> None:
        """Change what is wanted of all of them, which the controller looks at in any order."""
        self.wanted = revision
        self.bad |= {revision} if bad else set()
        self.begun, self.asked = [], []
        self.queue |= dict.fromkeys(self.rng.sample([*self.storages], len(self.storages)))

    def done(self) -> bool:
        return all(self.stage(s) is Stage.SETTLED for s in self.storages.values() if not s.broken)


SEEDS = st.integers(0, 10**6).map(random.Random)


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.integers(1, 12), st.integers(1, 4), st.lists(st.integers(0, 40), max_size=3))
def test_never_more_than_the_limit_roll_through_any_restarts_and_all_come_to_their_end(
    rng: random.Random, size: int, limit: int, stops: list[int]
) -> None:
    fleet = Fleet(size, limit, rng)
    fleet.work()
    for revision, steps in enumerate(stops, start=1):
        fleet.want(revision)
        fleet.work(steps)
        fleet.start()
        fleet.work(rng.randint(0, 5))
        if len(fleet.storages) > 1:
            gone = rng.choice([*fleet.storages])
            del fleet.storages[gone]
            fleet.queue.setdefault(gone)
    fleet.want(9)
    fleet.work()
    assert fleet.done()
    assert fleet.most <= limit


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 12), st.integers(1, 4))
def test_who_asks_first_rolls_first(rng: random.Random, size: int, limit: int) -> None:
    fleet = Fleet(size, limit, rng)
    fleet.in_order = True
    fleet.work()
    fleet.want(1)
    fleet.work()
    assert fleet.done()
    assert fleet.begun == fleet.asked


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 12), st.integers(1, 4), st.booleans())
def test_a_revision_that_works_nowhere_stops_after_the_limit_and_a_mended_one_goes_on(
    rng: random.Random,
    size: int,
    limit: int,
    restarted: bool,  # noqa: FBT001 - drawn
) -> None:
    fleet = Fleet(size, limit, rng)
    fleet.work()
    fleet.want(1, bad=True)
    fleet.work()
    fleet.let_pass(TRIAL - STEP)
    assert fleet.acting() == min(limit, size)
    assert all(storage.pods == [0, 0] for storage in fleet.storages.values())
    fleet.let_pass(24 * 3600)
    assert fleet.acting() <= limit + 8
    fleet.want(rng.choice((0, 2)))
    if restarted:
        fleet.start()
    fleet.work()
    assert fleet.done()


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(2, 12), st.integers(1, 3), st.integers(1, 8), st.booleans())
def test_storages_broken_for_reasons_of_their_own_do_not_stop_the_others(
    rng: random.Random,
    size: int,
    limit: int,
    broken: int,
    restarted: bool,  # noqa: FBT001 - drawn
) -> None:
    fleet = Fleet(size, limit, rng)
    for name in rng.sample([*fleet.storages], min(broken, size - 1)):
        fleet.storages[name].broken = True
    fleet.work()
    fleet.want(1)
    fleet.work()
    fleet.let_pass(TRIAL)
    if restarted:
        fleet.start()
    fleet.let_pass(TRIAL * 2**8)
    assert fleet.done()
    for storage in fleet.storages.values():
        storage.broken = False
    fleet.let_pass(2 * TRIAL)
    assert fleet.done()
