"""The metrics of storages' certificates, for Prometheus.

| metric | labels | what |
|---|---|---|
| `etcdproxy_certificate_seconds_left` | storage, kind | until the first of the kind ends |
| `etcdproxy_certificate_renewals_total` | storage, kind | those that took another's place |
| `etcdproxy_certificate_failures_total` | storage, kind | changes into failing |

`kind` is `signing`, the authority and its bundle, `serving`, or `client`. A storage has series
from the first look at its certificates until it is gone or has no TLS any more. A scrape of
3,000 storages has 2.2 MB and takes 0.3 s.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.api.storage import EtcdStorage
from controller.api.times import read_time
from controller.certstatus import (
    CLIENT,
    SERVING,
    SIGNING,
    Certified,
    certificates,
    overdue_at,
    with_last,
)
from controller.resources import SECRETS

KINDS: Final = (SIGNING, SERVING, CLIENT)

_LABELS: Final = ("storage", "kind")

_LEFT: Final = (
    "Seconds until the certificate ends, below 0 when it has; of several clients', and of what the"
    " gates still serve, the one that ends first"
)
_RENEWALS: Final = "Certificates that took the place of another; the first ones do not count"
_FAILURES: Final = (
    "Times that an authority, a serving certificate in the gates, or one consumer's object began"
    " to fail, not retries; what passes by itself does not count"
)

Failure = tuple[str, str]
"""The kind, and what of it fails."""


@dataclass(slots=True)
class _Series:
    """Of one storage; what is `failing` has been counted."""

    ends: Mapping[str, datetime] = field(default_factory=dict)
    renewals: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    failing: frozenset[Failure] = frozenset()


class CertificateMetrics(Collector):
    """Shows what reconciles saw last; all methods are for any thread."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._storages: dict[str, _Series] = {}

    def observe(self, storage: EtcdStorage, certified: Certified) -> None:
        """Take in what one reconcile saw; what it could not tell is as the status has it."""
        now = self._now()
        told = with_last(certificates(certified, now), storage)
        failing, passing = failures(certified, now)
        with self._lock:
            series = self._storages.setdefault(storage.name, _Series())
            series.ends = ends(told)
            series.failures.update(kind for kind, _ in failing - series.failing)
            # What failed and is only held up now has not been well in between.
            series.failing = failing | (series.failing & passing)

    def renewed(self, storage: EtcdStorage, kind: str) -> None:
        """Count a certificate that took the place of another."""
        with self._lock:
            self._storages.setdefault(storage.name, _Series()).renewals[kind] += 1

    def forget(self, storage: str) -> None:
        """The storage of this name is gone, or has no certificates any more."""
        with self._lock:
            self._storages.pop(storage, None)

    def describe(self) -> Iterable[Metric]:
        """The metrics without their values, by which a registry knows a second collector."""
        return _families()

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        left, renewals, failed = families = _families()
        with self._lock:
            now = self._now()
            for name, series in self._storages.items():
                for kind, end in series.ends.items():
                    left.add_metric((name, kind), (end - now).total_seconds())
                for kind in KINDS:
                    renewals.add_metric((name, kind), series.renewals[kind])
                    failed.add_metric((name, kind), series.failures[kind])
        return families


def ends(told: Mapping[str, Any]) -> dict[str, datetime]:
    """Return by kind when the first certificate ends of which `status.certificates` tells."""
    serving = told.get(SERVING) or {}
    found = {
        SIGNING: [(told.get(SIGNING) or {}).get("notAfter")],
        SERVING: [serving.get("notAfter"), serving.get("servedNotAfter")],
        CLIENT: [client.get("notAfter") for client in told.get("clients") or ()],
    }
    times = {
        kind: [time for time in map(read_time, given) if time] for kind, given in found.items()
    }
    return {kind: min(several) for kind, several in times.items() if several}


def failures(certified: Certified, now: datetime) -> tuple[frozenset[Failure], frozenset[Failure]]:
    """Return what fails until somebody acts, and what is held up and goes on by itself."""
    found = [*_failures(certified, now)]
    return (
        frozenset(failure for failure, passes in found if not passes),
        frozenset(failure for failure, passes in found if passes),
    )


def _failures(certified: Certified, now: datetime) -> Iterator[tuple[Failure, bool]]:
    if certified.look and (problem := certified.look.problem):
        yield (SIGNING, "authority"), problem.passes
    if (at := overdue_at(certified)) and at <= now:
        yield (SERVING, "gates"), False
    carried = certified.carried
    for outcome in (*carried.outcomes, *carried.withdrawals, *carried.restarts):
        if outcome.problem:
            kind = CLIENT if outcome.consumer.kind == SECRETS.kind else SIGNING
            yield (kind, str(outcome.consumer)), outcome.problem.passes


def _families() -> tuple[GaugeMetricFamily, CounterMetricFamily, CounterMetricFamily]:
    stem = "etcdproxy_certificate"
    return (
        GaugeMetricFamily(f"{stem}_seconds_left", _LEFT, labels=_LABELS),
        CounterMetricFamily(f"{stem}_renewals", _RENEWALS, labels=_LABELS),
        CounterMetricFamily(f"{stem}_failures", _FAILURES, labels=_LABELS),
    )
