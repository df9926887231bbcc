"""What a gate is made from."""

from dataclasses import dataclass
from typing import Any, Final, Literal

Json = dict[str, Any]
"""A message of Envoy's configuration, in the JSON form of protobuf."""

INGRESS: Final = "ingress"
EGRESS: Final = "egress"
"""The listeners that carry etcd's gRPC, named here because figures are named after them."""
CORE: Final = "core"
PROXY: Final = "proxy"
WRITES: Final = "writes"
READS: Final = "reads"
ADMIN: Final = "admin"
"""The clusters; the same."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a pod; the last three are bound to loopback."""

    ingress: int = 2379
    """Where the storage's clients come."""
    probe: int = 2381
    """Where the kubelet and the metrics scraper come."""
    proxy: int = 23790
    """grpc-proxy's, in mode Proxy."""
    egress: int = 23791
    """Where grpc-proxy reaches the core, and in mode Direct whatever has waited for its turn."""
    admin: int = 23792
    """Envoy's own administration, closed to everybody outside the pod."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the container finds its files."""

    config: str = "/etc/gate/config"
    """What `files` returned."""
    core: str = "/etc/gate/core"
    """`ca.pem` and, of our client pair towards the core, `tls.crt` and `tls.key`."""
    serving: str = "/etc/gate/serving"
    """What `pair_file` and `clients_file` made, by the names PAIR_FILE and CLIENTS_FILE."""


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate of one storage's pods."""

    storage: str
    """Its name; the keys lie under `/<storage>/` in the core."""
    mode: Literal["Proxy", "Direct"]
    auth: bool
    """Whether the core checks users, and with them the keys attached to a lease."""
    core_urls: tuple[str, ...]
    """At least one, with port, all http:// or all https://."""
    drain_token: str
    """The secret part of the drain route's path."""
    tls: bool = False
    """Whether clients come by mutual TLS; who is let in stands in the folder `serving`."""
    ports: Ports = Ports()
    folders: Folders = Folders()
    address: str = "0.0.0.0"  # noqa: S104 a Service reaches a pod by whatever address it has
    """Where ingress and probe listen. With IPv6 switched off Envoy would not start for `::`."""

    @property
    def prefix(self) -> str:
        """The common start of this storage's keys in the core."""
        return f"/{self.storage}/"

    @property
    def direct(self) -> bool:
        """Whether there is no grpc-proxy between the clients and the core."""
        return self.mode == "Direct"


def typed(message: str, **fields: Any) -> Json:
    """Return a protobuf `Any` of the given Envoy message."""
    return {"@type": f"type.googleapis.com/{message}", **fields}


def only(method: str, path: str) -> Json:
    """Return a route's match of this method and path and nothing else, not even a query."""
    exact = {":method": method, ":path": path}
    return {
        "path": path,
        "headers": [
            {"name": name, "string_match": {"exact": value}} for name, value in exact.items()
        ],
    }


def socket_address(address: str, port: int) -> Json:
    """Return an Envoy `Address` of TCP."""
    return {"socket_address": {"address": address, "port_value": port}}
