"""The seam between the controller and what serves a storage's etcd."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from controller.api.storage import EtcdStorage
from informers import Resource

Json = dict[str, Any]

REVISION_LABEL: Final = "etcd.xmudrii.com/revision"
"""On pods and their template: the hash of the template we wanted, never of the defaulted one, and
after a point what tells one that had to be restored from all before it."""

ISOLATION_LABEL: Final = "etcd.xmudrii.com/isolation"
"""On pods and their template: who keeps their tenant from the others' data."""

ISOLATED_BY_CORE: Final = "Core"
"""The core knows the tenant as a user of its own, and refuses what is not his."""

ISOLATED_BY_GATE: Final = "Gate"
"""The core would give everything; the gate and the proxy in the pod do not ask for it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the objects of a storage depend on besides its spec.

    `auth`: the core checks users. `users`: the storage has a user of its own there, and its pods
    use that one's pair. `tls`: clients come by mutual TLS, with what is in the Secret of
    `serving_secret`. `drain_token`: the secret part of the path by which pods are drained.
    """

    auth: bool
    users: bool
    tls: bool
    drain_token: str


@dataclass(frozen=True, slots=True)
class Desired:
    """The objects of one storage as they should be, complete but for owner references.

    `objects` has one of each kind, in the order in which they are written, the ReplicaSet apart:
    that one is rolled.
    """

    replica_set: Json
    objects: Mapping[Resource, Json]
    endpoint: str

    @property
    def revision(self) -> str:
        """The revision that every pod should carry."""
        return self._labels[REVISION_LABEL]

    @property
    def isolation(self) -> str:
        """What every pod of this revision gives."""
        return self._labels[ISOLATION_LABEL]

    @property
    def _labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.replica_set["spec"]["template"]["metadata"]["labels"]
        return labels


class DataPlane(Protocol):
    """Makes the objects of a storage; replaced as a whole when the data plane changes."""

    def desired(self, storage: EtcdStorage, facts: Facts) -> Desired:
        """Return the objects for `storage`."""
        ...

    def unsupported(self, storage: EtcdStorage) -> str | None:
        """Say what of this spec cannot be had from this data plane; None if all can."""
        ...
