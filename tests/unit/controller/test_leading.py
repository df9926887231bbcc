"""The controller and the lease: it writes while it leads, and neither before nor after."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from controller.controller import EtcdStorageController
from controller.leaderelection import LeaderCallbacks, LeaderElector
from controller.options import parse_options
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, LEASES, REPLICA_SETS, SECRETS
from informers import ConnectionFailed, ResourceEventHandlerFuncs
from tests.support.eventually import eventually
from tests.support.objects import (
    CORE,
    NAMESPACE,
    core_config_map,
    core_secret,
    etcd_storage,
)
from tests.support.watchserver import WatchServer
from workqueue import RealClock


class FakeElector:
    """Leads and loses as a test says, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.handler = ResourceEventHandlerFuncs(add=lambda lease, _: self.seen.append(lease))
        self.callbacks: LeaderCallbacks | None = None
        self.released: bool | None = None

    def start(self, callbacks: LeaderCallbacks) -> None:
        self.callbacks = callbacks

    def stop(self, *, release: bool, timeout: float) -> None:
        assert timeout > 0
        self.released = release

    @property
    def told(self) -> LeaderCallbacks:
        eventually(lambda: self.callbacks is not None)
        assert self.callbacks is not None
        return self.callbacks


class Server(WatchServer):
    """Its writes may hang, until it is closed: then they fail."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.go_on.set()
        self.closed = threading.Event()
        self.asked = 0

    def create(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        self.asked += 1
        self.go_on.wait()
        if self.closed.is_set():
            raise ConnectionFailed("https://server", "the client is closed")
        return super().create(*arguments, **options)

    def close(self) -> None:
        self.closed.set()
        self.go_on.set()


class World:
    """A controller that runs, with a storage to look after."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.server = Server()
        self.server.put(CONFIG_MAPS, core_config_map())
        self.server.put(SECRETS, core_secret())
        self.server.put(ETCD_STORAGES, etcd_storage("a"))
        kind = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
        metadata = {"name": "etcdproxy-controller", "namespace": NAMESPACE}
        self.server.put(LEASES, {**kind, "metadata": metadata})
        self.elector = FakeElector()
        self.stop = threading.Event()
        self.controller = EtcdStorageController(
            self.server.client,
            parse_options(["-u", CORE.urls[0], "-n", NAMESPACE], environment={}),
            clock=RealClock(),
            rng=random.Random(1),
            now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            registry=CollectorRegistry(),
            elector=cast("LeaderElector", self.elector),
        )
        self.run: Future[bool] = pool.submit(self.controller.run, self.stop)

    def lead(self) -> None:
        self.elector.told.started_leading()

    def end(self) -> bool:
        self.stop.set()
        return self.run.result(timeout=10)


@pytest.fixture
def world() -> Iterator[World]:
    with ThreadPoolExecutor(1) as pool, capture_logs():
        world = World(pool)
        yield world
        world.server.close()
        world.stop.set()


def test_who_stands_by_has_its_caches_and_writes_nothing(world: World) -> None:
    eventually(lambda: world.elector.callbacks is not None)
    assert world.controller.ready_checks["informers"]() is None
    assert len(world.controller._queue) == 1
    assert world.end()
    assert world.server.writes == []
    assert world.elector.released


def test_who_leads_works(world: World) -> None:
    world.lead()
    eventually(lambda: world.server.all(REPLICA_SETS))
    assert world.end()
    assert world.elector.released


def test_the_elector_sees_the_lease_as_it_is_watched(world: World) -> None:
    eventually(lambda: [lease["kind"] for lease in world.elector.seen] == ["Lease"])
    assert world.end()


def test_who_loses_the_lease_is_cut_and_ends_as_failed(world: World) -> None:
    world.server.go_on.clear()
    world.lead()
    eventually(lambda: world.server.asked)
    world.elector.told.stopped_leading("not renewed within 10 s")
    # When that returns every call has been cut, and no other can be made.
    assert world.server.closed.is_set()
    assert world.run.result(timeout=10) is False
    assert world.controller.live_checks["threads"]() == (
        "the lease was lost: not renewed within 10 s"
    )
    assert world.server.writes == []


def test_a_lease_lost_at_the_end_is_no_failure(world: World) -> None:
    world.server.go_on.clear()
    world.lead()
    eventually(lambda: world.server.asked)
    world.stop.set()
    world.elector.told.stopped_leading("not renewed within 10 s")
    assert world.end() is True


def test_nothing_begins_after_the_stop(world: World) -> None:
    eventually(lambda: world.elector.callbacks is not None)
    assert world.end()
    world.lead()
    assert world.controller._workers._threads == []


def test_an_election_that_dies_ends_the_program(world: World) -> None:
    world.elector.told.died(KeyError("a bug"))
    assert world.run.result(timeout=10) is False


def test_the_lease_is_kept_while_something_may_still_be_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.controller._DRAIN", 0.05)
    monkeypatch.setattr("controller.controller._RELEASE", 0.05)
    monkeypatch.setattr(Server, "close", lambda _: None)
    world.server.go_on.clear()
    world.lead()
    eventually(lambda: world.server.asked)
    assert world.end()
    assert world.elector.released is False
    world.server.go_on.set()
    eventually(
        lambda: not [one for one in threading.enumerate() if one.name.startswith("worker-")]
    )
