"""Metrics of the election, by client-go's names."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class LeaderElectionMetrics:
    """The two series of the lease `name`; thread safe."""

    def __init__(self, registry: CollectorRegistry, name: str) -> None:
        self._status = Gauge(
            "leader_election_master_status",
            "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup,"
            " 1 indicates master. 'name' is the string used to identify the lease. Please make"
            " sure to group by name.",
            ["name"],
            registry=registry,
        ).labels(name)
        self._slow_path = Counter(
            "leader_election_slowpath",
            "Total number of slow path exercised in renewing leader leases. 'name' is the string"
            " used to identify the lease. Please make sure to group by name.",
            ["name"],
            registry=registry,
        ).labels(name)

    def leading(self, on: bool) -> None:  # noqa: FBT001 - the value of the series
        """Whether this program leads now."""
        self._status.set(int(on))

    def slow_path(self) -> None:
        """A leader had to read the lease before it could write it again."""
        self._slow_path.inc()
