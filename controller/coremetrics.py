"""The metric of the certificates by which the core etcd is reached: nobody here renews them.

| metric | labels | what |
|---|---|---|
| `etcdproxy_core_certificate_seconds_left` | object | until it ends, below 0 when it has |

`object` is as kubectl has it, such as secret/etcd-coreserving-cert. One that is missing, or holds
no certificate, has no series: the conditions of every storage tell of it.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.dataplane.core import CA_KEY, CERT_KEY
from controller.pki.pairs import leaf_end, look_at_bundle
from controller.resources import CONFIG_MAPS
from controller.secretdata import decoded
from informers import Lister, Resource

_NAME: Final = "etcdproxy_core_certificate_seconds_left"
_HELP: Final = (
    "Seconds until the certificate ends by which the core etcd is reached or trusted, or its"
    " clients are signed for; of several authorities the good one that ends first"
)

Shared = Mapping[tuple[Resource, str], Lister]
"""Caches of single objects, by kind and name."""


class CoreCertificateMetrics(Collector):
    """Shows the objects of `namespace` that are in the caches when it is asked."""

    def __init__(self, shared: Shared, namespace: str, now: Callable[[], datetime]) -> None:
        self._shared = shared
        self._namespace = namespace
        self._now = now

    def describe(self) -> Iterable[Metric]:
        """The metric without its values, by which a registry knows a second collector."""
        return (_family(),)

    def collect(self) -> Iterable[Metric]:
        """The metric as it is now."""
        family, now = _family(), self._now()
        for (resource, name), lister in self._shared.items():
            found = lister.find(name, self._namespace)
            end = _end(resource, found, now) if found else None
            if end is not None:
                told = f"{resource.kind.lower()}/{name}"
                family.add_metric((told,), (end - now).total_seconds())
        return (family,)


def _end(resource: Resource, obj: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return when what an object holds ends: a client's certificate, or else authorities."""
    data = obj.get("data")
    if resource == CONFIG_MAPS:
        return look_at_bundle(str((data or {}).get(CA_KEY) or "").encode(), now).end
    return leaf_end(decoded(data, CERT_KEY)) or look_at_bundle(decoded(data, CA_KEY), now).end


def _family() -> GaugeMetricFamily:
    return GaugeMetricFamily(_NAME, _HELP, labels=("object",))
