"""Memory of the data plane by storage, as a metrics server has it, or else the kubelets."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from controller.ownership import STORAGE_LABEL
from informers import Resource

Json = Mapping[str, Any]

POD_METRICS: Final = Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", namespaced=True)
"""Served where a metrics server is installed."""

SUMMARY: Final = "/api/v1/nodes/{node}/proxy/stats/summary"
"""Of a kubelet, for who may ask it: where no metrics server is installed."""

_MI: Final = 1 << 20

_SUFFIXES: Final = {
    "m": Decimal("0.001"),
    "k": Decimal(10) ** 3,
    **{name: Decimal(1000) ** power for power, name in enumerate("MGTPE", 2)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", 1)},
}
"""Of a Quantity (apimachinery's resource package)."""


def quantity(text: str) -> int:
    """Read a Quantity, such as 53Mi or 1e3, as a whole number; 0 if it is none."""
    suffix = next((s for s in sorted(_SUFFIXES, key=len, reverse=True) if text.endswith(s)), "")
    try:
        return int(Decimal(text.removesuffix(suffix)) * _SUFFIXES.get(suffix, Decimal(1)))
    except (InvalidOperation, ValueError, OverflowError):
        return 0


def by_storage(pods: Iterable[Json], metrics: Iterable[Json]) -> dict[str, int]:
    """Return the bytes that the pods of each storage use, if each of them was measured.

    Not every metrics server repeats the pods' labels, so they are told by the pods themselves.
    """
    measured = {one["metadata"]["name"]: _bytes(one) for one in metrics}
    found: dict[str, list[int | None]] = {}
    for pod in pods:
        if storage := (pod["metadata"].get("labels") or {}).get(STORAGE_LABEL):
            # A kubelet tells 0 of what it has not measured yet.
            used = measured.get(pod["metadata"]["name"]) or None
            found.setdefault(storage, []).append(used)
    return {name: sum(filter(None, of)) for name, of in found.items() if None not in of}


def of_summary(summary: Json, namespace: str) -> list[Json]:
    """Return what a kubelet's summary has of memory in `namespace`, as PodMetrics."""
    return [
        {
            "metadata": {"name": pod["podRef"]["name"]},
            "containers": [{"usage": {"memory": str(used)}}],
        }
        for pod in summary.get("pods") or ()
        if pod["podRef"]["namespace"] == namespace
        and (used := (pod.get("memory") or {}).get("workingSetBytes")) is not None
    ]


def told(used: int | None) -> str:
    """Return it for a table: in MiB, as `kubectl top` does; "-" if it is not known."""
    return "-" if used is None else f"{used // _MI}Mi"


def _bytes(measured: Json) -> int:
    containers = measured.get("containers") or ()
    return sum(quantity(str((c.get("usage") or {}).get("memory", "0"))) for c in containers)
