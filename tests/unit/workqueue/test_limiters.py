"""The cases of client-go's default_rate_limiters_test.go, and those that it lacks."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.clock import FakeClock
from workqueue.limiters import (
    BucketRateLimiter,
    ItemExponentialFailureRateLimiter,
    ItemFastSlowRateLimiter,
    MaxOfRateLimiter,
    RateLimiter,
    WithMaxWaitRateLimiter,
    default_controller_rate_limiter,
    default_item_based_rate_limiter,
)

MS = 0.001


def delays(limiter: RateLimiter[str], item: str, count: int) -> list[float]:
    return [limiter.when(item) for _ in range(count)]


def test_exponential_doubles_for_each_item_until_forgotten() -> None:
    limiter = ItemExponentialFailureRateLimiter[str](1 * MS, 1.0)
    assert delays(limiter, "one", 5) == [1 * MS, 2 * MS, 4 * MS, 8 * MS, 16 * MS]
    assert delays(limiter, "two", 2) == [1 * MS, 2 * MS]
    assert (limiter.num_requeues("one"), limiter.num_requeues("two")) == (5, 2)
    limiter.forget("one")
    assert (limiter.num_requeues("one"), limiter.num_requeues("two")) == (0, 2)
    assert delays(limiter, "one", 1) == [1 * MS]


@pytest.mark.parametrize(("base", "cap"), [(1 * MS, 1000.0), (60.0, 3.6e6), (1e300, 1e301)])
def test_exponential_stops_at_the_maximum_and_does_not_overflow(base: float, cap: float) -> None:
    limiter = ItemExponentialFailureRateLimiter[str](base, cap)
    seen = delays(limiter, "one", 3000)
    assert seen == sorted(seen)
    assert seen[0] == base
    assert seen[40:] == [cap] * 2960
    assert limiter.num_requeues("one") == 3000


def test_exponential_without_a_maximum_does_not_overflow() -> None:
    limiter = ItemExponentialFailureRateLimiter[str](1.0, math.inf)
    assert delays(limiter, "one", 3000)[-1] == 2.0**1023


def test_fast_slow() -> None:
    limiter = ItemFastSlowRateLimiter[str](5 * MS, 10.0, 3)
    assert delays(limiter, "one", 5) == [5 * MS, 5 * MS, 5 * MS, 10.0, 10.0]
    assert delays(limiter, "two", 2) == [5 * MS, 5 * MS]
    assert (limiter.num_requeues("one"), limiter.num_requeues("two")) == (5, 2)
    limiter.forget("one")
    assert limiter.num_requeues("one") == 0
    assert delays(limiter, "one", 1) == [5 * MS]


def test_bucket_gives_the_burst_and_then_lets_waits_add_up(clock: FakeClock) -> None:
    limiter = BucketRateLimiter(10.0, 3, clock=clock)
    assert [limiter.when(item) for item in "abcabc"] == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3])


def test_bucket_fills_with_time_up_to_the_burst(clock: FakeClock) -> None:
    limiter = BucketRateLimiter(10.0, 3, clock=clock)
    delays(limiter, "a", 5)
    clock.step(0.3)
    assert delays(limiter, "a", 2) == pytest.approx([0.0, 0.1]), "two of three were promised"
    clock.step(3600.0)
    assert delays(limiter, "a", 4) == pytest.approx([0, 0, 0, 0.1])


def test_bucket_remembers_no_item(clock: FakeClock) -> None:
    limiter = BucketRateLimiter(10.0, 1, clock=clock)
    delays(limiter, "a", 2)
    assert limiter.num_requeues("a") == 0
    limiter.forget("a")
    assert limiter.when("a") == pytest.approx(0.2), "forgetting gives no token back"


@pytest.mark.parametrize(
    ("qps", "burst", "named"),
    [
        (0.0, 1, "qps"),
        (-1.0, 1, "qps"),
        (math.inf, 1, "qps"),
        (math.nan, 1, "qps"),
        (1.0, 0, "burst"),
    ],
)
def test_bucket_refuses_what_would_never_let_anything_through(
    qps: float, burst: int, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        BucketRateLimiter(qps, burst)


def test_max_of_takes_the_longest_delay_and_the_largest_count() -> None:
    limiter = MaxOfRateLimiter[str](
        ItemFastSlowRateLimiter(5 * MS, 3.0, 3), ItemExponentialFailureRateLimiter(1 * MS, 1.0)
    )
    assert delays(limiter, "one", 5) == [5 * MS, 5 * MS, 5 * MS, 3.0, 3.0]
    assert delays(limiter, "two", 2) == [5 * MS, 5 * MS]
    assert (limiter.num_requeues("one"), limiter.num_requeues("two")) == (5, 2)
    limiter.forget("one")
    assert limiter.num_requeues("one") == 0
    assert delays(limiter, "one", 1) == [5 * MS]


def test_max_of_asks_and_forgets_in_all() -> None:
    parts = [ItemExponentialFailureRateLimiter[str](base, 1000.0) for base in (8 * MS, 1 * MS)]
    limiter = MaxOfRateLimiter[str](*parts)
    assert delays(limiter, "one", 3) == [8 * MS, 16 * MS, 32 * MS]
    assert [part.num_requeues("one") for part in parts] == [3, 3]
    limiter.forget("one")
    assert [part.num_requeues("one") for part in parts] == [0, 0]


def test_max_of_nothing_limits_nothing() -> None:
    limiter = MaxOfRateLimiter[str]()
    assert (limiter.when("one"), limiter.num_requeues("one")) == (0.0, 0)


def test_with_max_wait_caps_and_counts_on() -> None:
    limiter = WithMaxWaitRateLimiter[str](
        ItemExponentialFailureRateLimiter(1 * MS, 1000.0), 4 * MS
    )
    assert delays(limiter, "one", 5) == [1 * MS, 2 * MS, 4 * MS, 4 * MS, 4 * MS]
    assert limiter.num_requeues("one") == 5
    limiter.forget("one")
    assert limiter.num_requeues("one") == 0
    assert delays(limiter, "one", 1) == [1 * MS]


def test_default_for_controllers(clock: FakeClock) -> None:
    limiter = default_controller_rate_limiter(clock=clock)
    assert delays(limiter, "one", 4) == [5 * MS, 10 * MS, 20 * MS, 40 * MS]
    clock.step(1.0)
    others = [limiter.when(f"other-{number}") for number in range(103)]
    assert others[:100] == [5 * MS] * 100, "the burst is 100"
    assert others[100:] == pytest.approx([0.1, 0.2, 0.3]), "then 10 a second"
    clock.step(3600.0)
    assert delays(limiter, "one", 30)[-1] == 1000.0


def test_default_for_items() -> None:
    limiter = default_item_based_rate_limiter()
    seen = delays(limiter, "one", 30)
    assert (seen[:3], seen[-1]) == ([1 * MS, 2 * MS, 4 * MS], 1000.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ItemExponentialFailureRateLimiter[str](1 * MS, 1.0),
        lambda: ItemFastSlowRateLimiter[str](1 * MS, 1.0, 3),
    ],
)
def test_counters_of_forgotten_items_do_not_stay(
    make: Callable[[], ItemExponentialFailureRateLimiter[str] | ItemFastSlowRateLimiter[str]],
) -> None:
    limiter = make()
    for number in range(100):
        limiter.when(f"item-{number}")
        limiter.num_requeues(f"only asked for {number}")
        limiter.forget(f"item-{number}")
    assert limiter._failures._counts == {}


def test_failures_of_many_threads_are_all_counted(
    clock: FakeClock, pool: ThreadPoolExecutor
) -> None:
    limiter = MaxOfRateLimiter[str](
        ItemExponentialFailureRateLimiter(1.0, math.inf), BucketRateLimiter(1.0, 1, clock=clock)
    )
    for worker in [pool.submit(delays, limiter, "one", 200) for _ in range(4)]:
        worker.result(timeout=5)
    assert limiter.num_requeues("one") == 800
    assert limiter.when("two") == 800.0, "as many tokens were taken"
