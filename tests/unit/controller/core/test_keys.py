import random
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from controller.core.errors import ClosedError, CoreError, DeniedError, UnreachableError
from controller.core.keys import Keys
from controller.core.looks import Pace, PurgeLook
from tests.support.clock import FakeClock
from tests.support.keystore import KeyStore

PACE = Pace(page=10)


class Keeping:
    """Keys by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.changed: list[str] = []
        self.store = KeyStore()
        rng = random.Random(1)
        self.keys = Keys(self.changed.append, clock=self.clock, rng=rng, pace=PACE)

    def turn(self) -> float | None:
        return self.keys.advance(self.store)

    def run(self, seconds: float, after: Callable[[], object] = lambda: None) -> None:
        """Let so much time pass; `after` is called after each turn."""
        end = self.clock.monotonic() + seconds
        for _ in range(10_000):
            wait = self.turn()
            after()
            if wait:
                self.clock.step(min(wait, max(0.0, end - self.clock.monotonic())))
            if wait is None or self.clock.monotonic() >= end:
                return
        raise AssertionError("it never rests")


@pytest.fixture
def keeping() -> Keeping:
    return Keeping()


def keys_of(storage: str, count: int) -> list[bytes]:
    return [f"/{storage}/{n:05}".encode() for n in range(count)]


NEIGHBOURS = [b"/", b"/a", b"/a-b/1", b"/a.b/1", b"/a0", b"/a0/1", b"/aa/1", b"/b/1", b"a", b"z"]


def test_every_key_of_a_storage_is_removed_and_no_other(keeping: Keeping) -> None:
    keeping.store.put(*NEIGHBOURS, b"/a/", b"/a/\0", b"/a/\xff\xff", *keys_of("a", 95))
    assert keeping.keys.purge("a") == PurgeLook()
    with capture_logs() as logs:
        keeping.run(10)
    assert keeping.keys.purge("a").done
    assert keeping.store.keys == sorted(NEIGHBOURS)
    assert max(keeping.store.pages) == PACE.page
    assert [(line["key"], line["keys"]) for line in logs] == [("a", 98)]
    assert keeping.changed == ["a"]
    assert keeping.turn() is None


def test_two_storages_take_turns(keeping: Keeping) -> None:
    for name in "ab":
        keeping.store.put(*keys_of(name, 30))
        keeping.keys.purge(name)
    left = []
    for _ in range(6):
        keeping.turn()
        left.append([keeping.store.count(f"/{n}/".encode(), f"/{n}0".encode()) for n in "ab"])
    assert left == [[20, 30], [20, 20], [10, 20], [10, 10], [0, 10], [0, 0]]


def test_the_core_has_most_of_the_time_for_others(keeping: Keeping) -> None:
    class Slow(KeyStore):
        def delete(self, key: bytes, range_end: bytes) -> int:
            keeping.clock.step(0.02)
            return super().delete(key, range_end)

    keeping.store = Slow(*keys_of("a", 30))
    keeping.keys.purge("a")
    assert keeping.turn() == 0
    assert keeping.turn() == pytest.approx(0.02 * (1 / PACE.share - 1))


def test_whoever_goes_on_writing_is_told_of_and_loses_in_the_end(keeping: Keeping) -> None:
    keeping.store.put(b"/a/still")
    keeping.keys.purge("a")
    keeping.run(60, lambda: keeping.store.put(b"/a/still"))
    look = keeping.keys.purge("a")
    assert not look.done
    assert look.problem
    assert look.problem.reason == "KeysKeepComing"
    turns = len(keeping.store.pages)
    keeping.run(600, lambda: keeping.store.put(b"/a/still"))
    # Less than a pass, which is two pages, in ten seconds.
    assert len(keeping.store.pages) - turns < 120
    keeping.run(60)
    assert keeping.keys.purge("a") == PurgeLook(done=True)
    assert keeping.store.keys == []


def test_a_core_that_is_away_is_asked_again_and_less_and_less(keeping: Keeping) -> None:
    keeping.store = KeyStore(*keys_of("a", 5))
    keeping.store.failures = [UnreachableError("away")] * 8
    keeping.keys.purge("a")
    waits = []
    for _ in range(8):
        with pytest.raises(UnreachableError):
            keeping.turn()
        waits.append(keeping.turn() or 0.0)
        keeping.clock.step(waits[-1])
    assert all(wait >= 1 for wait in waits)
    assert all(15 <= wait <= 30 for wait in waits[5:])
    keeping.run(1)
    assert keeping.keys.purge("a").done


def test_one_storage_that_is_refused_tells_why_and_holds_up_no_other(keeping: Keeping) -> None:
    class Refusing(KeyStore):
        def page(self, key: bytes, range_end: bytes, limit: int) -> tuple[bytes, ...]:
            if key.startswith(b"/a/") and limit > 1:
                raise CoreError("message larger than max")
            return super().page(key, range_end, limit)

    keeping.store = Refusing(*keys_of("a", 3), *keys_of("b", 3))
    for name in "ab":
        keeping.keys.purge(name)
    keeping.run(0.5)
    assert keeping.keys.purge("b").done
    look = keeping.keys.purge("a")
    assert look.problem
    assert look.problem.reason == "CoreKeysRefused"
    assert "under /a/: message larger than max" in look.problem.message
    # Keys may be too much together, and not one by one.
    keeping.run(600)
    assert keeping.keys.purge("a").done


def test_what_is_forgotten_in_the_middle_of_a_page_stays(keeping: Keeping) -> None:
    class Forgetting(KeyStore):
        def page(self, key: bytes, range_end: bytes, limit: int) -> tuple[bytes, ...]:
            keeping.keys.forget("a")
            return super().page(key, range_end, limit)

    keeping.store = Forgetting(*keys_of("a", 3))
    keeping.keys.purge("a")
    keeping.run(10)
    assert len(keeping.store.keys) == 3


def test_a_storage_that_is_counted_again_keeps_its_keys(keeping: Keeping) -> None:
    """Its policy was changed, or it is a new one of the name."""
    keeping.store.put(*keys_of("a", 30))
    keeping.keys.purge("a")
    keeping.turn()
    assert keeping.keys.count("a") is None
    keeping.run(2 * PACE.count)
    assert keeping.keys.count("a") == 20
    assert len(keeping.store.keys) == 20


def test_keys_are_counted_now_and_then_and_only_news_is_told(keeping: Keeping) -> None:
    keeping.store.put(*keys_of("a", 3), *NEIGHBOURS)
    assert keeping.keys.count("a") is None
    keeping.run(PACE.count)
    assert keeping.keys.count("a") == 3
    keeping.run(10 * PACE.count)
    assert keeping.changed == ["a"]
    keeping.store.put(b"/a/more")
    keeping.run(1.2 * PACE.count)
    assert keeping.keys.count("a") == 4
    assert keeping.changed == ["a", "a"]


def test_what_was_told_before_holds_until_it_is_too_old(keeping: Keeping) -> None:
    assert keeping.keys.count("a", 7) == 7
    assert keeping.keys.count("b") is None
    span = 2 * PACE.count
    assert keeping.keys.age() == span
    keeping.clock.step(span - 1)
    assert keeping.keys.age() == 1
    assert keeping.keys.count("a", 7) == 7
    keeping.clock.step(1)
    keeping.keys.age()
    # Whoever asks has not been told yet, and may still think so.
    assert keeping.keys.count("a", 7) is None
    assert keeping.changed == ["a"]
    keeping.store.put(*keys_of("a", 3))
    keeping.run(1)
    assert keeping.keys.count("a") == 3
    assert sorted(keeping.changed) == ["a", "a", "b"]


def test_numbers_stay_as_long_as_they_are_counted(keeping: Keeping) -> None:
    for name in "abc":
        keeping.keys.count(name)
    keeping.run(10 * PACE.count, keeping.keys.age)
    assert [keeping.keys.count(name) for name in "abc"] == [0, 0, 0]
    assert sorted(keeping.changed) == [*"abc"]


def test_a_number_that_is_refused_again_is_given_up_too(keeping: Keeping) -> None:
    keeping.keys.count("a", 7)
    keeping.store.failures = [DeniedError("permission denied")] * 1000
    keeping.run(3 * PACE.count, keeping.keys.age)
    assert keeping.keys.count("a") is None
    assert keeping.changed == ["a"]


def test_storages_that_come_and_go_while_the_core_is_away_leave_nothing(keeping: Keeping) -> None:
    keeping.keys.count("stays")
    for n in range(1000):
        keeping.keys.count(f"s{n}")
        keeping.keys.forget(f"s{n}")
    assert len(keeping.keys._line) <= 4


def test_the_counts_of_many_are_spread(keeping: Keeping) -> None:
    for n in range(1000):
        keeping.keys.count(f"s{n}")
    keeping.run(PACE.count / 10)
    known = sum(keeping.keys.count(f"s{n}") is not None for n in range(1000))
    assert 50 < known < 200


def test_a_count_that_is_refused_is_no_number(keeping: Keeping) -> None:
    keeping.store.failures = [DeniedError("permission denied")]
    keeping.keys.count("a")
    keeping.run(PACE.count)
    assert keeping.keys.count("a") == 0
    assert keeping.changed == ["a"]


def test_a_closed_connection_is_the_caller_s_business(keeping: Keeping) -> None:
    keeping.store.failures = [ClosedError("closed")]
    keeping.keys.purge("a")
    with pytest.raises(ClosedError):
        keeping.turn()
    keeping.run(10)
    assert keeping.keys.purge("a").done
