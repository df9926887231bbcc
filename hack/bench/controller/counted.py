"""What a controller's metrics say of its requests."""

from hack.program import Metrics

WRITES = ("POST", "PATCH", "PUT", "DELETE")

_REQUESTS = "rest_client_requests_total"
_VERBS = ("GET", *WRITES)


def requests(metrics: Metrics) -> dict[str, float]:
    """Return how many requests were sent, by verb."""
    found = {verb: metrics.total(_REQUESTS, method=verb) for verb in _VERBS}
    return {verb: count for verb, count in found.items() if count}
