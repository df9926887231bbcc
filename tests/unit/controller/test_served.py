"""Gates are asked soon, seldom or hardly ever, by few threads."""

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from controller import gatecerts
from controller.gatecerts import Served
from controller.served import SELDOM, SOON, THREADS, UNREACHABLE, ServedCertificates, Wanted
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.gatestub import HOSTS, GateStub, certs, ok

FIRST, SECOND = Wanted(1, frozenset({10}), "v1"), Wanted(2, frozenset({10, 11}), "v1")
HOST, OTHER = HOSTS
JITTER = 1.2


def pod(uid: str, ip: str | None = HOST) -> dict[str, Any]:
    return {"metadata": {"uid": uid}, "status": {"podIP": ip} if ip else {}}


class World:
    """Gates of storage `a` that answer what `serves` says, by address."""

    def __init__(self) -> None:
        self.serves: dict[str, Wanted | None] = {HOST: FIRST, OTHER: FIRST}
        self.clock = FakeClock()
        self.changes: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.gate = GateStub(self._answer)
        self.served = ServedCertificates(
            self.changes.append, random.Random(1), clock=self.clock, port=self.gate.port
        )

    def _answer(self, host: str, _sock: socket.socket) -> bytes:
        self.may_answer.wait()
        wanted = self.serves[host]
        if wanted is None:
            return b""
        return ok(certs("a", wanted.serial, tuple(wanted.bundle_serials)))

    @property
    def asked(self) -> list[str]:
        return self.gate.asked

    def look(self, *pods: dict[str, Any], wanted: Wanted = FIRST) -> dict[str, Served]:
        return {**self.served.look("a", pods or (pod("p"),), wanted)}

    def await_asked(self, count: int) -> None:
        """Wait until gates were asked so often in all, and the answers are noted."""
        eventually(lambda: len(self.asked) >= count, what="asked")
        eventually(self._idle, what="all answers are noted")
        assert len(self.asked) == count

    def _idle(self) -> bool:
        queue = self.served._queue
        with queue._lock:
            return not queue._processing and not len(queue)

    def step(self, seconds: float) -> None:
        self.clock.step_under(self.served._queue._lock, seconds)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with made.gate, running(made.served):
        yield made


@contextmanager
def running(served: ServedCertificates) -> Iterator[None]:
    served.start()
    try:
        yield
    finally:
        served.stop()


def test_what_a_gate_serves_is_seen_and_told_once(world: World) -> None:
    assert world.look() == {}
    world.step(1)
    world.await_asked(1)
    seen = world.look()["p"]
    assert (seen.serial, seen.bundle_serials) == (1, frozenset({10}))
    assert FIRST.met_by(seen)
    assert not SECOND.met_by(seen)
    assert world.changes == ["a"]


def test_who_serves_what_is_wanted_is_asked_seldom(world: World) -> None:
    world.look()
    world.step(1)
    world.await_asked(1)
    world.step(SELDOM / JITTER - 1)
    world.await_asked(1)
    world.step(SELDOM * JITTER - SELDOM / JITTER + 2)
    world.await_asked(2)
    # The same is no news.
    assert world.changes == ["a"]


def test_something_new_is_asked_for_soon_until_it_is_there(world: World) -> None:
    world.look()
    world.step(1)
    world.await_asked(1)
    assert world.look(wanted=SECOND)["p"].serial == 1
    world.step(SOON)
    world.await_asked(2)
    for count in (3, 4):
        world.step(SOON * JITTER)
        world.await_asked(count)
    assert world.changes == ["a"]
    world.serves[HOST] = SECOND
    world.step(SOON * JITTER)
    world.await_asked(5)
    assert SECOND.met_by(world.look(wanted=SECOND)["p"])
    assert world.changes == ["a", "a"]
    world.step(SOON * JITTER)
    world.await_asked(5)


def test_another_list_of_clients_is_something_new(world: World) -> None:
    world.look()
    world.step(1)
    world.await_asked(1)
    longer = replace(FIRST, clients="v2")
    assert not longer.met_by(world.look(wanted=longer)["p"])
    world.step(SOON)
    world.await_asked(2)
    assert world.changes == ["a"]
    world.gate.clients = "v2"
    world.step(SOON * JITTER)
    world.await_asked(3)
    assert longer.met_by(world.look(wanted=longer)["p"])
    assert world.changes == ["a", "a"]


def test_what_does_not_come_is_asked_for_less_and_less(world: World) -> None:
    world.look(wanted=SECOND)
    world.step(1)
    world.await_asked(1)
    # Each a tenth later, so ten minutes are 40 questions or so, and not 200.
    for _ in range(200):
        world.step(SOON)
        eventually(world._idle)
    assert 25 < len(world.asked) < 60


def test_a_gate_that_cannot_be_reached_is_hardly_ever_asked(world: World) -> None:
    world.serves[HOST] = None
    world.look()
    world.step(1)
    world.await_asked(1)
    for _ in range(60):
        world.step(UNREACHABLE / 60)
        eventually(world._idle)
    # After 3 s, 6 s and so on.
    assert 5 < len(world.asked) < 12
    assert world.look() == {}
    before = len(world.asked)
    world.step(SOON)
    world.await_asked(before)


def test_what_was_seen_is_kept_while_a_gate_does_not_answer(world: World) -> None:
    world.look()
    world.step(1)
    world.await_asked(1)
    seen = world.look()
    world.serves[HOST] = None
    world.look(wanted=SECOND)
    world.step(SOON)
    world.await_asked(2)
    assert world.look(wanted=SECOND) == seen != {}


def test_a_pod_that_is_gone_is_forgotten(world: World) -> None:
    world.look(pod("p"), pod("q", OTHER))
    world.step(1)
    world.await_asked(2)
    assert set(world.look(pod("q", OTHER))) == {"q"}
    world.step(2 * SELDOM)
    world.await_asked(3)
    assert world.asked[-1] == OTHER
    world.served.forget("a")
    world.step(2 * SELDOM)
    world.await_asked(3)


def test_what_a_pod_says_that_is_gone_meanwhile_is_no_news(world: World) -> None:
    world.may_answer.clear()
    world.look()
    world.step(1)
    eventually(lambda: world.asked == [HOST])
    world.served.forget("a")
    world.may_answer.set()
    eventually(world._idle)
    assert world.changes == []
    world.step(2 * SELDOM)
    world.await_asked(1)


def test_a_pod_without_an_address_is_not_asked(world: World) -> None:
    assert world.look(pod("p", None)) == {}
    world.step(1)
    world.await_asked(0)
    world.look(pod("p"))
    world.step(1)
    world.await_asked(1)


def test_an_address_that_changed_is_another_gate(world: World) -> None:
    world.look()
    world.step(1)
    world.await_asked(1)
    assert world.look(pod("p", OTHER)) == {}
    world.step(1)
    world.await_asked(2)
    assert world.asked[-1] == OTHER


def has(told: list[str], count: int) -> bool:
    return len(told) == count


def test_a_listener_that_fails_ends_no_thread() -> None:
    with GateStub(lambda _host, _sock: ok(certs("a", 1, (10,)))) as gate:
        told: list[str] = []

        def on_change(storage: str) -> None:
            told.append(storage)
            raise RuntimeError

        served = ServedCertificates(on_change, random.Random(1), port=gate.port)
        with running(served):
            for n in range(THREADS + 1):
                served.look("a", [pod(str(n))], FIRST)
                eventually(partial(has, told, n + 1))


def silent(_host: str, _sock: socket.socket) -> None:
    """Take the question, and never answer."""


def test_few_threads_ask_and_a_stop_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatecerts, "TIMEOUT", 0.2)
    answer: Callable[[str, socket.socket], bytes | None] = silent
    with GateStub(answer) as gate:
        served = ServedCertificates(lambda _: None, random.Random(1), port=gate.port)
        with running(served):
            served.look("a", [pod(str(n)) for n in range(50)], FIRST)
            eventually(lambda: len(gate.asked) == THREADS)
        # Of those that waited in line none was asked.
        assert len(gate.asked) <= 2 * THREADS


def test_one_that_was_never_started_can_be_stopped() -> None:
    served = ServedCertificates(lambda _: None, random.Random(1))
    served.look("a", [pod("p")], FIRST)
    served.stop()
