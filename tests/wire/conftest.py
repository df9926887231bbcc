"""What the wire tests share: real time, no stray threads or sockets."""

from collections.abc import Callable, Iterator

import pytest

from informers.rest.client import Client
from tests.support.apiserver import ApiServer
from tests.support.sockets import no_stray_sockets
from tests.support.threads import no_stray_threads
from workqueue.clock import RealClock

_no_stray_threads = pytest.fixture(autouse=True)(no_stray_threads)
_no_stray_sockets = pytest.fixture(autouse=True)(no_stray_sockets)


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
