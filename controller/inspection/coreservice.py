"""What the cluster knows of a core etcd that runs in it: Service, endpoints, and their flags."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from controller.inspection.cluster import Unread
from controller.inspection.finding import Finding, Level
from informers import Resource

Json = Mapping[str, Any]

CHECK: Final = "core etcd"
COMPACTION: Final = "compaction"
ENDPOINT_SLICES: Final = Resource(
    "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", namespaced=True
)
SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"

_ETCD_PORT: Final = 2379
_IN_CLUSTER: Final = re.compile(r"(?:[^.]+\.)?(?P<name>[^.]+)\.(?P<namespace>[^.]+)\.svc(\..*)?")
_RETENTION: Final = "--auto-compaction-retention"
_RETENTION_VARIABLE: Final = "ETCD_AUTO_COMPACTION_RETENTION"


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """The Service that a URL of the core leads to."""

    name: str
    namespace: str
    port: int


def service_of(url: str) -> ServiceAddress | None:
    """Return the Service by whose name in the cluster's DNS a URL goes; None if by none."""
    parts = urlsplit(url)
    found = _IN_CLUSTER.fullmatch(parts.hostname or "")
    if found is None:
        return None
    return ServiceAddress(found["name"], found["namespace"], parts.port or _ETCD_PORT)


def service_finding(
    url: str, at: ServiceAddress, service: Json | Unread | None, slices: list[Json] | Unread
) -> Finding | None:
    """Say what is wrong with a URL by what the cluster has of it; None if nothing is."""
    what = f"{url}: Service {at.name} in namespace {at.namespace}"
    todo = "correct --etcd-core-url, or start the core etcd there"
    if service is None:
        return Finding(Level.FAIL, CHECK, f"{what} does not exist", todo)
    if isinstance(service, Unread) or service["spec"].get("type") == "ExternalName":
        return None
    ports = [port["port"] for port in service["spec"].get("ports") or ()]
    if at.port not in ports:
        has = ", ".join(map(str, ports)) or "none"
        return Finding(Level.FAIL, CHECK, f"{what} has no port {at.port}, but {has}", todo)
    if isinstance(slices, Unread):
        return None
    if not any(_ready(endpoint) for one in slices for endpoint in one.get("endpoints") or ()):
        todo = f"look at the core's pods: kubectl get pods -n {at.namespace}"
        return Finding(Level.FAIL, CHECK, f"{what} has no pod that is ready", todo)
    return None


def pods_behind(slices: Iterable[Json]) -> Iterator[str]:
    """Yield the names of the pods that a Service leads to."""
    for one in slices:
        for endpoint in one.get("endpoints") or ():
            target = endpoint.get("targetRef") or {}
            if target.get("kind") == "Pod":
                yield target["name"]


def retention(pod: Json) -> str | None:
    """Return with what auto-compaction the etcd in a pod was started.

    "" is with none, None that no container of it shows its flags.
    """
    for container in pod["spec"].get("containers") or ():
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        if not any("etcd" in word.rpartition("/")[2].partition(" ")[0] for word in words[:1]):
            continue
        variables = {v["name"]: v.get("value", "") for v in container.get("env") or ()}
        told = _flag(words) or variables.get(_RETENTION_VARIABLE, "")
        return "" if told in {"0", "0s"} else told
    return None


def compaction_findings(retentions: Mapping[str, str | None]) -> Iterator[Finding]:
    """Say whether the core's pods compact; `retentions` is by pod, and those that tell count."""
    told = {pod: found for pod, found in retentions.items() if found is not None}
    for pod, found in told.items():
        if not found:
            todo = f"start it with --auto-compaction-mode=periodic {_RETENTION}=5m"
            what = f"pod {pod} of the core runs without {_RETENTION}: the core will run full"
            yield Finding(Level.FAIL, COMPACTION, what, todo)
    if told and all(told.values()):
        found = ", ".join(sorted({value for value in told.values() if value}))
        yield Finding(Level.OK, COMPACTION, f"the core's pods have {_RETENTION}={found}")


def _flag(words: Iterable[str]) -> str:
    """Return the flag's value, be it in a word of its own or within a line for a shell."""
    text = " ".join(words)
    found = re.search(rf"{_RETENTION}[= ]['\"]?([0-9a-z.]+)", text)
    return found[1] if found else ""


def _ready(endpoint: Json) -> bool:
    # A missing condition means unknown, which consumers take for ready.
    return (endpoint.get("conditions") or {}).get("ready") is not False
