"""The informers' metrics, read from the registry as a scrape reads them."""

import random
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from informers.metrics import InformerCollector, truncated
from informers.resource import Resource
from informers.shared import SharedIndexInformer
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.fakesource import FakeSource
from tests.support.listerwatcher import CONFIG_MAPS
from tests.support.picture import Picture

LABELS = {"name": "test", "group": "", "version": "v1", "resource": "configmaps"}
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", namespaced=True)


class Group:
    """Informers as a factory has them, on sources in memory."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._made: list[SharedIndexInformer] = []
        self.source = FakeSource(streaming=True)

    def informers(self) -> list[SharedIndexInformer]:
        return [*self._made]

    def add(self, resource: Resource = CONFIG_MAPS) -> SharedIndexInformer:
        informer = SharedIndexInformer(
            resource, self.source, clock=self._clock, rng=random.Random(1)
        )
        self._made.append(informer)
        return informer


@pytest.fixture
def group(clock: FakeClock, _no_stray_threads: None) -> Iterator[Group]:
    made = Group(clock)
    yield made
    for informer in made.informers():
        informer.stop()
        assert informer.join() == []


@pytest.fixture
def registry(group: Group) -> CollectorRegistry:
    registry = CollectorRegistry()
    InformerCollector(registry, {"test": group})
    return registry


Scrape = Callable[..., dict[str, float]]


@pytest.fixture
def scrape(registry: CollectorRegistry) -> Scrape:
    """Read every series of one informer but the buckets, without the prefix."""

    def read(**labels: str) -> dict[str, float]:
        return {
            sample.name.removeprefix("informer_"): sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.labels == {**LABELS, **labels}
        }

    return read


def test_every_series_is_there_from_the_start(group: Group, scrape: Scrape) -> None:
    assert scrape() == {}
    group.add()
    assert scrape() == {
        "queued_items": 0,
        "store_resource_version": 0,
        "handler_queued_items": 0,
        "last_message_age_seconds": 0,
        "processing_latency_seconds_count": 0,
        "processing_latency_seconds_sum": 0,
    }


def test_they_follow_the_informer(group: Group, scrape: Scrape, clock: FakeClock) -> None:
    stuck = Picture()
    stuck.gate.clear()
    informer = group.add()
    informer.add_event_handler(stuck)
    group.source.write("a", 1)
    informer.start()
    eventually(informer.has_synced)
    eventually(lambda: scrape()["handler_queued_items"] == 0, what="the first is being handled")
    group.source.write("b", 1)
    group.source.write("c", 1)
    eventually(lambda: informer.store.resource_version == "4")
    clock.step(7)
    seen = scrape()
    assert seen.pop("processing_latency_seconds_count") in {2, 3}
    assert seen == {
        "queued_items": 0,
        "store_resource_version": 4,
        "handler_queued_items": 2,
        "last_message_age_seconds": 7,
        "processing_latency_seconds_sum": 0,
    }
    stuck.gate.set()
    eventually(lambda: scrape()["handler_queued_items"] == 0)


def test_what_the_store_has_not_seen_is_queued(group: Group, scrape: Scrape) -> None:
    informer = group.add()
    for _ in range(3):
        informer._queue.bookmark("5")
    assert scrape()["queued_items"] == 3


def test_the_latency_has_the_buckets_of_the_original(
    group: Group, registry: CollectorRegistry
) -> None:
    latency = group.add().processing_latency
    for seconds in (0.005, 0.3, 11.0):
        latency.observe(seconds)
    buckets = [
        (sample.labels["le"], sample.value)
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "informer_processing_latency_seconds_bucket"
    ]
    bounds = ["0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5"]
    assert buckets == [
        *zip(bounds, [0, 1, 1, 1, 1, 1, 1, 2], strict=True),
        *[(bound, 2) for bound in ("1.0", "2.5", "5.0", "10.0")],
        ("+Inf", 3),
    ]


def test_kinds_are_told_apart_and_the_second_of_a_kind_is_not_shown(
    group: Group, scrape: Scrape, registry: CollectorRegistry
) -> None:
    first, second, other = group.add(), group.add(), group.add(REPLICA_SETS)
    first._queue.bookmark("5")
    second._queue.resync()
    for _ in range(2):
        other._queue.bookmark("5")
    assert scrape()["queued_items"] == 1
    assert scrape(group="apps", resource="replicasets")["queued_items"] == 2
    assert generate_latest(registry).count(b"\ninformer_queued_items{") == 2


def test_a_registry_has_one_collector_at_a_time(group: Group, clock: FakeClock) -> None:
    registry = CollectorRegistry()
    first = InformerCollector(registry, {"test": group})
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        InformerCollector(registry, {"other": group})
    registry.unregister(first)
    InformerCollector(registry, {"one": group, "two": group})
    group.add()
    text = generate_latest(registry)
    assert b'name="one"' in text
    assert b'name="two"' in text


@pytest.mark.parametrize(
    ("version", "number"),
    [("", 0), ("7", 7), ("1234567890123456789", 567890123456789), ("x1", 0), ("-1", 0)],
)
def test_a_version_is_cut_to_what_a_float_holds(version: str, number: int) -> None:
    assert truncated(version) == number
