from controller.core.identity import COMPACT_REV_KEY, Permission, permissions, user_name
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
    conflict,
    keep,
    remove,
)

A = user_name("a")
OWN = Permission(b"/a/", b"/a0", "READWRITE")
LOOK = Permission(COMPACT_REV_KEY, b"", "READ")
RIGHT = Found(permissions("a"), frozenset({A}))


def test_a_user_is_made_when_its_role_is_whole() -> None:
    assert keep("a", NOTHING) == [
        AddRole(A),
        GrantPermission(A, OWN),
        GrantPermission(A, LOOK),
        AddUser(A),
        GrantRole(A, A),
    ]


def test_nothing_is_done_to_what_is_right() -> None:
    assert keep("a", RIGHT) == []


def test_what_is_too_much_goes_first() -> None:
    wide = Permission(b"/", b"0", "READ")
    assert keep("a", Found(frozenset({wide}), frozenset({"root"}))) == [
        RevokeRole(A, "root"),
        RevokePermission(A, b"/", b"0"),
        GrantPermission(A, OWN),
        GrantPermission(A, LOOK),
        GrantRole(A, A),
    ]


def test_another_type_of_permission_is_replaced() -> None:
    # Two of one range, which etcd can be brought to have, go by one revocation.
    write = Permission(COMPACT_REV_KEY, b"", "READWRITE")
    for had in ({OWN, write}, {OWN, LOOK, write}):
        assert keep("a", Found(frozenset(had), frozenset({A}))) == [
            RevokePermission(A, COMPACT_REV_KEY, b""),
            GrantPermission(A, LOOK),
        ]


def test_the_permission_goes_before_the_user() -> None:
    assert remove("a", RIGHT) == [
        RevokePermission(A, b"/a/", b"/a0"),
        RevokePermission(A, COMPACT_REV_KEY, b""),
        DeleteUser(A),
        DeleteRole(A),
    ]
    assert remove("a", Found(None, frozenset())) == [DeleteUser(A)]
    assert remove("a", Found(frozenset(), None)) == [DeleteRole(A)]
    assert remove("a", NOTHING) == []


def test_only_what_is_not_as_ours_is_a_conflict() -> None:
    assert conflict("a", NOTHING) is None
    assert conflict("a", RIGHT) is None
    problem = conflict("a", Found(None, frozenset({A})))
    assert problem
    assert problem.reason == "CoreUserConflict"
    assert f"etcdctl user delete {A})" in problem.message
    both = conflict("a", Found(frozenset(), frozenset()))
    assert both
    assert f"etcdctl user delete {A}, etcdctl role delete {A}" in both.message
