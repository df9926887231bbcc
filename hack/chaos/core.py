"""The core etcd beneath a run, and what storages are to have there: a user each, and their keys.

A storage is given a key whenever it is made. What becomes of those tells whether only that was
removed which was to be.
"""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self

from controller.core import user_name
from controller.resources import CONFIG_MAPS, SECRETS
from hack.cluster import binaries
from hack.dataplane import CoreEtcd
from informers import Client

_ROOT: Final = "etcd-core-root"
_CLIENT_CA: Final = "etcd-core-client-ca"

_ADMINISTRATOR: Final = "root"
"""etcd's own user, whose role is in no list."""


class Core:
    """A core that checks users, from `with` on; its data lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.etcd = CoreEtcd(folder / "core", binaries.ensure("etcd", "etcdctl"), auth=True)
        self._keys: set[str] = set()
        self._count = 0

    def __enter__(self) -> Self:
        self.etcd.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.etcd.stop()

    @property
    def flags(self) -> tuple[str, ...]:
        """What a controller is told of it."""
        return (
            f"--etcd-core-url={self.etcd.url}",
            f"--etcd-core-root-secret={_ROOT}",
            f"--etcd-core-client-ca-secret={_CLIENT_CA}",
        )

    def install(self, api: Client, namespace: str) -> None:
        """Make the objects that the flags name, and the ConfigMap that they do not."""
        certificates = self.etcd.certificates
        root, clients = certificates.root, certificates.client_ca.pair
        ca = {"ca.pem": certificates.authority.cert_pem.decode()}
        api.create(
            CONFIG_MAPS, {"metadata": {"name": "etcd-coreserving-ca"}, "data": ca}, namespace
        )
        pairs = {
            _ROOT: {"client.pem": root.cert_pem, "client-key.pem": root.key_pem},
            _CLIENT_CA: {"ca.pem": clients.cert_pem, "ca-key.pem": clients.key_pem},
        }
        for name, content in pairs.items():
            api.create(SECRETS, {"metadata": {"name": name}, "data": _encoded(content)}, namespace)

    def restart(self) -> None:
        """Take it away, as a crash does, and bring it back."""
        self.etcd.stop()
        self.etcd.start()

    def made(self, storage: str) -> None:
        """Give a storage that was just made one more key."""
        self._count += 1
        key = f"/{storage}/{self._count}"
        self.etcd.etcdctl().run("put", key, "value")
        self._keys.add(key)

    def purged(self, storage: str) -> None:
        """Expect no key of a storage any more."""
        self._keys = {key for key in self._keys if not key.startswith(f"/{storage}/")}

    def faults(self, storages: Iterable[str]) -> list[str]:
        """Return what the core has too many or too few while there are these storages."""
        etcdctl = self.etcd.etcdctl()
        tenants = {*map(user_name, storages)}
        found = (
            ("user", tenants | {_ADMINISTRATOR}, etcdctl.run("user", "list")),
            ("role", tenants, etcdctl.run("role", "list")),
            ("key", self._keys, etcdctl.run("get", "/", "--prefix", "--keys-only")),
        )
        return [
            fault
            for what, wanted, there in found
            for fault in faults(what, wanted, {*there.split()})
        ]


def faults(what: str, wanted: set[str], there: set[str]) -> list[str]:
    """Say what is missing and what should not be there."""
    lost = [f"{what} {name} is lost" for name in sorted(wanted - there)]
    return lost + [f"{what} {name} should be gone" for name in sorted(there - wanted)]


def _encoded(content: dict[str, bytes]) -> dict[str, Any]:
    return {key: base64.b64encode(value).decode() for key, value in content.items()}
