"""Rounds of looks at what was delivered, by a clock that the test moves."""

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from controller.consumers import Consumers, Delivery, Looks, Report
from controller.consumers.looks import ROUND
from controller.consumers.polls import JITTER, POLL
from controller.resources import CONFIG_MAPS, SECRETS
from informers import ApiError, ConnectionFailed, Resource
from tests.support.applyserver import ApplyServer
from tests.support.clock import FakeClock
from tests.support.deliveries import BUNDLE, PAIR, STORAGE, PairMaker, bundle
from tests.support.eventually import eventually

LONGEST = POLL * (1 + JITTER)
GETS = [f"get {consumer}" for consumer in (BUNDLE, PAIR)]


class World:
    """A bundle and a pair that are delivered, and nobody who reconciles but the test."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.server = ApplyServer(self.clock)
        self.makes = PairMaker()
        self.changed: list[str] = []
        rng, client = random.Random(1), self.server.client
        self.consumers = Consumers(client, clock=self.clock, rng=rng)
        self.looks = Looks(client, self.consumers.polls, self.changed.append, clock=self.clock)
        self.deliver()
        self.calls()

    def deliver(self, *deliveries: Delivery) -> Report:
        wanted = deliveries or (bundle(), self.makes.delivery())
        return self.consumers.deliver(STORAGE, wanted)

    def calls(self) -> list[str]:
        calls, self.server.calls = self.server.calls, []
        return calls

    def spoil(self) -> None:
        self.server.edit(
            *(CONFIG_MAPS, "team-a", "etcd-serving-ca"),
            lambda obj: obj["data"].update({"serving-ca.crt": ""}),
        )

    def rounds(self, seconds: float) -> None:
        for _ in range(int(seconds / ROUND)):
            self.clock.step(ROUND)
            self.looks.make_round()


def test_what_stays_as_it_is_costs_a_read_now_and_then_and_no_reconcile() -> None:
    world = World()
    world.rounds(10 * POLL)
    calls = world.calls()
    assert {*calls} == {*GETS}
    assert 2 * 8 <= len(calls) <= 2 * 13
    assert world.changed == []
    # Nor has a reconcile for another reason anything to ask.
    report = world.deliver()
    assert (report.problems, report.again, world.calls()) == ((), float("inf"), [])


@pytest.mark.parametrize("repaired", [False, True])
def test_what_somebody_changes_is_told_once_and_mended(*, repaired: bool) -> None:
    world = World()
    if repaired:
        world.rounds(LONGEST)
    world.spoil()
    world.rounds(LONGEST)
    assert world.changed == [STORAGE.name]
    world.rounds(LONGEST)
    assert world.changed == [STORAGE.name]
    world.calls()
    assert world.deliver().problems == ()
    assert world.calls() == [f"get {BUNDLE}", f"patch {BUNDLE}"]
    obj = world.server.peek(CONFIG_MAPS, "team-a", "etcd-serving-ca")
    assert obj["data"]["serving-ca.crt"] == "CA 1"
    world.rounds(2 * LONGEST)
    assert world.changed == [STORAGE.name]


def test_what_somebody_deletes_is_told_and_made_again() -> None:
    world = World()
    world.server.remove(SECRETS, "team-a", "etcd-client")
    world.rounds(LONGEST)
    assert world.changed == [STORAGE.name]
    assert world.deliver().outcomes[1].issued == "there is none yet"


@pytest.mark.parametrize(
    "error", [ApiError(403, "Forbidden", "may not"), ConnectionFailed("https://api", "reset")]
)
def test_what_cannot_be_read_is_left_to_a_reconcile(error: Exception) -> None:
    world = World()
    world.server.failures[f"get {PAIR}"] = error
    world.rounds(LONGEST)
    assert world.changed == [STORAGE.name]
    assert world.deliver().outcomes[1].problem is not None
    # It tries again by itself.
    world.calls()
    world.rounds(10 * POLL)
    assert {*world.calls()} == {f"get {BUNDLE}"}


def test_what_is_written_while_somebody_looks_is_no_change() -> None:
    world = World()
    get = world.server.get

    def late(resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
        found = get(resource, name, namespace)
        world.server.get = get  # type: ignore[method-assign]
        world.makes.authority = 2
        world.deliver(bundle("CA 2"), world.makes.delivery())
        return found

    world.server.get = late  # type: ignore[method-assign]
    world.clock.step(LONGEST)
    world.looks.make_round()
    assert world.changed == []


def test_what_is_forgotten_is_looked_at_no_more() -> None:
    world = World()
    world.consumers.forget(STORAGE.name)
    world.rounds(2 * LONGEST)
    assert world.calls() == []


def test_a_pair_comes_back_in_its_own_time_whatever_a_look_says() -> None:
    world = World()
    content = world.makes.content
    soon = Delivery(PAIR, "soon", lambda there: replace(content(there), again=2 * POLL))
    assert world.deliver(soon).again == 2 * POLL
    world.rounds(LONGEST)
    assert world.consumers.polls.again(STORAGE.name, [PAIR]) == pytest.approx(2 * POLL - LONGEST)
    world.rounds(LONGEST)
    assert world.deliver(soon).problems == ()
    assert world.changed == []


@pytest.fixture
def running() -> Iterator[World]:
    world = World()
    world.looks.start()
    yield world
    world.looks.stop()
    world.looks.join(5.0)


def test_its_thread_makes_the_rounds_until_it_is_stopped(running: World) -> None:
    running.spoil()
    for _ in range(int(LONGEST / ROUND)):
        running.clock.await_waiters()
        running.clock.step(ROUND)
    eventually(lambda: running.changed == [STORAGE.name])
    running.looks.stop()
    running.looks.join(5.0)
    assert "looks" not in {thread.name for thread in threading.enumerate()}


def test_a_round_ends_where_it_is_stopped() -> None:
    world = World()
    world.clock.step(LONGEST)
    world.looks.stop()
    world.looks.make_round()
    assert world.calls() == []
    world.looks.join(1.0)
