"""The metrics of reconciles, read from the registry as a scrape reads them."""

import pytest
from prometheus_client import CollectorRegistry

from controller.reconcilemetrics import BUCKETS, RESULTS, ReconcileMetrics
from tests.support.clock import FakeClock

LABELS = {"controller": "etcdstorage"}


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        self.metrics = ReconcileMetrics(self.registry, "etcdstorage", workers=4, clock=self.clock)

    def read(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"controller_runtime_{name}", LABELS | labels)


@pytest.fixture
def world() -> World:
    return World()


def test_every_series_is_there_from_the_start(world: World) -> None:
    assert [world.read("reconcile_total", result=result) for result in RESULTS] == [0] * 4
    for name in ("errors_total", "panics_total", "time_seconds_count"):
        assert world.read(f"reconcile_{name}") == 0
    assert world.read("max_concurrent_reconciles") == 4
    assert world.read("active_workers") == 0


def test_the_buckets_are_those_of_the_original() -> None:
    assert (len(BUCKETS), BUCKETS[0], BUCKETS[-1]) == (40, 0.005, 60)
    assert list(BUCKETS) == sorted(BUCKETS)


def test_a_reconcile_from_its_begin_to_its_end(world: World) -> None:
    with world.metrics.reconciling():
        assert world.read("active_workers") == 1
        world.clock.step(0.3)
    assert world.read("active_workers") == 0
    assert world.read("reconcile_time_seconds_sum") == pytest.approx(0.3)
    assert world.read("reconcile_time_seconds_bucket", le="0.25") == 0
    assert world.read("reconcile_time_seconds_bucket", le="0.35") == 1


def test_results_are_told_apart_and_errors_counted_apart(world: World) -> None:
    for result in ("success", "error", "error", "requeue_after"):
        world.metrics.ended(result)
    world.metrics.panicked()
    assert [world.read("reconcile_total", result=result) for result in RESULTS] == [1, 2, 0, 1]
    assert world.read("reconcile_errors_total") == 2
    assert world.read("reconcile_panics_total") == 1


def test_a_reconcile_that_breaks_is_over_too(world: World) -> None:
    with pytest.raises(KeyError), world.metrics.reconciling():
        raise KeyError
    assert world.read("active_workers") == 0
    assert world.read("reconcile_time_seconds_count") == 1
