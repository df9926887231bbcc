"""The metrics of reconciles for Prometheus, by controller-runtime's names and with its buckets.

Every series has the label `controller` and exists from the start.

| metric | what |
|---|---|
| `controller_runtime_reconcile_total` | reconciles, by `result` |
| `controller_runtime_reconcile_errors_total` | those that failed |
| `controller_runtime_reconcile_panics_total` | those of them that an error of our own ended |
| `controller_runtime_reconcile_time_seconds` | how long they take |
| `controller_runtime_max_concurrent_reconciles` | workers |
| `controller_runtime_active_workers` | those that reconcile now |

The original's two about terminal errors and timeouts are left out: there is neither here.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from workqueue import Clock

SUCCESS: Final = "success"
ERROR: Final = "error"
REQUEUE: Final = "requeue"
REQUEUE_AFTER: Final = "requeue_after"
RESULTS: Final = (SUCCESS, ERROR, REQUEUE, REQUEUE_AFTER)

BUCKETS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8),
    *(0.9, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30),
    *(40, 50, 60),
)
"""Seconds, of controller-runtime's pkg/internal/controller/metrics."""

_STEM: Final = "controller_runtime_"


class ReconcileMetrics:
    """The series of one controller; all methods are for any thread."""

    def __init__(
        self, registry: CollectorRegistry, controller: str, *, workers: int, clock: Clock
    ) -> None:
        """Raises ValueError if `registry` has these metrics already."""
        self._clock = clock
        stem, labels = f"{_STEM}reconcile", ("controller",)
        total = Counter(f"{stem}_total", "Reconciles", (*labels, "result"), registry=registry)
        errors = Counter(
            f"{stem}_errors_total", "Reconciles that failed", labels, registry=registry
        )
        panics = Counter(
            f"{stem}_panics_total",
            "Reconciles that an error of the controller itself ended",
            labels,
            registry=registry,
        )
        time = Histogram(
            f"{stem}_time_seconds",
            "How long a reconcile takes",
            labels,
            registry=registry,
            buckets=BUCKETS,
        )
        limit = Gauge(f"{_STEM}max_concurrent_reconciles", "Workers", labels, registry=registry)
        active = Gauge(
            f"{_STEM}active_workers", "Workers that reconcile now", labels, registry=registry
        )
        limit.labels(controller).set(workers)
        self._total = {result: total.labels(controller, result) for result in RESULTS}
        self._errors = errors.labels(controller)
        self._panics = panics.labels(controller)
        self._time = time.labels(controller)
        self._active = active.labels(controller)

    @contextlib.contextmanager
    def reconciling(self) -> Iterator[None]:
        """Count a worker as active, and its time."""
        began = self._clock.monotonic()
        self._active.inc()
        try:
            yield
        finally:
            self._active.dec()
            self._time.observe(self._clock.monotonic() - began)

    def ended(self, result: str) -> None:
        """Count a reconcile by its result, one of `RESULTS`."""
        self._total[result].inc()
        if result == ERROR:
            self._errors.inc()

    def panicked(self) -> None:
        """Count one that failed by an error of our own."""
        self._panics.inc()
