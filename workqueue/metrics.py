"""The metrics of queues for Prometheus, by client-go's names and with its buckets.

Every series has the label `name`, the name of the queue, and exists from the queue's start.

| metric | what |
|---|---|
| `workqueue_depth` | items that need work and that no worker has taken for it yet |
| `workqueue_adds_total` | adds, those of an item that waits already left out |
| `workqueue_queue_duration_seconds` | from the add of an item until a worker takes it |
| `workqueue_work_duration_seconds` | from there until the worker is done |
| `workqueue_unfinished_work_seconds` | how long workers have had their present items, summed up |
| `workqueue_longest_running_processor_seconds` | the longest of these |
| `workqueue_retries_total` | calls of `add_after` and `add_rate_limited`, whatever the delay |

The two about present items are computed when they are read. client-go has a task that sets them
every 500 ms; computing needs no thread, is exact, and goes on during a shutdown, when somebody may
well want to know what it waits for.
"""

import itertools
import operator
import threading
from collections.abc import Hashable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from workqueue.clock import Clock

BUCKETS: Final = tuple(itertools.accumulate([1e-8] + [10.0] * 9, operator.mul))
"""10 ns to 10 s in seconds. By repeated multiplication as in the original, because the rounding
shows in the label `le` (9.999999999999999e-06)."""

_LABELS: Final = ("name",)


class PrometheusMetricsProvider:
    """Puts the metrics of any number of queues into one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Raises ValueError if `registry` has these metrics already: one provider for each."""
        self.depth = Gauge(
            "workqueue_depth", "Items that wait for a worker", _LABELS, registry=registry
        )
        self.adds = Counter("workqueue_adds_total", "Items added", _LABELS, registry=registry)
        self.queue_duration = Histogram(
            "workqueue_queue_duration_seconds",
            "How long an item waits for a worker",
            _LABELS,
            registry=registry,
            buckets=BUCKETS,
        )
        self.work_duration = Histogram(
            "workqueue_work_duration_seconds",
            "How long a worker has an item",
            _LABELS,
            registry=registry,
            buckets=BUCKETS,
        )
        self.unfinished_work = Gauge(
            "workqueue_unfinished_work_seconds",
            "How long workers have had the items that they have now, summed up",
            _LABELS,
            registry=registry,
        )
        self.longest_running = Gauge(
            "workqueue_longest_running_processor_seconds",
            "How long the slowest worker has had the item that it has now",
            _LABELS,
            registry=registry,
        )
        self.retries = Counter(
            "workqueue_retries_total", "Items to be tried again", _LABELS, registry=registry
        )
        self._names: set[str] = set()

    def queue_metrics(self, name: str, clock: Clock) -> "PrometheusQueueMetrics":
        """The series of one queue. Raises ValueError if another has, or had, this `name`.

        Two would add up in the counters and hide each other in the gauges about present items.
        """
        if name in self._names:
            raise ValueError(f"there is a queue named {name!r} already")
        self._names.add(name)
        return PrometheusQueueMetrics(self, name, clock)


class PrometheusQueueMetrics:
    """The series of one queue, and the times that they are computed from."""

    def __init__(self, provider: PrometheusMetricsProvider, name: str, clock: Clock) -> None:
        self._clock = clock
        self._depth = provider.depth.labels(name)
        self._adds = provider.adds.labels(name)
        self._queue_duration = provider.queue_duration.labels(name)
        self._work_duration = provider.work_duration.labels(name)
        self._retries = provider.retries.labels(name)
        self._added_at: dict[Hashable, float] = {}
        self._started_at: dict[Hashable, float] = {}
        # The queue's lock covers its own calls, not the thread that reads the metrics.
        self._started_lock = threading.Lock()
        provider.unfinished_work.labels(name).set_function(lambda: sum(self._ages()))
        provider.longest_running.labels(name).set_function(lambda: max(self._ages(), default=0.0))

    def add(self, item: Hashable) -> None:
        self._adds.inc()
        self._depth.inc()
        self._added_at[item] = self._clock.monotonic()

    def get(self, item: Hashable) -> None:
        now = self._clock.monotonic()
        self._depth.dec()
        self._queue_duration.observe(now - self._added_at.pop(item))
        with self._started_lock:
            self._started_at[item] = now

    def done(self, item: Hashable) -> None:
        with self._started_lock:
            started_at = self._started_at.pop(item)
        self._work_duration.observe(self._clock.monotonic() - started_at)

    def retry(self) -> None:
        self._retries.inc()

    def _ages(self) -> list[float]:
        with self._started_lock:
            now = self._clock.monotonic()
            return [now - started_at for started_at in self._started_at.values()]
