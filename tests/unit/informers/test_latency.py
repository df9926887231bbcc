"""Durations in buckets."""

from informers.latency import BUCKETS, Latencies


def test_the_buckets_are_those_of_the_original() -> None:
    assert BUCKETS == (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def test_each_counts_in_the_bucket_whose_bound_it_does_not_pass() -> None:
    latencies = Latencies()
    assert latencies.read() == ([0] * 13, 0.0)
    for seconds in (0.0, 0.001, 0.0011, 10.0, 10.5, 2.5):
        latencies.observe(seconds)
    counts, total = latencies.read()
    assert counts == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1]
    assert round(total, 4) == 23.0021
