import random
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from controller.api.conditions import Problem
from controller.core import (
    Access,
    CoreLook,
    Listeners,
    Pace,
    Trust,
    TrustLook,
    UserKeeper,
    UserState,
    user_name,
)
from controller.core.errors import ClosedError, DeniedError, UnreachableError
from controller.core.looks import AuthStatus
from controller.core.users import NOTHING
from tests.support.authstore import AuthStore
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.members import candidate

ACCESS = Access(("https://core:2379",), b"ca", b"cert", b"key")


class Hanging(AuthStore):
    """A core whose first call waits until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self._closing = threading.Event()

    def auth_status(self) -> AuthStatus:
        self.asked.set()
        self._closing.wait()
        raise ClosedError("closed")

    def close(self) -> None:
        self._closing.set()
        super().close()


class Refusing(AuthStore):
    """A core that takes root's pair alone, or hangs on all others."""

    def __init__(self, access: Access, *, hangs: bool = False) -> None:
        super().__init__()
        self._is_root = access.cert_pem == ACCESS.cert_pem
        self._closing = threading.Event()
        self.asked = threading.Event()
        if not hangs:
            self._closing.set()

    def answers(self) -> bool:
        if self._is_root:
            return True
        self.asked.set()
        self._closing.wait()
        if self.closed:
            raise ClosedError("closed")
        return False

    def close(self) -> None:
        super().close()
        self._closing.set()


class Told:
    def __init__(self) -> None:
        self.changed: list[str] = []
        self.core = 0
        self.deaths: list[BaseException] = []

    def count(self) -> None:
        self.core += 1

    @property
    def listeners(self) -> Listeners:
        return Listeners(self.changed.append, self.count, self.deaths.append)


@pytest.fixture
def told() -> Told:
    return Told()


Make = Callable[[Callable[[Access], AuthStore]], UserKeeper]


@pytest.fixture
def make(clock: FakeClock, told: Told) -> Iterator[Make]:
    """Make a keeper whose connections the test makes, start it and stop it in the end."""
    made: list[UserKeeper] = []

    def start(connect: Callable[[Access], AuthStore]) -> UserKeeper:
        made.append(UserKeeper(connect, told.listeners, rng=random.Random(1), clock=clock))
        made[-1].start()
        return made[-1]

    yield start
    assert all(keeper.stop() for keeper in made)


def is_(keeper: UserKeeper, storage: str, state: UserState) -> bool:
    return keeper.want(storage, claimed=True).state is state


def test_it_waits_for_a_way_to_the_core(make: Make, told: Told) -> None:
    store = AuthStore()
    keeper = make(lambda _: store)
    assert keeper.want("a", claimed=True).state is UserState.PENDING
    assert keeper.core() == CoreLook()
    keeper.use(ACCESS)
    eventually(partial(is_, keeper, "a", UserState.READY))
    assert told.changed == ["a"]
    assert told.core == 1
    # A want that comes while it rests wakes it, though no time passes.
    keeper.drop("a")
    eventually(lambda: keeper.drop("a").state is UserState.GONE)
    assert store.find(user_name("a")) == NOTHING


def test_a_new_pair_is_a_new_connection_and_the_same_is_not(make: Make) -> None:
    stores: list[AuthStore] = []
    keeper = make(lambda _: stores.append(AuthStore()) or stores[-1])  # type: ignore[func-returns-value]
    for _ in range(3):
        keeper.use(ACCESS)
    keeper.want("a", claimed=True)
    eventually(partial(is_, keeper, "a", UserState.READY))
    assert len(stores) == 1
    keeper.use(Access(ACCESS.urls, b"ca", b"newer", b"key"))
    eventually(lambda: len(stores) == 2 and stores[1].find(user_name("a")) != NOTHING)
    assert stores[0].closed


def test_why_there_is_no_connection_is_told(make: Make, told: Told) -> None:
    store = AuthStore()
    keeper = make(lambda _: store)
    keeper.use(ACCESS)
    eventually(lambda: keeper.core().auth)
    missing = Problem("CoreRootSecretMissing", "make the Secret")
    keeper.use(missing)
    eventually(lambda: keeper.core() == CoreLook(False, missing, True))
    assert told.core == 2
    assert store.closed


def test_urls_that_are_none_are_a_problem(make: Make) -> None:
    def refuse(_: Access) -> AuthStore:
        raise ValueError("the core's URLs must be something else")

    keeper = make(refuse)
    keeper.use(ACCESS)
    problem = eventually(lambda: keeper.core().problem)
    assert problem == Problem("CoreAccessUnusable", "the core's URLs must be something else")


def test_a_stop_ends_the_call_that_waits(make: Make) -> None:
    store = Hanging()
    keeper = make(lambda _: store)
    keeper.use(ACCESS)
    # Nobody else waits for it.
    assert keeper.want("a", claimed=True).state is UserState.PENDING
    assert store.asked.wait(5)
    keeper.forget("a")
    assert keeper.stop()


def test_a_stop_before_the_start_is_a_stop(clock: FakeClock, told: Told) -> None:
    """As of a controller that stood by."""
    keeper = UserKeeper(lambda _: AuthStore(), told.listeners, rng=random.Random(1), clock=clock)
    assert keeper.stop()


def test_a_stop_ends_the_wait_for_the_pace(clock: FakeClock, told: Told) -> None:
    pace = Pace(changes=1e-6, burst=1)
    store = AuthStore()
    keeper = UserKeeper(
        lambda _: store, told.listeners, rng=random.Random(1), clock=clock, pace=pace
    )
    keeper.start()
    keeper.use(ACCESS)
    keeper.want("a", claimed=True)
    eventually(lambda: store.log)
    clock.await_waiters()
    assert keeper.stop()
    assert len(store.log) == 1


def test_the_trust_in_an_authority_is_found_out_and_told(make: Make, told: Told) -> None:
    keeper = make(lambda _: AuthStore())
    assert keeper.trust(candidate("ca")) == TrustLook()
    keeper.use(ACCESS)
    eventually(lambda: keeper.trust(candidate("ca")).trust is Trust.FULL)
    eventually(lambda: told.core == 2)  # The core, and this.
    keeper.use(Problem("CoreRootSecretMissing", "make the Secret"))
    eventually(lambda: keeper.trust(candidate("ca")).trust is Trust.UNKNOWN)


def test_who_is_refused_is_asked_for_again_while_users_are_kept(
    make: Make, clock: FakeClock
) -> None:
    refusing = {"ca"}
    keeper = make(lambda to: Refusing(to) if refusing else AuthStore())
    keeper.use(ACCESS)
    eventually(lambda: keeper.trust(candidate("ca")).trust is Trust.REFUSED)
    eventually(partial(is_, keeper, "a", UserState.READY))
    refusing.clear()
    clock.await_waiters()
    clock.step(1)
    eventually(lambda: keeper.trust(candidate("ca")).trust is Trust.FULL)


def test_a_stop_ends_the_proof_that_waits(make: Make) -> None:
    made: list[Refusing] = []
    keeper = make(lambda to: made.append(Refusing(to, hangs=True)) or made[-1])  # type: ignore[func-returns-value]
    keeper.use(ACCESS)
    keeper.trust(candidate("ca"))
    eventually(lambda: any(store.asked.is_set() for store in made))
    assert keeper.stop()
    assert all(store.closed for store in made)


def test_a_defect_is_told(make: Make, told: Told) -> None:
    def broken(_: Access) -> AuthStore:
        raise RuntimeError("a defect")

    keeper = make(broken)
    keeper.use(ACCESS)
    keeper.core()
    eventually(lambda: told.deaths)
    assert str(told.deaths[0]) == "a defect"


def test_who_asks_need_not_wait_for_the_next_poll(told: Told) -> None:
    # By real time, as the fake one's waits end early: the poll is 30 s away.
    store = AuthStore()
    keeper = UserKeeper(lambda _: store, told.listeners, rng=random.Random(1))
    keeper.start()
    keeper.use(ACCESS)
    eventually(lambda: keeper.core().reachable)
    for storage in "ab":
        eventually(partial(is_, keeper, storage, UserState.READY))
    assert keeper.stop()


def test_nothing_is_asked_of_the_core_before_somebody_wants_to_know(
    make: Make, clock: FakeClock
) -> None:
    """So that storages that need nothing there cost no connection."""
    made: list[AuthStore] = []

    def connect(_: Access) -> AuthStore:
        made.append(AuthStore())
        made[-1].keyspace.put(b"/a/1", b"/a/2")
        return made[-1]

    keeper = make(connect)
    keeper.use(ACCESS)
    assert keeper.count("a") is None
    clock.await_waiters()
    assert made == []
    clock.step(Pace().count)
    eventually(lambda: keeper.count("a") == 2)


class Falling(random.Random):
    """Draws a long time first, and short ones from then on."""

    def __init__(self) -> None:
        super().__init__(1)
        self._first = True

    def uniform(self, a: float, b: float) -> float:
        first, self._first = self._first, False
        return 1000 * b if first else super().uniform(a, b)


def test_keys_are_counted_where_nobody_asks_for_anything_else(told: Told) -> None:
    # By real time, as the fake one's waits end early.
    store = AuthStore(enabled=False)
    store.keyspace.put(b"/a/1", b"/a/2")
    pace = Pace(count=0.05)
    keeper = UserKeeper(lambda _: store, told.listeners, rng=Falling(), pace=pace)
    keeper.use(ACCESS)
    keeper.start()
    for name in "ba":
        # It has looked, and waits for nobody, or for somebody who is much later.
        eventually(lambda: not keeper._woken)
        keeper.count(name)
    eventually(lambda: keeper.count("a") == 2)
    assert keeper.stop()


def test_a_number_that_nobody_could_count_again_is_given_up(
    make: Make, clock: FakeClock, told: Told
) -> None:
    store = AuthStore()
    store.keyspace.put(b"/a/1", b"/a/2")
    keeper = make(lambda _: store)
    keeper.use(ACCESS)
    assert keeper.count("a", 7) == 7
    clock.step(Pace().count)
    eventually(lambda: keeper.count("a") == 2)
    store.failures = [UnreachableError("away")] * 10_000
    told.changed.clear()
    clock.step(1.9 * Pace().count)
    eventually(lambda: not keeper.core().reachable)
    assert keeper.count("a") == 2
    clock.step(0.2 * Pace().count)
    eventually(lambda: keeper.count("a") is None)
    eventually(lambda: told.changed == ["a"])
    store.failures.clear()
    clock.step(Pace().count)
    eventually(lambda: keeper.count("a") == 2)


def test_keys_are_removed_where_there_are_no_users(make: Make, told: Told) -> None:
    store = AuthStore(enabled=False)
    store.keyspace.put(b"/a/1", b"/aa/1")
    keeper = make(lambda _: store)
    keeper.use(ACCESS)
    assert not keeper.purge("a").done
    eventually(lambda: keeper.purge("a").done)
    assert store.keyspace.keys == [b"/aa/1"]
    assert "a" in told.changed
    assert store.log == []


def test_no_keys_are_touched_in_a_core_that_refuses_us(make: Make) -> None:
    store = AuthStore(failures=[DeniedError("no root")] * 100)
    store.keyspace.put(b"/a/1")
    keeper = make(lambda _: store)
    keeper.use(ACCESS)
    keeper.purge("a")
    eventually(lambda: keeper.core().problem)
    assert not keeper.purge("a").done
    assert store.keyspace.keys == [b"/a/1"]


def test_a_core_that_does_not_answer_for_keys_is_told_without_a_poll_s_delay(make: Make) -> None:
    store = AuthStore()
    keeper = make(lambda _: store)
    keeper.use(ACCESS)
    eventually(lambda: keeper.core().reachable)
    store.keyspace.failures = [UnreachableError("away")]
    store.failures = [UnreachableError("away")]
    keeper.purge("a")
    eventually(lambda: keeper.core().problem)
