import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.identity import COMPACT_REV_KEY, permissions, user_name

DIGEST = hashlib.sha256(b"x" * 53).hexdigest()[:32]
"""128 bits: nobody finds two names with one."""

NAMES = st.text("ab0-", min_size=1, max_size=58)


def test_a_short_name_is_told_whole() -> None:
    assert user_name("a") == "etcdstorage:a"
    assert user_name("x" * 52) == "etcdstorage:" + "x" * 52


def test_a_long_name_fits_a_certificate() -> None:
    assert user_name("x" * 53) == f"etcdstorage:{'x' * 19}.{DIGEST}"
    assert len(user_name("x" * 53)) == len(user_name("x" * 58)) == 64


@settings(max_examples=40, deadline=None)
@given(NAMES, NAMES)
def test_two_storages_are_never_one_user(one: str, other: str) -> None:
    assert (user_name(one) == user_name(other)) == (one == other)


@settings(max_examples=40, deadline=None)
@given(NAMES)
def test_no_user_is_etcd_s_own(name: str) -> None:
    assert user_name(name) != "root"
    assert len(user_name(name)) <= 64


@settings(max_examples=40, deadline=None)
@given(NAMES, NAMES)
def test_a_role_has_its_own_keys_and_no_others(one: str, other: str) -> None:
    (own,) = (p for p in permissions(one) if p.type == "READWRITE")
    for key in (f"/{other}/", f"/{other}/a", f"/{other}/\U0010ffff", f"/{other}", f"/{other}0"):
        reached = own.key <= key.encode() < own.range_end
        assert reached == (one == other and key.startswith(f"/{other}/"))


def test_a_role_may_look_at_the_compactor_s_key_and_no_more() -> None:
    (other,) = (p for p in permissions("a") if p.key != b"/a/")
    assert (other.key, other.range_end, other.type) == (COMPACT_REV_KEY, b"", "READ")
