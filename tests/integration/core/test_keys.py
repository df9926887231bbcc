"""The keys of storages in a real core etcd, with users and without."""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.core import Access, Pace, UserKeeper
from controller.core.client import CoreClient
from controller.core.connection import Connection
from controller.core.errors import UnreachableError
from controller.core.messages import define
from hack.dataplane import programs
from hack.dataplane.core import CoreEtcd
from hack.dataplane.keyvalue import KeyValue, access_of_core
from tests.integration.core.conftest import QUICK, Told
from tests.support.eventually import eventually

Keep = Callable[[Access], UserKeeper]

NEIGHBOURS = ("/", "/a", "/a-b/1", "/a.b/1", "/a0", "/a0/1", "/aa/1", "/b/1", "a/1")

MESSAGES = define(
    {
        "PutRequest": ("bytes key 1", "bytes value 2"),
        "RequestOp": ("PutRequest request_put 2",),
        "TxnRequest": ("repeated RequestOp success 2",),
        "TxnResponse": (),
    }
)
_AT_ONCE = 100
"""Puts in one transaction; etcd takes 128."""


def fill(access: Access, storage: str, count: int) -> None:
    """Write so many keys of a storage, as an API server's."""
    connection = Connection(access)
    for start in range(0, count, _AT_ONCE):
        request = MESSAGES["TxnRequest"]()
        for n in range(start, min(start + _AT_ONCE, count)):
            put = request.success.add().request_put
            put.key, put.value = f"/{storage}//registry/things/{n:06}".encode(), b"v" * 100
        connection.call("KV/Txn", request, MESSAGES["TxnResponse"])
    connection.close()


def keys_of(core: CoreEtcd, prefix: str = "") -> list[str]:
    return core.etcdctl().run("get", "--keys-only", "--prefix", prefix).split()


@pytest.fixture(params=["plain", "users"])
def core(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CoreEtcd]:
    auth = request.param == "users"
    with CoreEtcd(tmp_path, programs.ensure(), auth=auth) as running:
        yield running


@pytest.fixture
def access(core: CoreEtcd) -> Access:
    return access_of_core(core)


@pytest.fixture
def neighbours(access: Access) -> list[str]:
    """Keys that lie around those of the storage `a`, in the core's order."""
    with KeyValue(access) as keys:
        for key in NEIGHBOURS:
            keys.put(key, b"v")
    return sorted(NEIGHBOURS)


def test_the_calls_touch_no_more_than_their_range(
    core: CoreEtcd, access: Access, neighbours: list[str]
) -> None:
    fill(access, "a", 25)
    client = CoreClient(access)
    assert client.count(b"/a/", b"/a0") == 25
    page = client.page(b"/a/", b"/a0", 10)
    assert page == tuple(f"/a//registry/things/{n:06}".encode() for n in range(10))
    assert client.delete(page[0], page[-1] + b"\0") == 10
    assert client.count(b"/a/", b"/a0") == 15
    assert client.page(b"/c/", b"/c0", 10) == ()
    client.close()
    assert len(keys_of(core)) == 15 + len(neighbours)


def test_fifty_thousand_keys_go_and_no_neighbour_s(
    core: CoreEtcd, access: Access, neighbours: list[str], keep: Keep
) -> None:
    fill(access, "a", 50_000)
    keeper = keep(access)
    eventually(lambda: keeper.count("a") == 50_000)
    keeper.purge("a")
    eventually(lambda: keeper.purge("a").done)
    assert keys_of(core) == neighbours
    assert keeper.count("a") is None
    eventually(lambda: keeper.count("a") == 0)


@pytest.mark.parametrize("core", ["plain"], indirect=True)
def test_a_removal_goes_on_where_it_was_when_the_core_is_back(
    core: CoreEtcd, access: Access, neighbours: list[str], told: Told
) -> None:
    fill(access, "a", 20_000)
    # The first one so slowly that there is a time to stop it in.
    first, second = (
        UserKeeper(CoreClient, told.listeners, rng=random.Random(1), pace=pace)
        for pace in (Pace(page=5, share=0.2, poll=0.1), QUICK)
    )
    first.start()
    first.use(access)
    first.purge("a")
    eventually(lambda: len(keys_of(core, "/a/")) < 19_900)
    core.stop_member(0, grace=0)
    eventually(lambda: (first.core().problem or first.purge("a").problem) is not None)
    assert not first.purge("a").done
    assert first.stop()
    core.start()
    left = len(keys_of(core, "/a/"))
    assert 0 < left < 20_000
    second.start()
    second.use(access)
    second.purge("a")
    eventually(lambda: second.purge("a").done)
    assert second.stop()
    assert keys_of(core) == neighbours


@pytest.mark.parametrize("core", ["plain"], indirect=True)
def test_a_core_that_hangs_holds_up_its_keys_and_nothing_else(
    core: CoreEtcd, access: Access, keep: Keep
) -> None:
    fill(access, "a", 10)
    keeper = keep(access)
    eventually(lambda: keeper.core().reachable)
    pid = core.members[0].pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        # None of these waits for the core.
        assert not keeper.purge("a").done
        assert keeper.count("b") is None
        eventually(lambda: keeper.core().problem)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: keeper.purge("a").done)


@pytest.mark.parametrize("core", ["plain"], indirect=True)
def test_whoever_still_writes_is_told_of_and_loses_once_it_stops(
    core: CoreEtcd, access: Access, keep: Keep
) -> None:
    stop = threading.Event()

    def write() -> None:
        with KeyValue(access) as keys:
            while not stop.is_set():
                keys.put("/a/lease", b"mine")

    writer = threading.Thread(target=write)
    writer.start()
    keeper = keep(access)
    try:
        problem = eventually(lambda: keeper.purge("a").problem)
    finally:
        stop.set()
        writer.join()
    assert problem
    assert problem.reason == "KeysKeepComing"
    eventually(lambda: keeper.purge("a").done)
    assert keys_of(core, "/a/") == []


@pytest.mark.parametrize("core", ["users"], indirect=True)
def test_the_shared_pair_removes_nothing_where_users_are_checked(
    core: CoreEtcd, access: Access, keep: Keep
) -> None:
    fill(access, "a", 10)
    keeper = keep(access_of_core(core, core.certificates.shared))
    keeper.purge("a")
    problem = eventually(lambda: keeper.core().problem)
    assert problem
    assert problem.reason == "CoreAccessDenied"
    assert len(keys_of(core, "/a/")) == 10


def test_a_core_that_is_not_there_is_no_core_without_keys(keep: Keep) -> None:
    client = CoreClient(Access(("http://127.0.0.1:1",)))
    with pytest.raises(UnreachableError):
        client.count(b"/a/", b"/a0")
    client.close()
