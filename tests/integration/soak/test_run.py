"""The long run of certificates in short: `make soak-certificates` has more and longer."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.soak.client import Habit
from hack.soak.commandline import render
from hack.soak.fleet import Terms
from hack.soak.run import Soak

pytestmark = pytest.mark.long

TERMS = Terms(storages=5, renewals=2, rotations=1, leaf=30, authority=600, late=1.0, rate=40.0)
"""A leaf has seven seconds left when it is renewed, and no authority ends meanwhile."""


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("soak")
    yield made
    shutil.rmtree(made)


def test_no_handshake_fails_through_renewals_and_a_rotation(folder: Path) -> None:
    result = Soak(folder, TERMS, print).run()
    assert not result.shaken.failures, render(result)
    assert not result.broken
    assert result.fewest >= (2, 1)
    assert all(result.shaken.made[habit] > 5 * TERMS.storages for habit in Habit)
    asked_for = result.metrics.total("etcdproxy_certificate_renewals_total", kind="signing")
    assert asked_for == TERMS.storages
    assert result.metrics.total("etcdproxy_certificate_failures_total") == 0
