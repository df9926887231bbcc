"""Mode Proxy: pods of `etcd grpc-proxy` that put every key of a storage under `/<name>/`.

There is no gate in front of the proxy yet, so a tenant is not kept from the core's other
controls; the README says so where it speaks of isolation.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson

from controller.api.storage import EtcdStorage
from controller.dataplane.core import CA_KEY, CERT_KEY, KEY_KEY, CoreEtcd
from controller.dataplane.interface import (
    REVISION_LABEL,
    Desired,
    replica_set_name,
    service_name,
)
from controller.ownership import STORAGE_LABEL
from controller.resources import REPLICA_SETS, SERVICES

PORT: Final = 2379
CA_HASH_ANNOTATION: Final = "etcd.xmudrii.com/core-ca-hash"
"""grpc-proxy reads the core's CA only at its start, so a changed CA must change the template."""

_CA_DIR: Final = "/etc/certs/ca"
_CLIENT_DIR: Final = "/etc/certs/client"
_MOUNTS: Final = (
    {"name": "core-ca", "mountPath": _CA_DIR, "readOnly": True},
    {"name": "core-certs", "mountPath": _CLIENT_DIR, "readOnly": True},
)
_USER: Final = 65532
"""The user `nonroot` of distroless images; any that is not root would do."""


@dataclass(frozen=True, slots=True)
class ProxyDataPlane:
    """A ReplicaSet of proxies and the Service in front of them."""

    namespace: str
    image: str
    core: CoreEtcd

    def desired(self, storage: EtcdStorage, core_ca: str) -> Desired:
        return Desired(
            replica_set=self._replica_set(storage, core_ca),
            service=self._service(storage),
            endpoint=f"http://{service_name(storage.name)}.{self.namespace}.svc:{PORT}",
        )

    def unsupported(self, storage: EtcdStorage) -> str | None:
        if storage.mode != "Proxy":
            return f"mode {storage.mode} is not served by this version, only mode Proxy is"
        if storage.ca_cert_config_maps or storage.client_cert_secrets:
            return (
                "caCertConfigMap and clientCertSecret ask for TLS, which this version does not"
                " serve; an endpoint without TLS is not given in its place"
            )
        if storage.reclaim_policy != "Retain":
            return "reclaimPolicy Delete is not carried out by this version, only Retain is"
        return None

    def _replica_set(self, storage: EtcdStorage, core_ca: str) -> dict[str, Any]:
        return {
            "apiVersion": REPLICA_SETS.api_version,
            "kind": REPLICA_SETS.kind,
            "metadata": {
                "name": replica_set_name(storage.name),
                "namespace": self.namespace,
                "labels": _labels(storage),
            },
            "spec": {
                "replicas": storage.replicas,
                "selector": {"matchLabels": _selector(storage)},
                "template": with_revision(self._template(storage, core_ca)),
            },
        }

    def _service(self, storage: EtcdStorage) -> dict[str, Any]:
        return {
            "apiVersion": SERVICES.api_version,
            "kind": SERVICES.kind,
            "metadata": {
                "name": service_name(storage.name),
                "namespace": self.namespace,
                "labels": _labels(storage),
            },
            "spec": {
                "type": "ClusterIP",
                "selector": _selector(storage),
                "ports": [{"name": "etcd", "port": PORT, "targetPort": "etcd", "protocol": "TCP"}],
            },
        }

    def _template(self, storage: EtcdStorage, core_ca: str) -> dict[str, Any]:
        # Empty maps and lists are left out: the server drops them, and that would be a drift.
        annotations = {"annotations": {CA_HASH_ANNOTATION: _digest(core_ca.encode())}}
        return {
            "metadata": {"labels": _labels(storage), **(annotations if self.core.tls else {})},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": _USER,
                    "runAsGroup": _USER,
                    "fsGroup": _USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [self._container(storage)],
                **({"volumes": self._volumes()} if self.core.tls else {}),
            },
        }

    def _container(self, storage: EtcdStorage) -> dict[str, Any]:
        return {
            "name": "etcdproxy",
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/usr/local/bin/etcd", "grpc-proxy", "start"],
            "args": [
                f"--endpoints={','.join(self.core.urls)}",
                f"--namespace={storage.prefix}",
                f"--listen-addr=0.0.0.0:{PORT}",
                *self._tls_arguments(),
            ],
            "ports": [{"name": "etcd", "containerPort": PORT, "protocol": "TCP"}],
            # A read through to the core, so a proxy without a core takes no connections.
            "readinessProbe": {
                "httpGet": {"path": "/health", "port": "etcd", "scheme": "HTTP"},
                "periodSeconds": 5,
                "timeoutSeconds": 3,
                "failureThreshold": 2,
            },
            "resources": {
                "requests": {"cpu": "10m", "memory": "32Mi"},
                # Its cache is bounded in entries, not in bytes: large lists would take the node.
                "limits": {"memory": "512Mi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            **({"volumeMounts": [*_MOUNTS]} if self.core.tls else {}),
        }

    def _tls_arguments(self) -> list[str]:
        if not self.core.tls:
            return []
        return [
            f"--cacert={_CA_DIR}/{CA_KEY}",
            f"--cert={_CLIENT_DIR}/{CERT_KEY}",
            f"--key={_CLIENT_DIR}/{KEY_KEY}",
        ]

    def _volumes(self) -> list[dict[str, Any]]:
        secret = {"secretName": self.core.certs_secret, "defaultMode": 0o440}
        return [
            {"name": "core-ca", "configMap": {"name": self.core.ca_config_map}},
            {"name": "core-certs", "secret": secret},
        ]


def with_revision(template: dict[str, Any]) -> dict[str, Any]:
    """Return `template` labelled with the hash of itself."""
    revision = _digest(orjson.dumps(template, option=orjson.OPT_SORT_KEYS))
    metadata = template["metadata"]
    labels = {**metadata["labels"], REVISION_LABEL: revision}
    return {**template, "metadata": {**metadata, "labels": labels}}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:10]


def _selector(storage: EtcdStorage) -> dict[str, str]:
    return {STORAGE_LABEL: storage.name}


def _labels(storage: EtcdStorage) -> dict[str, str]:
    return {
        **_selector(storage),
        "app.kubernetes.io/name": "etcdproxy",
        "app.kubernetes.io/instance": storage.name,
        "app.kubernetes.io/managed-by": "etcdproxy-controller",
    }
