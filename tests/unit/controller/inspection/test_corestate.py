"""What the core said, judged; the asking itself is tested on a real one."""

from dataclasses import replace

import pytest

from controller.core.looks import Access
from controller.core.members import MemberStatus
from controller.inspection.corestate import CoreState, Member, ask, compaction_finding, findings
from controller.inspection.finding import Finding, Level
from hack.cluster import ports
from tests.unit.controller.inspection.conftest import levels

URL = "https://core:2379"
STATUS = MemberStatus("3.7.3", 20 << 20, 2048 << 20, leader=True, errors=(), revision=500)
GOOD = CoreState((Member(URL, STATUS),), auth=True, urls={"core-etcd": (URL,)}, keeps_all=False)


def judged(state: CoreState, *, users: bool = True, inside: bool = False) -> list[Finding]:
    return list(findings(state, users=users, inside=inside, hint="ask from there"))


def test_a_good_core_is_told_in_three_lines() -> None:
    assert [finding.what for finding in judged(GOOD)] == [
        "https://core:2379: etcd 3.7.3, 20 MiB of 2048",
        "1 members (core-etcd), 1 URLs known here",
        "the core checks users",
    ]
    assert {finding.level for finding in judged(GOOD)} == {Level.OK}


def test_a_core_that_is_not_reached_is_unknown_outside_and_wrong_inside() -> None:
    state = CoreState((Member(URL, error="DNS resolution failed"),))
    (outside,) = judged(state)
    assert (outside.level, outside.todo) == (Level.UNKNOWN, "ask from there")
    (inside,) = judged(state, inside=True)
    assert inside.level is Level.FAIL
    assert "--etcd-core-url" in inside.todo


def test_a_core_with_another_certificate_was_reached_and_is_wrong() -> None:
    error = "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED: self signed certificate"
    (finding,) = judged(CoreState((Member(URL, error=error),)))
    assert finding.level is Level.FAIL


@pytest.mark.parametrize(
    ("status", "level", "words"),
    [
        (replace(STATUS, errors=("etcdserver: NOSPACE",)), "FAIL", "NOSPACE"),
        (replace(STATUS, leader=False), "FAIL", "no leader"),
        (replace(STATUS, size=2000 << 20), "WARN", "nearly full"),
        (replace(STATUS, quota=0), "OK", "20 MiB"),
    ],
)
def test_a_member_in_need(status: MemberStatus, level: str, words: str) -> None:
    first, *_ = judged(replace(GOOD, members=(Member(URL, status),)))
    assert (first.level.value, words in first.what) == (level, True)


def test_members_that_differ_or_are_not_named() -> None:
    other = Member("https://two:2379", replace(STATUS, version="3.6.16"))
    urls = dict.fromkeys(("a", "b", "c"), (URL,))
    told = judged(replace(GOOD, members=(*GOOD.members, other), urls=urls))
    assert levels(told) == ["OK", "OK", "WARN", "WARN", "OK"]
    assert "3.6.16, 3.7.3" in told[2].what
    assert "3 members (a, b, c), 2 URLs" in told[3].what


@pytest.mark.parametrize(
    ("auth", "refused", "users", "level"),
    [
        (True, "", True, "OK"),
        (True, "", False, "OK"),
        (False, "", True, "WARN"),
        (False, "", False, "OK"),
        (None, "no such user", True, "FAIL"),
        (None, "no such user", False, "WARN"),
        (None, "", True, "UNKNOWN"),
    ],
)
def test_whether_users_are_checked(
    refused: str, level: str, *, auth: bool | None, users: bool
) -> None:
    last = judged(replace(GOOD, auth=auth, refused=refused), users=users)[-1]
    assert (last.check, last.level.value) == ("core users", level)


@pytest.mark.parametrize(
    ("keeps_all", "revision", "level"),
    [(False, 9, "OK"), (True, 9, "UNKNOWN"), (True, 90_000, "WARN"), (None, 9, "UNKNOWN")],
)
def test_whether_anybody_compacts(revision: int, level: str, *, keeps_all: bool | None) -> None:
    member = Member(URL, replace(STATUS, revision=revision))
    found = compaction_finding(replace(GOOD, members=(member,), keeps_all=keeps_all))
    assert found.level.value == level


def test_where_nobody_listens_the_error_says_so() -> None:
    url = f"http://127.0.0.1:{ports.free(1)[0]}"
    state = ask(Access((url,)))
    assert not state.reached
    assert "refused" in state.members[0].error
