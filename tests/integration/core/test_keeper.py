"""The keeper of users on a real core etcd."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from controller.api.conditions import Problem
from controller.core import Access, UserKeeper, UserState, user_name
from controller.core.client import CoreClient
from controller.core.identity import Permission, permissions
from controller.core.users import (
    NOTHING,
    AddRole,
    AddUser,
    DeleteRole,
    DeleteUser,
    Found,
    GrantPermission,
    GrantRole,
    RevokeRole,
    Step,
)
from controller.pki import Pair
from hack.dataplane import programs
from hack.dataplane.core import CoreEtcd
from tests.integration.core.conftest import EVERY_CORE, Told, access_of
from tests.support.eventually import eventually

Keep = Callable[[Access], UserKeeper]
Clients = Callable[[Pair], CoreClient]


@pytest.fixture
def access(core: CoreEtcd) -> Access:
    return access_of(core, core.certificates.root)


@pytest.fixture
def root(core: CoreEtcd, clients: Clients) -> CoreClient:
    return clients(core.certificates.root)


def right(storage: str) -> Found:
    """What the core should have for the storage."""
    return Found(permissions(storage), frozenset({user_name(storage)}))


def _is_right(root: CoreClient, storage: str) -> bool:
    return root.find(user_name(storage)) == right(storage)


def _is_gone(keeper: UserKeeper, storage: str) -> bool:
    return keeper.drop(storage).state is UserState.GONE


def reach(keeper: UserKeeper, storage: str, state: UserState, *, claimed: bool = True) -> None:
    eventually(
        lambda: keeper.want(storage, claimed=claimed).state is state,
        what=f"{storage} is {state}",
    )


@EVERY_CORE
def test_fifty_users_are_made_mended_and_removed(
    access: Access, keep: Keep, root: CoreClient, told: Told
) -> None:
    names = [f"s{n}" for n in range(50)]
    keeper = keep(access)
    for name in names:
        reach(keeper, name, UserState.FREE, claimed=False)
    assert all(root.find(user_name(name)) == NOTHING for name in names)
    for name in names:
        keeper.want(name, claimed=True)
    for name in names:
        reach(keeper, name, UserState.READY)
    assert all(root.find(user_name(name)) == right(name) for name in names)
    assert set(told.changed) == set(names)

    for step in _tampering(*(user_name(name) for name in names[:5])):
        root.take(step)
    for name in names[:5]:
        eventually(partial(_is_right, root, name), what=name)
    for name in names:
        reach(keeper, name, UserState.READY)

    for name in names:
        keeper.drop(name)
    for name in names:
        eventually(partial(_is_gone, keeper, name), what=name)
        keeper.forget(name)
    assert all(root.find(user_name(name)) == NOTHING for name in names)


def _tampering(one: str, two: str, three: str, four: str, five: str) -> list[Step]:
    everything = Permission(b"\0", b"\0", "READWRITE")
    return [
        GrantPermission(one, everything),
        GrantRole(two, one),
        RevokeRole(two, two),
        DeleteUser(three),
        DeleteRole(four),
        DeleteRole(five),
        AddRole(five),
        GrantPermission(five, everything),
        GrantRole(five, five),
    ]


def test_a_user_that_is_not_ours_is_left_alone(
    access: Access, keep: Keep, root: CoreClient
) -> None:
    theirs = user_name("theirs")
    root.take(AddUser(theirs))
    keeper = keep(access)
    reach(keeper, "theirs", UserState.FAILED, claimed=False)
    problem = keeper.want("theirs", claimed=False).problem
    assert problem
    assert problem.reason == "CoreUserConflict"
    assert theirs in problem.message
    assert root.find(theirs) == Found(None, frozenset())
    # It passes without anybody's help once the other user is gone.
    root.take(DeleteUser(theirs))
    reach(keeper, "theirs", UserState.FREE, claimed=False)


def test_root_stays_root_whatever_a_storage_is_called(
    access: Access, keep: Keep, root: CoreClient
) -> None:
    keeper = keep(access)
    before = root.find("root")
    reach(keeper, "root", UserState.READY)
    eventually(lambda: keeper.drop("root").state is UserState.GONE)
    assert root.find("root") == before


def test_what_is_asked_last_counts(access: Access, keep: Keep, root: CoreClient) -> None:
    keeper = keep(access)
    for _ in range(20):
        keeper.want("fickle", claimed=True)
        keeper.drop("fickle")
    eventually(lambda: keeper.drop("fickle").state is UserState.GONE)
    assert root.find(user_name("fickle")) == NOTHING
    reach(keeper, "fickle", UserState.READY)
    assert root.find(user_name("fickle")) == right("fickle")


def test_a_pair_that_is_not_root_s_says_so(core: CoreEtcd, keep: Keep, access: Access) -> None:
    keeper = keep(access_of(core, core.certificates.user("nobody")))
    problem = eventually(lambda: keeper.core().problem)
    assert problem
    assert problem.reason == "CoreAccessDenied"
    assert "--etcd-core-root-secret" in problem.message
    keeper.use(access)
    eventually(lambda: keeper.core().problem is None)
    keeper.use(Problem("CoreRootSecretMissing", "make it"))
    eventually(lambda: keeper.core().problem == Problem("CoreRootSecretMissing", "make it"))
    assert not keeper.core().reachable


@pytest.fixture
def own_core(tmp_path: Path) -> CoreEtcd:
    return CoreEtcd(tmp_path, programs.ensure(), tls=True)


def test_users_are_kept_without_auth_and_through_a_crash(
    own_core: CoreEtcd, keep: Keep, told: Told
) -> None:
    with own_core as core:
        keeper = keep(access_of(core, core.certificates.root))
        reach(keeper, "s", UserState.READY)
        assert keeper.core().auth is False

        core.enable_auth()
        eventually(lambda: keeper.core().auth)

        core.stop()
        eventually(lambda: not keeper.core().reachable)
        problem = keeper.core().problem
        assert problem
        assert problem.reason == "CoreUnreachable"
        assert core.url in problem.message
        # Nobody waits for it, and what was known stays.
        assert keeper.want("s", claimed=True).state is UserState.READY
        assert keeper.want("new", claimed=True).state is UserState.PENDING
        assert keeper.core().auth

        core.start()
        reach(keeper, "new", UserState.READY)
        core.disable_auth()
        eventually(lambda: keeper.core().auth is False)
        client = CoreClient(access_of(core, core.certificates.root))
        assert client.find(user_name("new")) == right("new")
        client.close()
        assert keeper.stop()


def test_a_member_that_hangs_does_not_hold_up_a_stop(own_core: CoreEtcd, keep: Keep) -> None:
    with own_core as core:
        keeper = keep(access_of(core, core.certificates.root))
        reach(keeper, "s", UserState.READY)
        pid = core.members[0].pid
        assert pid
        os.kill(pid, signal.SIGSTOP)
        try:
            keeper.want("t", claimed=True)
            assert keeper.stop()
        finally:
            os.kill(pid, signal.SIGCONT)
