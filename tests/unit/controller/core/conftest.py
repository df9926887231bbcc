"""What the tests of the core's users share."""

import pytest

from tests.support.clock import FakeClock
from tests.support.sockets import sockets_soon_closed

# In place of the one that looks at once, which is of the same name.
_no_stray_sockets = pytest.fixture(autouse=True)(sockets_soon_closed)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
