"""The metrics of clients for Prometheus, by client-go's names and with its buckets.

`host` is the server's, with its port; a series exists from its first use on.

| metric | labels | what |
|---|---|---|
| `rest_client_requests_total` | code, method, host | requests sent; code `<error>`: no answer |
| `rest_client_request_retries_total` | code, verb, host | those of them that repeat one |
| `rest_client_request_duration_seconds` | verb, host | calls with all their attempts; no watches |
| `rest_client_rate_limiter_duration_seconds` | verb, host | waits for a `Throttle` |
"""

from typing import Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Histogram

BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds, of component-base's metrics/prometheus/restclient."""


class PrometheusClientMetricsProvider:
    """Puts the metrics of any number of clients into one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Raises ValueError if `registry` has these metrics already: one provider for each."""
        self.requests = Counter(
            "rest_client_requests_total",
            "Requests sent, repeated ones included",
            ("code", "method", "host"),
            registry=registry,
        )
        self.retries = Counter(
            "rest_client_request_retries_total",
            "Requests sent again",
            ("code", "verb", "host"),
            registry=registry,
        )
        self.request_duration = Histogram(
            "rest_client_request_duration_seconds",
            "How long calls take, repetitions included",
            ("verb", "host"),
            registry=registry,
            buckets=BUCKETS,
        )
        self.rate_limiter_duration = Histogram(
            "rest_client_rate_limiter_duration_seconds",
            "How long requests wait for the client's own limit",
            ("verb", "host"),
            registry=registry,
            buckets=BUCKETS,
        )

    def client_metrics(self, server: str) -> "PrometheusClientMetrics":
        """The series of the clients of `server`, a URL."""
        return PrometheusClientMetrics(self, urlsplit(server).netloc)


class PrometheusClientMetrics:
    """The series of one host; a client's `metrics`."""

    def __init__(self, provider: PrometheusClientMetricsProvider, host: str) -> None:
        self._provider = provider
        self._host = host

    def request(self, verb: str, code: str, *, again: bool) -> None:
        self._provider.requests.labels(code, verb, self._host).inc()
        if again:
            self._provider.retries.labels(code, verb, self._host).inc()

    def duration(self, verb: str, seconds: float) -> None:
        self._provider.request_duration.labels(verb, self._host).observe(seconds)

    def throttled(self, verb: str, seconds: float) -> None:
        self._provider.rate_limiter_duration.labels(verb, self._host).observe(seconds)
