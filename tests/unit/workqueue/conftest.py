"""What the tests of the queue share."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.clock import FakeClock
from tests.support.sockets import no_stray_sockets
from tests.support.threads import no_stray_threads

_no_stray_threads = pytest.fixture(autouse=True)(no_stray_threads)
_no_stray_sockets = pytest.fixture(autouse=True)(no_stray_sockets)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pool(_no_stray_threads: None) -> Iterator[ThreadPoolExecutor]:
    """Threads for calls that block; the test sees to it that they end."""
    with ThreadPoolExecutor(max_workers=4) as executor:
        yield executor
