"""What the wire tests share: real time, no stray threads."""

import threading
from collections.abc import Callable, Iterator

import pytest

from informers.client import Client
from tests.support.apiserver import ApiServer
from workqueue.clock import RealClock


@pytest.fixture(autouse=True)
def _no_stray_threads() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def connect(_no_stray_threads: None) -> Iterator[Callable[..., Client]]:
    """Make clients of a server, closed at the end."""
    clients: list[Client] = []

    def make(server: ApiServer, *, token: str | None = None, timeout: float = 5.0) -> Client:
        clients.append(Client(server.config(token), clock=RealClock(), timeout=timeout))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
