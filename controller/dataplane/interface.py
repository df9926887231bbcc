"""The seam between the controller and what serves a storage's etcd."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from controller.api.storage import EtcdStorage

REVISION_LABEL: Final = "etcd.xmudrii.com/revision"
"""On pods and their template: the hash of the template we wanted, never of the defaulted one."""


@dataclass(frozen=True, slots=True)
class Desired:
    """The objects of one storage as they should be, complete but for owner references."""

    replica_set: dict[str, Any]
    service: dict[str, Any]
    endpoint: str

    @property
    def revision(self) -> str:
        """The revision that every pod should carry."""
        revision: str = self.replica_set["spec"]["template"]["metadata"]["labels"][REVISION_LABEL]
        return revision


class DataPlane(Protocol):
    """Makes the objects of a storage; replaced as a whole when the data plane changes."""

    def desired(self, storage: EtcdStorage, core_ca: str) -> Desired:
        """Return the objects for `storage`; `core_ca` is the core's CA bundle in PEM or ''."""
        ...

    def unsupported(self, storage: EtcdStorage) -> str | None:
        """Say what of this spec cannot be had from this data plane; None if all can."""
        ...


def replica_set_name(storage_name: str) -> str:
    """Return the ReplicaSet's name; it is the original's."""
    return f"etcd-rs-{storage_name}"


def service_name(storage_name: str) -> str:
    """Return the Service's name; it is the original's, and part of every endpoint."""
    return f"etcd-{storage_name}"


def storage_of_replica_set(name: str) -> str | None:
    """Return the storage that a ReplicaSet of this name would belong to."""
    return name.removeprefix("etcd-rs-") if name.startswith("etcd-rs-") else None


def storage_of_service(name: str) -> str | None:
    """Return the storage that a Service of this name would belong to."""
    return name.removeprefix("etcd-") if name.startswith("etcd-") else None
