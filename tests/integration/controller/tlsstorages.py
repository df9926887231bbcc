"""Storages with TLS on the real API server: what lies there, and how it should be."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from controller.api.conditions import find_condition
from controller.api.storage import EtcdStorage, read_storage
from controller.certificates import CA, DELIVERED, listed
from controller.certifier import addresses
from controller.consumers import load
from controller.dataplane.gate import CLIENTS_FILE, PAIR_FILE, clients_file, pair_file
from controller.dataplane.names import object_name, serving_secret
from controller.pki.leaves import client_uri, service_dns
from controller.pki.pem import is_key_of, is_signed_by, read_certificates
from controller.pki.trust import Trust
from controller.pki.trustsecret import authority_secret, read
from controller.resources import (
    CONFIG_MAPS,
    ETCD_STORAGES,
    SECRETS,
    SERVICES,
)
from informers import Client
from tests.support import handshake

Json = dict[str, Any]


def listing(storage: str, namespaces: Iterable[str], **spec: Any) -> Json:
    """Return a spec with a bundle and a pair for each namespace; they are the storage's own."""
    return {
        "caCertConfigMap": [{"name": f"{storage}-ca", "namespace": ns} for ns in namespaces],
        "clientCertSecret": [{"name": f"{storage}-pair", "namespace": ns} for ns in namespaces],
        **spec,
    }


def rotating(token: str) -> Json:
    """Return the patch that asks for a new authority."""
    return {"metadata": {"annotations": {"etcd.xmudrii.com/rotate": token}}}


def decoded(secret: Json, key: str) -> bytes:
    return base64.b64decode(secret["data"][key])


def leaf_of(secret: Json) -> x509.Certificate:
    """Return the certificate of a Secret with a pair, or with an authority."""
    return read_certificates(decoded(secret, "tls.crt"))[0]


@dataclass(frozen=True, slots=True)
class Delivered:
    """Everything that lies on the server for one storage, and checks of it."""

    storage: EtcdStorage
    namespace: str
    authority: Json
    serving: Json
    service: Json
    bundles: dict[str, Json]
    """By namespace."""
    pairs: dict[str, Json]

    @classmethod
    def read(cls, api: Client, name: str, namespace: str) -> "Delivered":
        storage = read_storage(api.get(ETCD_STORAGES, name))
        return cls(
            storage,
            namespace,
            api.get(SECRETS, authority_secret(name), namespace),
            api.get(SECRETS, serving_secret(name), namespace),
            api.get(SERVICES, object_name(SERVICES, name), namespace),
            {
                to.namespace: api.get(CONFIG_MAPS, to.name, to.namespace)
                for to in storage.ca_cert_config_maps
            },
            {
                to.namespace: api.get(SECRETS, to.name, to.namespace)
                for to in storage.client_cert_secrets
            },
        )

    @property
    def trust(self) -> Trust:
        return read(self.authority, self.storage.name)

    @property
    def signer(self) -> x509.Certificate:
        return self.trust.signer.certificate

    @property
    def leaves(self) -> tuple[x509.Certificate, ...]:
        """What gates show, and then the consumers."""
        return tuple(leaf_of(secret) for secret in (self.serving, *self.pairs.values()))

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        return (leaf_of(self.authority), *self.leaves)

    @property
    def serials(self) -> dict[str, int]:
        """Of the leaf or authority in each Secret."""
        secrets = (self.authority, self.serving, *self.pairs.values())
        return {purpose(secret): leaf_of(secret).serial_number for secret in secrets}

    def check(self, now: datetime) -> None:
        """Assert that all of it is as one trust would have it, and that the status says so."""
        trust = self.trust
        bundle, chain = trust.bundle(now), trust.chain(now)
        for secret in (self.serving, *self.pairs.values()):
            certificates = read_certificates(decoded(secret, "tls.crt"))
            assert certificates[1:] == (read_certificates(chain) if chain else ())
            assert is_signed_by(certificates[0], self.signer), purpose(secret)
            assert is_key_of(decoded(secret, "tls.key"), certificates[0])
        for config_map in self.bundles.values():
            assert config_map["data"]["serving-ca.crt"].encode() == bundle
        self._check_serving(bundle)
        self._check_names()
        self._check_status(rotating=len(trust.trusted(now)) > 1)

    def _check_serving(self, bundle: bytes) -> None:
        serving, storage = self.serving, self.storage
        secrets = storage.client_cert_secrets
        uris = tuple(client_uri(storage.name, to.namespace, to.name) for to in secrets)
        pair = pair_file(decoded(serving, "tls.crt"), decoded(serving, "tls.key"))
        assert serving["type"] == "kubernetes.io/tls"
        assert decoded(serving, CA) == bundle
        assert decoded(serving, PAIR_FILE) == pair
        assert decoded(serving, CLIENTS_FILE) == clients_file(uris, bundle)
        assert {*load(serving["metadata"]["annotations"][DELIVERED])} == {*listed(storage)}

    def _check_names(self) -> None:
        names = _names(leaf_of(self.serving))
        expected = service_dns(object_name(SERVICES, self.storage.name), self.namespace)
        assert names.get_values_for_type(x509.DNSName) == [*expected]
        ips = names.get_values_for_type(x509.IPAddress)
        assert tuple(sorted(map(str, ips))) == addresses(self.service)
        for namespace, pair in self.pairs.items():
            uri = client_uri(self.storage.name, namespace, pair["metadata"]["name"])
            names = _names(leaf_of(pair))
            assert names.get_values_for_type(x509.UniformResourceIdentifier) == [uri]

    def _check_status(self, *, rotating: bool) -> None:
        status = self.storage.status
        told = status["certificates"]
        assert told["signing"] == _told(self.signer)
        serving = told["serving"]
        assert {key: serving[key] for key in ("serial", "notAfter")} == _told(
            leaf_of(self.serving)
        )
        assert told.get("clients", []) == [
            {"namespace": to.namespace, "name": to.name} | _told(leaf_of(self.pairs[to.namespace]))
            for to in self.storage.client_cert_secrets
        ]
        expected = {
            "Deployed": "EtcdProxyDeployed",
            "CertificatesReady": "Rotating" if rotating else "CertificatesDelivered",
        }
        for type_, reason in expected.items():
            condition = find_condition(status, type_)
            assert condition is not None
            assert (condition["status"], condition["reason"]) == ("True", reason), condition

    def shake_hands(
        self, folder: Path, namespace: str, *, as_of: "Delivered | None" = None
    ) -> None:
        """Let a consumer meet the gate, with what it got `as_of` then; SSLError if one refuses."""
        had = as_of or self
        pair, bundle = had.pairs[namespace], had.bundles[namespace]["data"]["serving-ca.crt"]
        serving = _pair(self.serving)
        server = handshake.serving(folder, *serving, clients=decoded(self.serving, CA))
        client = handshake.asking(folder, bundle.encode(), _pair(pair))
        handshake.shake_hands(server, client, f"etcd-{self.storage.name}.{self.namespace}.svc")


def purpose(secret: Json) -> str:
    """Return what its certificate is for: the Secret's own name, by its namespace."""
    return f"{secret['metadata']['namespace']}/{secret['metadata']['name']}"


def issued(stored: Iterable[Json]) -> dict[str, list[int]]:
    """Return the serials that Secrets had, in order, by purpose.

    Every pair on the way has to be one; one that was emptied counts as none.
    """
    found: dict[str, list[int]] = {}
    for secret in stored:
        if secret["kind"] != "Secret" or not (secret.get("data") or {}).get("tls.crt"):
            continue
        leaf = leaf_of(secret)
        assert is_key_of(decoded(secret, "tls.key"), leaf)
        serials = found.setdefault(purpose(secret), [])
        if leaf.serial_number not in serials:
            serials.append(leaf.serial_number)
    return found


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def _pair(secret: Json) -> tuple[bytes, bytes]:
    return decoded(secret, "tls.crt"), decoded(secret, "tls.key")


def _told(certificate: x509.Certificate) -> dict[str, str]:
    end = certificate.not_valid_after_utc
    return {
        "serial": f"{certificate.serial_number:x}",
        "notAfter": f"{end:%Y-%m-%dT%H:%M:%SZ}",
    }
