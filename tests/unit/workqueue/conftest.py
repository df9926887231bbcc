"""What the tests of the queue share."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.clock import FakeClock


@pytest.fixture(autouse=True)
def _no_stray_threads() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pool(_no_stray_threads: None) -> Iterator[ThreadPoolExecutor]:
    """Threads for calls that block; the test sees to it that they end."""
    with ThreadPoolExecutor(max_workers=4) as executor:
        yield executor
