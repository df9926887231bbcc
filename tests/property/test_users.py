"""Whatever somebody does to the core's users, and wherever the keeper stops, it ends right.

And on the way nobody ever gets more than they should by a step of ours.
"""

from contextlib import suppress
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.errors import CoreError
from controller.core.identity import Permission, PermissionType, permissions, user_name
from controller.core.users import (
    NOTHING,
    AddRole,
    AddUser,
    DeleteRole,
    DeleteUser,
    Found,
    GrantPermission,
    GrantRole,
    RevokePermission,
    RevokeRole,
    Step,
    keep,
    remove,
)
from tests.support.authstore import AuthStore

OURS: Final = ("a", "aa", "root")
NAMES: Final = (*map(user_name, OURS), "root", "foreign")
RANGES: Final = (
    *((p.key, p.range_end) for name in OURS for p in permissions(name)),
    *((b"\0", b"\0"), (b"/", b"0"), (b"/a/", b""), (b"/a/", b"/b")),
)

names = st.sampled_from(NAMES)
ranges = st.sampled_from(RANGES)
types: st.SearchStrategy[PermissionType] = st.sampled_from(("READ", "WRITE", "READWRITE"))
granted = st.builds(
    lambda r, kind: Permission(r[0], r[1], kind),
    ranges,
    st.sampled_from(("READ", "WRITE", "READWRITE")),
)
tampering = st.one_of(
    st.builds(AddRole, names),
    st.builds(DeleteRole, names),
    st.builds(AddUser, names),
    st.builds(DeleteUser, names),
    st.builds(GrantRole, names, names),
    st.builds(RevokeRole, names, names),
    st.builds(GrantPermission, names, granted),
    st.builds(lambda name, r: RevokePermission(name, r[0], r[1]), names, ranges),
)
storages = st.sampled_from(OURS)
own_turn = st.tuples(storages, st.booleans(), st.integers(0, 6))
"""A storage, whether it is kept or removed, and after how many steps the keeper crashes."""


def _tamper(store: AuthStore, step: Step) -> None:
    with suppress(CoreError):
        store.take(step)


def _bring(store: AuthStore, storage: str, *, wanted: bool, stop: int | None = None) -> None:
    decide = keep if wanted else remove
    for step in decide(storage, store.find(user_name(storage)))[:stop]:
        before = _reach(store)
        store.take(step)
        for user, reached in _reach(store).items():
            more = reached - before.get(user, frozenset())
            # Whoever an administrator gave the storage's role has it as well.
            assert not more or user_name(storage) in store.users[user]
            assert more <= permissions(storage)


def _reach(store: AuthStore) -> dict[str, frozenset[Permission]]:
    """Return what each user may do by all of their roles."""
    return {
        user: frozenset(p for role in roles for p in store.roles.get(role, ()))
        for user, roles in store.users.items()
    }


def _others(store: AuthStore, storage: str) -> object:
    name = user_name(storage)
    users = {user: frozenset(roles) for user, roles in store.users.items() if user != name}
    return users, {role: tuple(had) for role, had in store.roles.items() if role != name}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(tampering, own_turn), max_size=30), storages)
def test_any_history_ends_right(history: list[Step | tuple[str, bool, int]], storage: str) -> None:
    store = AuthStore()
    for happened in history:
        if isinstance(happened, tuple):
            name, wanted, stop = happened
            _bring(store, name, wanted=wanted, stop=stop)
        else:
            _tamper(store, happened)

    _bring(store, storage, wanted=True)
    found = store.find(user_name(storage))
    assert found == Found(permissions(storage), frozenset({user_name(storage)}))
    assert len(store.roles[user_name(storage)]) == len(permissions(storage))
    assert keep(storage, found) == []

    _bring(store, storage, wanted=False)
    assert store.find(user_name(storage)) == NOTHING
    assert remove(storage, NOTHING) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(tampering, max_size=30), storages, st.integers(0, 6))
def test_nobody_else_is_touched_but_by_a_role_that_they_should_not_have(
    history: list[Step], storage: str, stop: int
) -> None:
    store = AuthStore()
    for step in history:
        _tamper(store, step)
    before = _others(store, storage)
    _bring(store, storage, wanted=True, stop=stop)
    assert _others(store, storage) == before


@settings(max_examples=60, deadline=None)
@given(st.lists(tampering, max_size=30), storages, st.integers(1, 9))
def test_the_first_step_of_a_removal_ends_the_access(
    history: list[Step], storage: str, stop: int
) -> None:
    store = AuthStore()
    for step in history:
        _tamper(store, step)
    name = user_name(storage)
    ranges = {(p.key, p.range_end) for p in store.roles.get(name, ())}
    _bring(store, storage, wanted=False, stop=len(ranges))
    assert not store.roles.get(name)
