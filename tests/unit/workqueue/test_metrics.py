"""The cases of client-go's metrics_test.go, read from the registry as a scrape reads them."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.support.clock import FakeClock
from workqueue.limiters import ItemExponentialFailureRateLimiter
from workqueue.metrics import BUCKETS, PrometheusMetricsProvider
from workqueue.ratelimiting import RateLimitingQueue

SERIES = {
    "workqueue_depth",
    "workqueue_adds_total",
    "workqueue_queue_duration_seconds_count",
    "workqueue_queue_duration_seconds_sum",
    "workqueue_work_duration_seconds_count",
    "workqueue_work_duration_seconds_sum",
    "workqueue_unfinished_work_seconds",
    "workqueue_longest_running_processor_seconds",
    "workqueue_retries_total",
}
TICK = 2.0**-10
"""About a millisecond, and exact in binary, as are its sums: no rounding in these tests."""


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def provider(registry: CollectorRegistry) -> PrometheusMetricsProvider:
    return PrometheusMetricsProvider(registry)


@pytest.fixture
def queue(
    _no_stray_threads: None, provider: PrometheusMetricsProvider, clock: FakeClock
) -> Iterator[RateLimitingQueue[str]]:
    limiter = ItemExponentialFailureRateLimiter[str](1.0, 1000.0)
    queue = RateLimitingQueue(limiter, "storages", clock=clock, metrics=provider)
    yield queue
    queue.shut_down()


def scrape(registry: CollectorRegistry, name: str = "storages") -> dict[str, float]:
    """Every series of one queue but the buckets and times of creation, without the prefix."""
    return {
        sample.name.removeprefix("workqueue_"): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.labels == {"name": name} and not sample.name.endswith("_created")
    }


def assert_scrape(registry: CollectorRegistry, **expected: float) -> None:
    """The series named in `expected` have these values, and every other one is 0."""
    assert {name: value for name, value in scrape(registry).items() if value} == expected


@pytest.mark.usefixtures("queue")
def test_every_series_is_there_from_the_start(registry: CollectorRegistry) -> None:
    assert scrape(registry) == {name.removeprefix("workqueue_"): 0.0 for name in SERIES}


def test_an_item_from_add_to_done(
    registry: CollectorRegistry, queue: RateLimitingQueue[str], clock: FakeClock
) -> None:
    queue.add("foo")
    assert_scrape(registry, adds_total=1, depth=1)

    clock.step(50 * TICK)
    queue.get()
    waited = {"queue_duration_seconds_count": 1, "queue_duration_seconds_sum": 50 * TICK}
    assert_scrape(registry, adds_total=1, **waited)

    for _ in range(5):
        queue.add("foo")
    assert_scrape(registry, adds_total=2, depth=1, **waited)

    clock.step(25 * TICK)
    queue.done("foo")
    worked = {"work_duration_seconds_count": 1, "work_duration_seconds_sum": 25 * TICK}
    assert_scrape(registry, adds_total=2, depth=1, **waited, **worked)

    queue.get()
    waited = {"queue_duration_seconds_count": 2, "queue_duration_seconds_sum": 75 * TICK}
    assert_scrape(registry, adds_total=2, **waited, **worked)

    clock.step(TICK)
    running = {
        "unfinished_work_seconds": TICK,
        "longest_running_processor_seconds": TICK,
    }
    assert_scrape(registry, adds_total=2, **waited, **worked, **running)

    queue.done("foo")
    worked = {"work_duration_seconds_count": 2, "work_duration_seconds_sum": 26 * TICK}
    assert_scrape(registry, adds_total=2, **waited, **worked)


def test_unfinished_work_is_the_sum_and_the_longest_the_longest(
    registry: CollectorRegistry, queue: RateLimitingQueue[str], clock: FakeClock
) -> None:
    def gauges() -> tuple[float, float]:
        seen = scrape(registry)
        return seen["unfinished_work_seconds"], seen["longest_running_processor_seconds"]

    queue.add("slow")
    queue.add("slower")
    queue.get()
    clock.step(4.0)
    queue.get()
    clock.step(3.0)
    assert gauges() == (10.0, 7.0)
    queue.done("slow")
    assert gauges() == (3.0, 3.0)
    queue.shut_down()
    clock.step(2.0)
    assert gauges() == (5.0, 5.0), "a shutdown does not make a stuck worker look well"
    queue.done("slower")
    assert gauges() == (0.0, 0.0)


def test_items_are_let_go(provider: PrometheusMetricsProvider, clock: FakeClock) -> None:
    class Item:
        pass

    metrics = provider.queue_metrics("storages", clock)
    item = Item()
    gone = weakref.ref(item)
    metrics.add(item)
    metrics.get(item)
    metrics.done(item)
    del item
    gc.collect()
    assert gone() is None


def test_every_retry_counts_whatever_its_delay(
    registry: CollectorRegistry, queue: RateLimitingQueue[str], clock: FakeClock
) -> None:
    queue.add("now")
    queue.add_after("now", 0.0)
    queue.add_after("later", 5.0)
    queue.add_after("later", 6.0)
    queue.add_rate_limited("failed")
    assert_scrape(registry, adds_total=1, depth=1, retries_total=4)
    clock.step_under(queue._lock, 5.0)
    assert_scrape(registry, adds_total=3, depth=3, retries_total=4)
    queue.shut_down()
    queue.add_after("ignored", 0.0)
    assert_scrape(registry, adds_total=3, depth=3, retries_total=4)


def test_buckets_are_those_of_the_original(
    registry: CollectorRegistry, queue: RateLimitingQueue[str], clock: FakeClock
) -> None:
    queue.add("foo")
    clock.step(0.5)
    queue.get()
    labels = ["1e-08", "1e-07", "1e-06", "9.999999999999999e-06", "9.999999999999999e-05"]
    labels += ["0.001", "0.01", "0.1", "1.0", "10.0", "+Inf"]
    buckets = [
        (sample.labels["le"], sample.value)
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "workqueue_queue_duration_seconds_bucket"
    ]
    assert buckets == [(label, float(number >= 8)) for number, label in enumerate(labels)]
    assert len(BUCKETS) == 10


def test_a_name_is_for_one_queue(provider: PrometheusMetricsProvider, clock: FakeClock) -> None:
    provider.queue_metrics("storages", clock)
    with pytest.raises(ValueError, match="storages"):
        provider.queue_metrics("storages", clock)


def test_queues_are_told_apart_by_name_and_those_without_are_left_out(
    registry: CollectorRegistry, provider: PrometheusMetricsProvider, clock: FakeClock
) -> None:
    queues = [
        RateLimitingQueue[str](
            ItemExponentialFailureRateLimiter(1.0, 1.0), name, clock=clock, metrics=provider
        )
        for name in ("one", "two", "")
    ]
    for count, queue in enumerate(queues, start=1):
        for number in range(count):
            queue.add(f"item-{number}")
        queue.shut_down()
    assert scrape(registry, "one")["depth"] == 1
    assert scrape(registry, "two")["depth"] == 2
    assert b'name=""' not in generate_latest(registry)
