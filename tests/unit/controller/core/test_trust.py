import random
import threading

import pytest

from controller.core import Candidate, Trust, TrustLook
from controller.core.errors import ClosedError
from controller.core.trust import Proof
from controller.pki import Pair
from tests.support.clock import FakeClock
from tests.support.members import ROOT, Members, access, candidate

ONE, TWO, THREE = urls = ("https://1", "https://2", "https://3")


class Proving:
    """A proof, its members, and how often it told of news."""

    def __init__(self, clock: FakeClock, **bundles: set[str]) -> None:
        self.clock = clock
        self.members = Members({f"https://{n[1:]}": trusted for n, trusted in bundles.items()})
        self.told = 0
        self.proof = Proof(self.members.connect, self._tell, clock=clock, rng=random.Random(1))

    def _tell(self) -> None:
        self.told += 1

    def by(self, *to: str, root: bytes = ROOT) -> "Proving":
        self.proof.use(access(*to, root=root))
        return self

    def settle(self, name: str = "ca") -> TrustLook:
        """Ask, let the proof go on as long as it has something to do, and ask again."""
        self.proof.look(candidate(name))
        while self.proof.advance() == 0:
            pass
        assert self.members.open == 0
        return self.proof.look(candidate(name))

    def later(self, seconds: float = 30) -> TrustLook:
        self.clock.step(seconds)
        return self.settle()


def test_nothing_is_asked_without_a_way_or_a_candidate(clock: FakeClock) -> None:
    proving = Proving(clock, m1={"ca"})
    assert proving.proof.advance() is None
    assert proving.settle() == TrustLook()
    proving.by(ONE)
    proving.proof.use(None)
    assert proving.settle() == TrustLook()
    assert (proving.members.asked, proving.told) == ([], 0)


def test_what_all_members_take_is_trusted_and_not_asked_for_again(clock: FakeClock) -> None:
    proving = Proving(clock, m1={"ca"}, m2={"other", "ca"}).by(ONE, TWO)
    assert proving.settle() == TrustLook(Trust.FULL)
    asked = len(proving.members.asked)
    assert {url for url, shown in proving.members.asked if shown == "ca"} == {ONE, TWO}
    assert proving.later(10**7) == TrustLook(Trust.FULL)
    assert proving.proof.advance() is None
    assert (len(proving.members.asked), proving.told) == (asked, 1)


def test_one_member_that_refuses_is_named_and_asked_until_it_takes_it(clock: FakeClock) -> None:
    proving = Proving(clock, m1={"ca"}, m2=set(), m3={"ca"}).by(*urls)
    divided = TrustLook(Trust.DIVIDED, (TWO,))
    assert proving.settle() == divided
    for _ in range(5):
        assert proving.later() == divided
    assert proving.told == 1, "the same answer is no news"
    proving.members.bundles[TWO] = {"ca"}
    assert proving.later() == TrustLook(Trust.FULL)
    assert proving.told == 2


def test_a_member_that_is_away_refuses_nothing(clock: FakeClock) -> None:
    proving = Proving(clock, m1={"ca"}).by(ONE, TWO)
    assert proving.settle() == TrustLook(Trust.PARTIAL, (TWO,))
    proving.members.bundles.clear()
    # What the others said stays, and so it does after a refusal.
    assert proving.later() == TrustLook(Trust.PARTIAL, (TWO,))
    proving.members.bundles.update({TWO: set()})
    assert proving.later() == TrustLook(Trust.REFUSED, (TWO,))
    proving.members.bundles.clear()
    assert proving.later() == TrustLook(Trust.REFUSED, (TWO,))
    assert proving.told == 2
    proving.members.bundles.update({ONE: {"ca"}, TWO: set()})
    assert proving.later() == TrustLook(Trust.DIVIDED, (TWO,))


def test_a_core_that_is_away_says_nothing(clock: FakeClock) -> None:
    proving = Proving(clock).by(ONE, TWO)
    assert proving.settle() == TrustLook()
    proving.members.bundles[ONE] = {"ca"}
    assert proving.later() == TrustLook(Trust.PARTIAL, (TWO,))


@pytest.mark.parametrize("after", [1, 2])
def test_a_member_that_goes_while_it_is_asked_refuses_nothing(
    clock: FakeClock, after: int
) -> None:
    proving = Proving(clock, m1={"other"}).by(ONE)
    members = proving.members

    def go() -> None:
        if len(members.asked) == after:
            members.bundles.clear()

    members.on_ask = go
    # The first answer was still on its way; the next one never comes.
    assert proving.settle().trust is Trust.UNKNOWN


def test_the_wait_between_two_tries_grows_to_half_a_minute(clock: FakeClock) -> None:
    proving = Proving(clock, m1=set()).by(ONE)
    waits = []
    for _ in range(9):
        proving.settle()
        waits.append(proving.proof.advance() or 0)
        asked = len(proving.members.asked)
        clock.step(waits[-1] - 0.01)
        proving.settle()
        assert len(proving.members.asked) == asked
        clock.step(0.02)
    assert 0.5 <= waits[0] <= 1
    assert all(15 <= wait <= 30 for wait in waits[5:])


def test_another_candidate_or_way_begins_at_once_and_anew(clock: FakeClock) -> None:
    proving = Proving(clock, m1={"ca"}, m2=set()).by(ONE)
    assert proving.settle("other").trust is Trust.REFUSED
    assert proving.settle("ca").trust is Trust.FULL
    proving.by(ONE, root=b"renewed")
    assert proving.proof.look(candidate("ca")).trust is Trust.UNKNOWN
    proving.by(TWO)
    assert proving.settle("ca").trust is Trust.REFUSED
    proving.by(ONE)
    assert proving.settle("ca").trust is Trust.FULL
    asked = len(proving.members.asked)
    proving.by(ONE)
    assert proving.settle("ca").trust is Trust.FULL
    assert len(proving.members.asked) == asked


def test_an_answer_for_another_candidate_is_dropped(clock: FakeClock) -> None:
    proving = Proving(clock, m1={"ca"}).by(ONE)
    members = proving.members
    members.on_ask = lambda: proving.proof.look(candidate("newer"))
    proving.proof.look(candidate("ca"))
    assert proving.proof.advance() == 0
    assert proving.told == 0
    members.on_ask = lambda: None
    assert proving.settle("newer").trust is Trust.REFUSED


def test_each_try_has_a_pair_of_its_own(clock: FakeClock) -> None:
    proving = Proving(clock, m1=set()).by(ONE)
    made: list[None] = []

    def sign() -> object:
        made.append(None)
        return candidate("ca").sign()

    counted = Candidate(b"ca", sign)  # type: ignore[arg-type]
    for _ in range(3):
        proving.proof.look(counted)
        proving.proof.advance()
        clock.step(60)
    assert len(made) == 3


def test_an_authority_that_cannot_sign_is_told_and_tried_again(clock: FakeClock) -> None:
    proving = Proving(clock, m1={"ca"}).by(ONE)
    spoilt = [True]

    def sign() -> Pair:
        if spoilt:
            raise OverflowError("date value out of range")
        return candidate("ca").sign()

    failing = Candidate(b"ca", sign)
    proving.proof.look(failing)
    for _ in range(3):
        assert proving.proof.advance()
        assert proving.proof.look(failing) == TrustLook(Trust.UNSIGNED)
        clock.step(30)
    assert (proving.members.asked, proving.told) == ([], 1)
    spoilt.clear()
    assert proving.proof.advance() is None
    assert proving.proof.look(failing) == TrustLook(Trust.FULL)


def test_a_close_ends_the_question_and_all_further_ones(clock: FakeClock) -> None:
    proving = Proving(clock, m1={"ca"}).by(ONE)
    asked, closed = threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        assert closed.wait(5)

    proving.members.on_ask = wait

    def close() -> None:
        assert asked.wait(5)
        proving.proof.close()
        closed.set()

    closing = threading.Thread(target=close)
    closing.start()
    proving.proof.look(candidate("ca"))
    for _ in range(2):
        with pytest.raises(ClosedError):
            proving.proof.advance()
    closing.join()
    assert len(proving.members.asked) == 1
    assert proving.members.open == 0
