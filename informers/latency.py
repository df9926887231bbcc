"""How long a piece of work took, counted by buckets, for whoever wants to show it."""

from bisect import bisect_left
from typing import Final

BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, as in component-base's informer metrics of Kubernetes 1.37."""


class Latencies:
    """Counts durations. Fed by one thread, read by any."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one; a bound belongs to its own bucket."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def read(self) -> tuple[list[int], float]:
        """How many fell into each bucket, those above the last bound at the end, and their sum.

        The sum may be ahead or behind by the one that is being counted.
        """
        return [*self._counts], self._sum
