"""Series as a scrape reads them."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from informers.rest.metrics import (
    BUCKETS,
    PrometheusClientMetrics,
    PrometheusClientMetricsProvider,
)

HOST = "example.org:6443"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> PrometheusClientMetrics:
    return PrometheusClientMetricsProvider(registry).client_metrics(f"https://{HOST}")


def test_attempts_count_and_repeated_ones_twice(
    registry: CollectorRegistry, metrics: PrometheusClientMetrics
) -> None:
    metrics.request("GET", "429", again=False)
    metrics.request("GET", "200", again=True)
    metrics.request("POST", "<error>", again=False)

    def requests(code: str, method: str) -> float | None:
        labels = {"code": code, "method": method, "host": HOST}
        return registry.get_sample_value("rest_client_requests_total", labels)

    def retries(code: str, verb: str) -> float | None:
        labels = {"code": code, "verb": verb, "host": HOST}
        return registry.get_sample_value("rest_client_request_retries_total", labels)

    assert [requests("429", "GET"), requests("200", "GET"), requests("<error>", "POST")] == [1] * 3
    assert [retries("429", "GET"), retries("200", "GET")] == [None, 1]


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("rest_client_request_duration_seconds", "duration"),
        ("rest_client_rate_limiter_duration_seconds", "throttled"),
    ],
)
def test_times_fall_into_the_buckets_of_the_original(
    registry: CollectorRegistry, metrics: PrometheusClientMetrics, name: str, report: str
) -> None:
    getattr(metrics, report)("PUT", 0.3)

    def value(suffix: str, **labels: str) -> float | None:
        return registry.get_sample_value(name + suffix, {"verb": "PUT", "host": HOST, **labels})

    assert (value("_sum"), value("_count")) == (0.3, 1)
    assert (value("_bucket", le="0.25"), value("_bucket", le="0.5")) == (0, 1)
    assert len(BUCKETS) == 12


def test_one_registry_takes_them_once(registry: CollectorRegistry) -> None:
    PrometheusClientMetricsProvider(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusClientMetricsProvider(registry)


def test_nothing_is_there_before_its_first_use(
    registry: CollectorRegistry, metrics: PrometheusClientMetrics
) -> None:
    assert b"host=" not in generate_latest(registry)
