"""What the tests of the informers share."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.clock import FakeClock
from tests.support.listerwatcher import InstantClock


@pytest.fixture(autouse=True)
def _no_stray_threads() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def instant() -> InstantClock:
    return InstantClock()
