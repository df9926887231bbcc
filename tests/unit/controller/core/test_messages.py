from controller.core.messages import MESSAGES, define


def test_fields_lie_where_etcd_has_them() -> None:
    request = MESSAGES["AuthRoleGrantPermissionRequest"]
    perm = {"permType": 2, "key": b"/a/", "range_end": b"/a0"}
    # Field 1, "r"; field 2, a message of 12 bytes: 1 = 2, 2 = "/a/", 3 = "/a0".
    assert request(name="r", perm=perm).SerializeToString() == (
        b"\x0a\x01r\x12\x0c\x08\x02\x12\x03/a/\x1a\x03/a0"
    )


def test_what_is_not_in_the_table_is_passed_over() -> None:
    # Field 1 of a status is the header, field 2 says that auth is on, field 3 counts changes.
    status = MESSAGES["AuthStatusResponse"].FromString(b"\x0a\x02\x18\x07\x10\x01\x18\x09")
    assert (status.enabled, status.authRevision) == (True, 9)


def test_repeated_fields_are_lists() -> None:
    assert list(MESSAGES["AuthUserGetResponse"](roles=["a", "b"]).roles) == ["a", "b"]


def test_two_tables_may_say_different_things_of_one_message() -> None:
    other = define({"Done": ("bytes name 1",)})
    assert other["Done"](name=b"x").SerializeToString() == b"\x0a\x01x"
    assert MESSAGES["Done"]().SerializeToString() == b""
