from controller.core.looks import Access, Candidate, CoreLook, UserLook, UserState
from controller.pki import Pair


def test_a_key_is_never_shown() -> None:
    access = Access(("https://a:1",), b"ca", b"cert", b"very secret")
    assert "very secret" not in repr(access)


def test_candidates_are_told_apart_by_their_fingerprints() -> None:
    one, same = (Candidate(b"1", lambda: Pair(b"", b"")) for _ in range(2))
    assert one == same
    assert one != Candidate(b"2", one.sign)


def test_before_the_core_was_asked_nothing_is_known_and_nothing_wrong() -> None:
    assert CoreLook() == CoreLook(reachable=False, problem=None, auth=None, compaction=None)


def test_looks_are_equal_by_what_they_say() -> None:
    assert UserLook(UserState.READY) == UserLook(UserState.READY, None)
