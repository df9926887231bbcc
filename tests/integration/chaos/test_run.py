"""The long run of faults in short: `make chaos` has more and longer."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.chaos.churn import Churn
from hack.chaos.commandline import render
from hack.chaos.run import Chaos, Incident, Terms

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

TERMS = Terms(
    storages=4,
    restarts=2,
    freezes=1,
    freeze=3.0,
    compactions=2,
    cuts=3,
    kills=3,
    pauses=1,
    cores=1,
    edits=3,
)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("chaos")
    yield made
    shutil.rmtree(made)


def test_whatever_happens_it_is_in_the_end_as_without_faults(folder: Path) -> None:
    result = Chaos(folder, TERMS, print).run()
    assert not result.wrong, render(result)
    assert {*result.met} == {*Incident}
    assert result.faults
    # Each that was killed, at least.
    assert result.starts >= 1


def test_churn_is_sampled(folder: Path) -> None:
    samples = Churn(folder, Terms(storages=3, churn=4.0), print).run()
    # One at least between each two, however slow the machine is.
    assert all(sample.edits >= number for number, sample in enumerate(samples))
    assert all(sample.memory > 0 and sample.threads > 1 for sample in samples)
    # What lasts is there before the first edit; what is left behind would grow with each.
    assert samples[-1].threads < samples[0].threads + 10
