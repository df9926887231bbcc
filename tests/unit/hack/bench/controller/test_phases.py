import os
from typing import Any

import pytest

from hack.bench.controller import phases
from hack.bench.controller.phases import BusyError, Phase
from hack.program import Metrics

LOOK, BUSY = 0.1, 0.08


class Machine:
    """A program with a time of its own, which uses the processor as `used` says, look by look."""

    def __init__(self, *used: float) -> None:
        self.at = 0.0
        self.processor = 5.0
        self.reconciles = 100
        self.gets = 0
        self.process = self
        self.log = self
        self.pid = os.getpid()
        self._used = [*used]

    def check(self) -> None:
        pass

    def Event(self) -> "Machine":  # noqa: N802 - as in threading
        return self

    def read_text(self) -> str:
        return "" if self.at < 5 else '{"event": "synced"}\n'

    def monotonic(self) -> float:
        return self.at

    def seconds(self, _: object) -> float:
        return self.processor

    def wait(self, seconds: float) -> None:
        self.at += seconds
        self.processor += self._used.pop(0) if self._used else 0.0

    def metrics(self) -> Metrics:
        self.processor += 0.7
        return Metrics(
            f'controller_runtime_reconcile_total{{result="success"}} {self.reconciles}\n'
            f'rest_client_requests_total{{code="200",method="GET"}} {self.gets}\n'
            'rest_client_requests_total{code="200",method="PATCH"} 3\n'
        )


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(*used: float) -> Machine:
        machine = Machine(*used)
        monkeypatch.setattr(phases, "time", machine)
        monkeypatch.setattr(phases, "cpu", machine)
        monkeypatch.setattr(phases, "threading", machine)
        return machine

    return made


def test_rest_begins_after_the_last_look_that_saw_it_busy(make: Any) -> None:
    assert phases.rest(make()) == 0
    assert phases.rest(make(0.02, 0.02, 0.02)) == 0
    # It may pause for a while.
    machine = make(BUSY, BUSY, 0.0, 0.0, 0.0, BUSY)
    assert phases.rest(machine) == pytest.approx(6 * LOOK)
    assert machine.at == pytest.approx(6 * LOOK + phases.QUIET)


def test_a_program_is_synced_when_it_says_so(make: Any) -> None:
    machine = make()
    phases.await_sync(machine)
    assert machine.at == pytest.approx(5, abs=2 * LOOK)


def test_who_never_rests_is_given_up(make: Any) -> None:
    with pytest.raises(BusyError, match="still busy after 600 s"):
        phases.rest(make(*[BUSY] * 10_000))


def test_a_phase_has_what_the_program_did_in_it_and_nothing_of_being_asked(make: Any) -> None:
    machine = make(BUSY)

    def happens() -> None:
        machine.wait(30.0)
        machine.reconciles += 12
        machine.gets += 4

    phase = phases.measured(machine, "it", happens)
    assert (phase.name, phase.seconds, phase.reconciles) == ("it", 30.0, 12)
    assert phase.processor == pytest.approx(BUSY)
    assert (phase.requests, phase.writes) == ({"GET": 4}, 0)
    assert phase.memory > 2**20
    assert phases.measured(machine, "it", lambda: 7.5).seconds == 7.5


def test_a_start_has_all_that_the_program_ever_did(make: Any) -> None:
    phase = phases.since_start(make(), "start", 2.0)
    assert (phase.seconds, phase.processor, phase.reconciles) == (2.0, 5.0, 100)
    assert phase.writes == 3
    assert Phase("sync", 1.0).writes == 0
