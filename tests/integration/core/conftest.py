"""A real core etcd with TLS, and a keeper of its users."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from controller.core import Access, Listeners, Pace, UserKeeper
from controller.core.client import CoreClient
from controller.pki import Pair
from hack.cluster import components
from hack.dataplane import programs
from hack.dataplane.core import CoreEtcd

QUICK = Pace(changes=1000.0, burst=1000, share=1.0, poll=0.1, audit=0.0, reads=1000.0, count=0.2)
"""So that a test need not wait; what is paced is tested apart."""


def access_of(core: CoreEtcd, pair: Pair) -> Access:
    """Return the way to `core` as whoever `pair` says."""
    ca = core.certificates.authority.cert_pem
    return Access(core.urls, ca, pair.cert_pem, pair.key_pem)


@dataclass
class Told:
    """What the keeper told."""

    changed: list[str] = field(default_factory=list)
    core: list[None] = field(default_factory=list)
    deaths: list[BaseException] = field(default_factory=list)
    keepers: list[UserKeeper] = field(default_factory=list)

    @property
    def listeners(self) -> Listeners:
        return Listeners(self.changed.append, lambda: self.core.append(None), self.deaths.append)


EVERY_CORE = pytest.mark.parametrize("core", components.CORES, indirect=True)
"""For a test of what etcd itself answers: with each release that a core may be."""


@pytest.fixture(scope="module")
def core(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CoreEtcd]:
    """One member, users on; of the newest release unless the test is for every core."""
    found = programs.ensure(getattr(request, "param", "etcd"))
    with CoreEtcd(tmp_path_factory.mktemp("core"), found, auth=True) as running:
        yield running


@pytest.fixture
def clients(core: CoreEtcd) -> Iterator[Callable[[Pair], CoreClient]]:
    """Make a client for the owner of a pair."""
    made: list[CoreClient] = []

    def make(pair: Pair) -> CoreClient:
        made.append(CoreClient(access_of(core, pair)))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def keep(told: Told) -> Iterator[Callable[[Access], UserKeeper]]:
    """Start a keeper, at a pace for tests."""

    def start(access: Access) -> UserKeeper:
        keeper = UserKeeper(CoreClient, told.listeners, rng=random.Random(1), pace=QUICK)
        told.keepers.append(keeper)
        keeper.start()
        keeper.use(access)
        return keeper

    yield start
    assert all(keeper.stop() for keeper in told.keepers)
    assert told.deaths == []
