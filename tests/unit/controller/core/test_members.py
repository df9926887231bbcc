"""What a member says, as bytes of etcd's own messages."""

from typing import Any, cast

from controller.core.connection import Connection
from controller.core.members import MemberStatus, member_status, member_urls
from tests.support.etcdmessages import field


class Member:
    """Answers by serialised messages, as a connection hands them on."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.asked: list[str] = []

    def call(self, method: str, request: Any, answer: type[Any]) -> Any:
        assert request.SerializeToString() == b""
        self.asked.append(method)
        return answer.FromString(self._answer)

    @property
    def connection(self) -> Connection:
        return cast("Connection", self)


def test_a_status_is_read_by_etcds_numbers() -> None:
    header = field(1, field(1, 7) + field(3, 500))
    answer = header + field(2, b"3.7.3") + field(3, 4096) + field(4, 9) + field(5, 1)
    answer += field(8, b"NOSPACE") + field(8, b"no leader") + field(12, 8192)
    member = Member(answer)
    assert member_status(member.connection) == MemberStatus(
        "3.7.3", 4096, 8192, leader=True, errors=("NOSPACE", "no leader"), revision=500
    )
    assert member.asked == ["Maintenance/Status"]


def test_an_old_member_tells_less() -> None:
    old = member_status(Member(field(2, b"3.4.0")).connection)
    assert (old.quota, old.leader, old.errors) == (0, False, ())


def test_members_are_listed_with_their_urls() -> None:
    one = field(1, 7) + field(2, b"core-0") + field(3, b"http://peer") + field(4, b"https://a")
    two = field(2, b"core-1") + field(4, b"https://b") + field(4, b"https://c")
    member = Member(field(1, b"") + field(2, one) + field(2, two))
    assert member_urls(member.connection) == {
        "core-0": ("https://a",),
        "core-1": ("https://b", "https://c"),
    }
    assert member.asked == ["Cluster/MemberList"]
