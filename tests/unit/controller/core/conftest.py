"""What the tests of the core's users share."""

import pytest

from tests.support.clock import FakeClock
from tests.support.threads import no_stray_threads

_no_stray_threads = pytest.fixture(autouse=True)(no_stray_threads)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
