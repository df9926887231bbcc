"""What the tests of the informers share."""

import pytest

from tests.support.clock import FakeClock
from tests.support.listerwatcher import InstantClock
from tests.support.sockets import no_stray_sockets
from tests.support.threads import no_stray_threads

_no_stray_threads = pytest.fixture(autouse=True)(no_stray_threads)
_no_stray_sockets = pytest.fixture(autouse=True)(no_stray_sockets)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def instant() -> InstantClock:
    return InstantClock()
