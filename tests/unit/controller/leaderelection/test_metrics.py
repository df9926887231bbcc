"""The two series of client-go."""

from prometheus_client import CollectorRegistry

from controller.leaderelection.metrics import LeaderElectionMetrics

LABELS = {"name": "the-lease"}


def test_who_leads_is_told_and_who_does_not_as_well() -> None:
    registry = CollectorRegistry()
    metrics = LeaderElectionMetrics(registry, "the-lease")

    def status() -> float | None:
        return registry.get_sample_value("leader_election_master_status", LABELS)

    assert status() == 0
    metrics.leading(True)
    assert status() == 1
    metrics.leading(False)
    assert status() == 0


def test_slow_paths_are_counted() -> None:
    registry = CollectorRegistry()
    metrics = LeaderElectionMetrics(registry, "the-lease")
    metrics.slow_path()
    metrics.slow_path()
    assert registry.get_sample_value("leader_election_slowpath_total", LABELS) == 2
