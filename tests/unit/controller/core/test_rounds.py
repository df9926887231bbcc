import random
import threading
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from controller.api.conditions import Problem
from controller.core.agenda import Agenda, Order
from controller.core.compaction import NOTE, RETENTION, WRITES
from controller.core.errors import ClosedError, CoreError, DeniedError, UnreachableError
from controller.core.identity import Permission, permissions, user_name
from controller.core.looks import Listeners, Pace, UserState
from controller.core.rounds import Rounds
from controller.core.users import NOTHING, AddUser, DeleteUser, Found, GrantPermission
from tests.support.authstore import AuthStore
from tests.support.clock import FakeClock

PACE = Pace()
EVERYTHING = Permission(b"\0", b"\0", "READWRITE")


class Time(FakeClock):
    """Whoever waits for an event waits no time at all, but the clock says so much passed."""

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        self.step(timeout or 0.0)
        return event.is_set()


@dataclass
class Keeping:
    """Rounds by hand."""

    clock: Time = field(default_factory=Time)
    store: AuthStore = field(default_factory=AuthStore)
    agenda: Agenda = field(default_factory=Agenda)
    changed: list[str] = field(default_factory=list)
    core_changes: int = 0

    def __post_init__(self) -> None:
        listeners = Listeners(self.changed.append, self.count, lambda _: None)
        rng = random.Random(1)
        self.rounds = Rounds(self.agenda, listeners, clock=self.clock, rng=rng, pace=PACE)
        self.rounds.use(self.store)

    def count(self) -> None:
        self.core_changes += 1

    def rest(self) -> float:
        """Go on until there is nothing to do; return for how long."""
        while not (wait := self.rounds.advance()):
            assert wait is not None
        return wait

    @property
    def auth(self) -> bool | None:
        return self.rounds.look.auth

    def want(self, storage: str, *, claimed: bool = True) -> UserState:
        return self.agenda.ask(Order(storage, wanted=True, claimed=claimed)).state

    def drop(self, storage: str) -> UserState:
        return self.agenda.ask(Order(storage, wanted=False, claimed=True)).state

    def found(self, storage: str) -> Found:
        return self.store.find(user_name(storage))


@pytest.fixture
def keeping() -> Keeping:
    return Keeping()


def right(storage: str) -> Found:
    return Found(permissions(storage), frozenset({user_name(storage)}))


def test_a_user_is_made_and_removed(keeping: Keeping) -> None:
    assert keeping.want("a") is UserState.PENDING
    keeping.rest()
    assert keeping.want("a") is UserState.READY
    assert keeping.found("a") == right("a")
    assert keeping.drop("a") is UserState.PENDING
    keeping.rest()
    assert keeping.drop("a") is UserState.GONE
    assert keeping.found("a") == NOTHING
    assert keeping.changed == ["a", "a"]


def test_what_is_not_claimed_is_only_looked_at(keeping: Keeping) -> None:
    keeping.want("a", claimed=False)
    keeping.store.take(AddUser(user_name("b")))
    keeping.want("b", claimed=False)
    before = keeping.store.changes
    keeping.rest()
    assert keeping.want("a", claimed=False) is UserState.FREE
    assert keeping.want("b", claimed=False) is UserState.FAILED
    assert keeping.store.changes == before
    # It is looked at again with each poll.
    keeping.store.take(DeleteUser(user_name("b")))
    keeping.clock.step(PACE.poll)
    keeping.rest()
    assert keeping.want("b", claimed=False) is UserState.FREE


def test_a_name_that_was_free_and_is_taken_is_told_at_the_next_poll(keeping: Keeping) -> None:
    """Between two audits as well: whoever could not claim it at once must not claim it now."""
    keeping.want("a", claimed=False)
    keeping.rest()
    assert keeping.want("a", claimed=False) is UserState.FREE
    keeping.store.take(AddUser(user_name("a")))
    keeping.clock.step(PACE.poll)
    keeping.rest()
    assert keeping.want("a", claimed=False) is UserState.FAILED


def test_no_user_is_read_as_long_as_nobody_changed_any(keeping: Keeping) -> None:
    for name in "abc":
        keeping.want(name)
    keeping.rest()
    before = keeping.store.finds
    for _ in range(100):
        keeping.clock.step(PACE.poll)
        keeping.rest()
    assert keeping.store.finds == before


def test_what_somebody_changed_is_mended_and_told(keeping: Keeping) -> None:
    for name in "abc":
        keeping.want(name)
    keeping.rest()
    keeping.clock.step(PACE.audit)
    keeping.store.take(GrantPermission(user_name("b"), EVERYTHING))
    with capture_logs() as logs:
        keeping.rest()
    assert keeping.found("b") == right("b")
    (repaired,) = (line for line in logs if line["event"] == "core_user_repaired")
    assert repaired["key"] == "b"
    assert keeping.want("b") is UserState.READY
    assert keeping.changed == ["a", "b", "c"]


def test_audits_keep_their_distance(keeping: Keeping) -> None:
    keeping.want("a")
    keeping.rest()
    keeping.store.take(GrantPermission(user_name("a"), EVERYTHING))
    keeping.clock.step(PACE.poll)
    keeping.rest()
    assert keeping.found("a") != right("a")
    keeping.clock.step(PACE.audit)
    keeping.rest()
    assert keeping.found("a") == right("a")


def test_changes_are_paced_and_the_first_are_not(keeping: Keeping) -> None:
    began = keeping.clock.monotonic()
    keeping.want("first")
    keeping.rest()
    assert keeping.clock.monotonic() - began < 0.1
    for n in range(100):
        keeping.want(f"s{n}")
    keeping.rest()
    changes = 5 * 101 - PACE.burst
    assert keeping.clock.monotonic() - began == pytest.approx(changes / PACE.changes, rel=0.05)


def test_changes_take_a_small_part_of_the_core_s_time(keeping: Keeping) -> None:
    keeping.store.takes = lambda: keeping.clock.step(0.05)
    keeping.want("a")
    began = keeping.clock.monotonic()
    keeping.rest()
    # Five changes, and four rests between them.
    assert keeping.clock.monotonic() - began == pytest.approx(4 * 0.05 / PACE.share + 0.05)


def test_a_crash_between_any_two_steps_is_made_good(keeping: Keeping) -> None:
    for step in range(8):
        name = f"s{step}"
        keeping.want(name)
        # The first poll is one call, the look at the user one more.
        keeping.store.failures = [None] * (step + 1) + [UnreachableError("gone")]
        keeping.rest()
        keeping.store.failures = []
        keeping.clock.step(PACE.poll)
        keeping.rest()
        assert keeping.want(name) is UserState.READY
        assert keeping.found(name) == right(name)


def test_a_core_that_does_not_answer_is_left_alone_for_longer_and_longer(
    keeping: Keeping,
) -> None:
    keeping.want("a")
    waits = []
    for _ in range(8):
        keeping.store.failures = [UnreachableError("https://core: refused")]
        waits.append(keeping.rest())
        keeping.clock.step(waits[-1])
    assert all(0.5 * 2**n <= wait <= min(2**n, 30) for n, wait in enumerate(waits[:5]))
    assert all(15 <= wait <= 30 for wait in waits[5:])
    look = keeping.rounds.look
    assert look.problem
    assert look.problem.reason == "CoreUnreachable"
    assert "https://core: refused" in look.problem.message
    assert keeping.core_changes == 1
    assert keeping.want("a") is UserState.PENDING
    keeping.rest()
    assert keeping.rounds.look.problem is None
    assert keeping.want("a") is UserState.READY


def test_what_was_known_of_auth_outlives_the_connection(keeping: Keeping) -> None:
    looks = [keeping.auth]
    keeping.rest()
    looks.append(keeping.auth)
    keeping.store.failures = [UnreachableError("gone")]
    keeping.clock.step(PACE.poll)
    wait = keeping.rest()
    assert not keeping.rounds.look.reachable
    looks.append(keeping.auth)
    keeping.store.enabled = False
    keeping.clock.step(wait)
    keeping.rest()
    assert [*looks, keeping.auth] == [None, True, True, False]
    assert keeping.core_changes == 3


@pytest.mark.parametrize(
    ("error", "reason"),
    [(DeniedError("permission denied"), "CoreAccessDenied"), (CoreError("odd"), "CoreFailed")],
)
def test_a_core_that_refuses_says_why_and_nothing_is_tried(
    keeping: Keeping, error: CoreError, reason: str
) -> None:
    keeping.want("a")
    keeping.store.failures = [error]
    keeping.rest()
    problem = keeping.rounds.look.problem
    assert problem
    assert problem.reason == reason
    assert str(error) in problem.message
    assert keeping.found("a") == NOTHING


def test_one_user_that_the_core_refuses_holds_up_no_other(keeping: Keeping) -> None:
    keeping.rest()
    keeping.want("a")
    keeping.want("b")
    keeping.store.failures = [CoreError("odd")]
    keeping.rest()
    look = keeping.agenda.look("a")
    assert look
    assert look.state is UserState.FAILED
    assert look.problem
    assert "etcdstorage:a: odd" in look.problem.message
    assert keeping.want("b") is UserState.READY
    keeping.clock.step(PACE.poll)
    keeping.rest()
    assert keeping.want("a") is UserState.READY


def test_another_order_in_the_middle_ends_the_steps_of_the_old_one(keeping: Keeping) -> None:
    keeping.rest()
    keeping.want("a")
    keeping.store.takes = lambda: keeping.drop("a")
    keeping.rest()
    assert keeping.drop("a") is UserState.GONE
    assert keeping.found("a") == NOTHING
    # The role was made, and nothing after it.
    assert len(keeping.store.log) == 2


def test_nothing_is_changed_once_it_stops(keeping: Keeping) -> None:
    keeping.rest()
    keeping.want("a")
    keeping.rounds.stopping.set()
    keeping.rest()
    assert keeping.store.log == []


def test_a_closed_connection_is_the_caller_s_business(keeping: Keeping) -> None:
    keeping.store.failures = [ClosedError("closed")]
    with pytest.raises(ClosedError):
        keeping.rounds.advance()


def test_without_a_core_there_is_nothing_to_do(keeping: Keeping) -> None:
    keeping.rest()
    keeping.rounds.lose(Problem("NoSecret", "make it"))
    assert keeping.rounds.advance() is None
    assert keeping.rounds.look.problem == Problem("NoSecret", "make it")
    assert keeping.auth is True


def test_another_core_has_all_its_users_looked_at(keeping: Keeping) -> None:
    keeping.want("a")
    keeping.rest()
    keeping.rounds.use(other := AuthStore())
    keeping.rest()
    assert other.find(user_name("a")) == right("a")


def test_a_core_that_nobody_compacts_is_told_after_days(keeping: Keeping) -> None:
    hours = int(RETENTION / NOTE) + 2
    for _ in range(hours):
        assert keeping.rounds.look.compaction is None
        keeping.rest()
        keeping.clock.step(NOTE)
        keeping.store.written += 2 * WRITES
    keeping.rest()
    assert keeping.rounds.look.compaction
    assert keeping.rounds.look.compaction.reason == "CoreNotCompacted"
    assert keeping.rounds.look.problem is None
    keeping.store.compacted = keeping.store.written
    keeping.clock.step(PACE.poll)
    keeping.rest()
    assert keeping.rounds.look.compaction is None
