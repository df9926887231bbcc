"""The metrics of informers for Prometheus; those that client-go has by its names.

Every series has the labels `name` (of the factory), `group`, `version` and `resource`, and exists
from the moment in which the factory is asked for the informer.

| metric | what |
|---|---|
| `informer_queued_items` | entries between reflector and store |
| `informer_processing_latency_seconds` | how long a batch of them took, up to handlers' buffers |
| `informer_store_resource_version` | how far the store is: the last 15 digits, exact in a float |
| `informer_handler_queued_items` | notifications that wait for the slowest handler |
| `informer_last_message_age_seconds` | since the server was heard of, bookmarks included |

The last two are ours. Everything is read from the informers when it is asked for.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from informers.latency import BUCKETS
from informers.shared import SharedIndexInformer

_LABELS: Final = ("name", "group", "version", "resource")
_DIGITS: Final = 15
"""As many as a float holds exactly whatever they are, as in client-go."""


class Informers(Protocol):
    """Where informers come from: a `SharedInformerFactory`."""

    def informers(self) -> list[SharedIndexInformer]:
        """All informers asked for so far, in that order."""
        ...


class InformerCollector(Collector):
    """Shows the informers of some factories, each by its name, in one registry.

    Of two informers of one factory for the same resource, which differ in namespace or selectors,
    only the first is shown, as in client-go. To end it, unregister it from the registry.
    """

    def __init__(self, registry: CollectorRegistry, factories: Mapping[str, Informers]) -> None:
        """Raises ValueError if `registry` has these metrics already: one collector for each."""
        self._factories = dict(factories)
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """The metrics without their values, by which a registry knows a second collector."""
        return [*_gauges(), _latency()]

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        queued, version, handlers, age = gauges = _gauges()
        latency = _latency()
        for labels, informer in self._shown():
            queued.add_metric(labels, informer.queued_items)
            version.add_metric(labels, truncated(informer.store.resource_version))
            handlers.add_metric(labels, informer.handler_queued_items)
            age.add_metric(labels, informer.seconds_since_last_message())
            counts, total = informer.processing_latency.read()
            bounds = [*map(str, BUCKETS), "+Inf"]
            buckets = list(zip(bounds, map(float, accumulate(counts)), strict=True))
            latency.add_metric(labels, buckets, total)
        return [*gauges, latency]

    def _shown(self) -> Iterator[tuple[tuple[str, ...], SharedIndexInformer]]:
        seen = set()
        for name, factory in self._factories.items():
            for informer in factory.informers():
                resource = informer.resource
                labels = (name, resource.group, resource.version, resource.plural)
                if labels not in seen:
                    seen.add(labels)
                    yield labels, informer


def truncated(resource_version: str) -> float:
    """The last 15 digits of a version as a number, 0 for one that is none."""
    return float(resource_version[-_DIGITS:]) if resource_version.isdecimal() else 0.0


def _gauges() -> tuple[GaugeMetricFamily, ...]:
    return tuple(
        GaugeMetricFamily(f"informer_{name}", documentation, labels=_LABELS)
        for name, documentation in (
            ("queued_items", "Entries between reflector and store"),
            ("store_resource_version", "The last 15 digits of the version of the store"),
            ("handler_queued_items", "Notifications that wait for the slowest handler"),
            ("last_message_age_seconds", "Since the server was heard of"),
        )
    )


def _latency() -> HistogramMetricFamily:
    documentation = "How long a batch of the queue took"
    return HistogramMetricFamily(
        "informer_processing_latency_seconds", documentation, labels=_LABELS
    )
