"""Storages on a real API server, each with a real gate and a folder for each volume."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from controller.api.storage import ROTATE_ANNOTATION
from controller.dataplane.gate import CLIENTS_FILE, PAIR_FILE
from controller.dataplane.names import serving_secret
from controller.pki.trustsecret import authority_secret
from controller.resources import ETCD_STORAGES, PODS
from hack.dataplane.programs import Programs
from hack.soak.client import Client, Habit, bundle_folder, pair_folder
from hack.soak.gate import SoakGate
from hack.soak.handshake import read
from hack.soak.kubelet import Key, Volume
from hack.soak.load import Key as ClientKey
from informers import Client as ApiClient

NAMESPACE = "kube-apiserver-storage"
CONSUMERS = "consumers"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """How much, and how long certificates last, in seconds."""

    storages: int = 200
    renewals: int = 10
    """Of each leaf by time; those that a rotation brings do not count."""
    rotations: int = 3
    leaf: int = 90
    authority: int = 600
    late: float = 4.0
    """Seconds that a kubelet takes to bring a change, at most."""
    rate: float = 100.0
    """Handshakes a second, in all."""


@dataclass
class Fleet:
    """What belongs to the storages, by their names."""

    folder: Path
    terms: Terms

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(f"soak-{number:03}" for number in range(self.terms.storages))

    def manifest(self, name: str) -> Json:
        """Return the EtcdStorage, of one pod."""
        return {
            "apiVersion": ETCD_STORAGES.api_version,
            "kind": ETCD_STORAGES.kind,
            "metadata": {"name": name},
            "spec": {
                "replicas": 1,
                "caCertConfigMap": [{"namespace": CONSUMERS, "name": bundle_of(name)}],
                "clientCertSecret": [{"namespace": CONSUMERS, "name": pair_of(name)}],
                "signingCertificateValidity": f"{self.terms.authority}s",
                "servingCertificateValidity": f"{self.terms.leaf}s",
                "clientCertificateValidity": f"{self.terms.leaf}s",
            },
        }

    @cached_property
    def volumes(self) -> Mapping[Key, Volume]:
        """All that a kubelet fills."""
        files = PAIR_FILE, CLIENTS_FILE
        found: dict[Key, Volume] = {}
        for name in self.names:
            clients = self.clients_folder(name)
            gate = Volume(self.gate_folder(name) / "serving", files)
            found["Secret", NAMESPACE, serving_secret(name)] = gate
            found["ConfigMap", CONSUMERS, bundle_of(name)] = Volume(bundle_folder(clients))
            found["Secret", CONSUMERS, pair_of(name)] = Volume(pair_folder(clients))
        return found

    def clients(self) -> dict[ClientKey, Client]:
        """Return a client of each habit for every storage."""
        return {
            (name, habit): Client(self.clients_folder(name), habit)
            for name in self.names
            for habit in Habit
        }

    @contextmanager
    def gates(self, programs: Programs, core: tuple[str, ...]) -> Iterator[dict[str, SoakGate]]:
        """Start all gates, whose folders are filled; in the end they are gone."""
        gates = {
            name: SoakGate(self.gate_folder(name), programs, name, core, number)
            for number, name in enumerate(self.names)
        }
        try:
            for gate in gates.values():
                gate.start()
            yield gates
        finally:
            for gate in gates.values():
                gate.stop()

    def gate_folder(self, name: str) -> Path:
        return self.folder / name / "gate"

    def clients_folder(self, name: str) -> Path:
        return self.folder / name / "clients"


def bundle_of(storage: str) -> str:
    return f"{storage}-ca"


def pair_of(storage: str) -> str:
    return f"{storage}-pair"


def leaves_of(storage: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return namespace and name of both Secrets with a leaf."""
    return (NAMESPACE, serving_secret(storage)), (CONSUMERS, pair_of(storage))


def authority_of(storage: str) -> tuple[str, str]:
    return NAMESPACE, authority_secret(storage)


def read_through(gate: SoakGate, storage: str, client: Client) -> None:
    """Connect as this client and read; raises OSError."""
    read(gate.address, client.context(), f"etcd-{storage}.{NAMESPACE}.svc", f"/{storage}/key")


def rotate(api: ApiClient, storages: Iterable[str], token: str) -> None:
    """Ask for a new authority of each."""
    for name in storages:
        body = {"metadata": {"annotations": {ROTATE_ANNOTATION: token}}}
        api.patch(ETCD_STORAGES, name, body)


def say_ready(api: ApiClient, pod: Mapping[str, Any], address: str) -> None:
    """Say of a pod what a kubelet would say, once its gate runs at this address."""
    condition = {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    where = {"podIP": address, "podIPs": [{"ip": address}]}
    body = {"status": {"phase": "Running", "conditions": [condition], **where}}
    name = pod["metadata"]["name"]
    api.patch(PODS, name, body, namespace=NAMESPACE, subresource="status")
