"""A reconciler of one storage with TLS, on servers in memory: its own one, and the consumers'."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from controller.api.conditions import find_condition
from controller.certificates import CA, DELIVERED
from controller.consumers.consumer import BUNDLE, NAMESPACES, Consumer, load
from controller.dataplane.gate import CLIENTS_FILE
from controller.events import Event, Subject
from controller.gatecerts import Served
from controller.pki.pem import Certificate, read_certificates
from controller.pki.trust import Trust
from controller.pki.trustsecret import read
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, PODS, REPLICA_SETS, SECRETS
from controller.secretdata import decoded
from tests.support.certifying import Certifying
from tests.support.memoryserver import MemoryServer
from tests.support.objects import (
    NAME,
    core_config_map,
    core_secret,
    etcd_storage,
    pod,
)
from tests.support.reconcilers import reconciler

Json = dict[str, Any]

RS: Final = f"etcd-rs-{NAME}"
SERVICE: Final = f"etcd-{NAME}"
AUTHORITY: Final = f"etcd-ca-{NAME}"
SERVING: Final = f"etcd-serving-{NAME}"
STATUS: Final = f"patch EtcdStorage/status {NAME}"

BUNDLE_A: Final = Consumer("ConfigMap", "team-a", "serving-ca")
PAIR_A: Final = Consumer("Secret", "team-a", "client")
PAIR_B: Final = Consumer("Secret", "team-b", "client")

FROM_NOTHING: Final = (
    f"create Secret {AUTHORITY}",
    f"create NetworkPolicy {SERVICE}",
    f"create PodDisruptionBudget {SERVICE}",
    f"create Service {SERVICE}",
    f"create Secret {SERVING}",
    f"create ReplicaSet {RS}",
    STATUS,
    "patch ConfigMap team-a/serving-ca",
    "patch Secret team-a/client",
    "patch Secret team-b/client",
)
"""What the first look writes, what is in other namespaces last."""

_BEGAN: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def listing(*consumers: Consumer) -> Json:
    """Return the part of a spec that lists who gets something."""
    lists: Json = {"caCertConfigMap": [], "clientCertSecret": []}
    for consumer in consumers:
        kind = "caCertConfigMap" if consumer.kind == "ConfigMap" else "clientCertSecret"
        lists[kind].append({"namespace": consumer.namespace, "name": consumer.name})
    return lists


class TlsWorld:
    """One storage, called NAME, with a ConfigMap and two Secrets."""

    def __init__(self, **spec: Any) -> None:
        self.server = MemoryServer()
        self.certifying = Certifying()
        self.others = self.certifying.others
        self.gates = self.certifying.gates
        self.now = _BEGAN
        self.again: float | None = None
        self.events: list[Event] = []
        self.start()
        self.server.put(CONFIG_MAPS, core_config_map())
        self.server.put(SECRETS, core_secret())
        for name in ("team-a", "team-b"):
            self.others.put(NAMESPACES, {"metadata": {"name": name}})
        spec = {**listing(BUNDLE_A, PAIR_A, PAIR_B), **spec}
        self.server.put(ETCD_STORAGES, etcd_storage(**spec))

    def start(self, *, require_tls: bool = False) -> None:
        """Begin anew, with nothing remembered."""
        made = reconciler(self.server, self, lambda: self.now)
        self.reconciler = replace(
            made, certifier=self.certifying.certifier, require_tls=require_tls
        )

    def record(self, _storage: Subject, event: Event) -> None:
        """Take an event, as a Recorder."""
        self.events.append(event)

    def news(self) -> list[tuple[str, str]]:
        """Return the events since the last call, by reason and message."""
        told = [(event.reason, event.message) for event in self.events]
        self.events.clear()
        return told

    def reconcile(self) -> list[str]:
        """Look once; returns what was written, what is in other namespaces last."""
        self.server.writes.clear()
        self.others.calls.clear()
        self.again = self.reconciler.reconcile(NAME)
        return [*self.server.writes, *(c for c in self.others.calls if c.startswith("patch "))]

    def settle(self) -> list[str]:
        """Look until nothing is left to write, at all consumers as well; returns what was."""
        written: list[str] = []
        for _ in range(8):
            new = self.reconcile()
            written += new
            if not new:
                self.certifying.clock.step(1000)
                if not (new := self.reconcile()):
                    return written
                written += new
        raise AssertionError(f"it writes without an end: {written}")

    def advance(self, span: timedelta) -> None:
        self.now += span
        self.certifying.clock.step(span.total_seconds())

    def spec(self, **fields: Any) -> None:
        """Let somebody edit the storage."""
        self.server.edit(ETCD_STORAGES, NAME, lambda obj: obj["spec"].update(fields))

    def rotate(self, token: str) -> None:
        annotations = {"etcd.xmudrii.com/rotate": token}
        self.server.edit(
            ETCD_STORAGES, NAME, lambda o: o["metadata"].update(annotations=annotations)
        )

    def spoil(self, name: str, **data: str) -> None:
        """Let somebody write into one of the storage's Secrets."""
        self.server.edit(SECRETS, name, lambda secret: secret["data"].update(data))

    # What is there.

    @property
    def trust(self) -> Trust:
        return read(self.server.peek(SECRETS, AUTHORITY), NAME)

    @property
    def signer(self) -> Certificate:
        return self.trust.signer.certificate

    @property
    def data(self) -> Json:
        data: Json = self.server.peek(SECRETS, SERVING)["data"]
        return data

    @property
    def leaf(self) -> Certificate:
        return read_certificates(decoded(self.data, "tls.crt"))[0]

    @property
    def bundle(self) -> tuple[Certificate, ...]:
        """What the gates believe."""
        return read_certificates(decoded(self.data, CA))

    @property
    def clients(self) -> str:
        return decoded(self.data, CLIENTS_FILE).decode()

    @property
    def list_version(self) -> str:
        version: str = orjson.loads(self.clients)["version_info"]
        return version

    @property
    def delivered(self) -> set[Consumer]:
        """Who may have got something, as the serving Secret says."""
        annotations = self.server.peek(SECRETS, SERVING)["metadata"]["annotations"]
        return set(load(annotations[DELIVERED]))

    def held(self, consumer: Consumer) -> Json:
        """Return the data of a consumer's object."""
        obj = self.others.peek(consumer.resource, consumer.namespace, consumer.name)
        data: Json = obj.get("data") or {}
        return data

    def held_bundle(self) -> tuple[Certificate, ...]:
        return read_certificates(self.held(BUNDLE_A)[BUNDLE].encode())

    def pair(self, consumer: Consumer) -> Certificate:
        return read_certificates(decoded(self.held(consumer), "tls.crt"))[0]

    def status(self) -> Json:
        found: Json = self.server.peek(ETCD_STORAGES, NAME).get("status", {})
        return found

    def condition(self, type_: str = "CertificatesReady") -> tuple[str, str, str]:
        found = find_condition(self.status(), type_)
        assert found is not None
        return found["status"], found["reason"], found["message"]

    # What a cluster does.

    def add_pod(self, name: str) -> str:
        """Let the ReplicaSet have made a pod, which is ready; returns its uid."""
        replica_set = self.server.peek(REPLICA_SETS, RS)
        made = pod(name)
        made["metadata"]["labels"] = replica_set["spec"]["template"]["metadata"]["labels"]
        made["metadata"]["ownerReferences"][0].update(name=RS, uid=replica_set["metadata"]["uid"])
        uid: str = self.server.put(PODS, made)["metadata"]["uid"]
        return uid

    def bring(self, uid: str) -> None:
        """Let the kubelet have brought the serving Secret to a pod, whose gate shows it."""
        known = frozenset(each.serial_number for each in self.bundle)
        leaf = self.leaf
        self.gates.seen[uid] = Served(
            leaf.serial_number, leaf.not_valid_after_utc, known, self.list_version
        )
