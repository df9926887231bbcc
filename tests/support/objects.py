"""API objects as the server returns them, as raw JSON; only what a test names differs."""

import base64
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from controller.api.storage import EtcdStorage, read_storage
from controller.dataplane import CoreEtcd, Desired, Facts, GatedDataPlane, Images
from controller.dataplane.interface import REVISION_LABEL
from controller.ownership import STORAGE_LABEL, controller_reference
from controller.pki.authority import Authority

Json = dict[str, Any]

NAME: Final = "etcd-name"
NAMESPACE: Final = "kube-apiserver-storage"
CA: Final = "a bundle of certificates"
IMAGE: Final = "quay.io/coreos/etcd:v3.7.3"
CORE: Final = CoreEtcd(
    ("https://etcd-svc-1.etcd.svc:2379",), "etcd-coreserving-ca", "etcd-coreserving-cert"
)
IMAGES: Final = Images("docker.io/envoyproxy/envoy:distroless-v1.40.0", IMAGE)
ROOT: Final = "etcd-core-root"
CLIENT_CA: Final = "etcd-core-client-ca"
PLANE: Final = GatedDataPlane(NAMESPACE, IMAGES, CORE)
FACTS: Final = Facts(auth=False, users=False, tls=False, drain_token="0123456789abcdef" * 2)
NOW: Final = "2026-01-02T03:04:05Z"


def plane(version: int = 0) -> GatedDataPlane:
    """Return the data plane as a later release of ours would have it, for each number another."""
    return replace(PLANE, images=replace(IMAGES, etcd=f"{IMAGE}-{version}"))


def desired_of(
    storage: EtcdStorage | None = None, *, version: int | None = None, facts: Facts = FACTS
) -> Desired:
    """Return the objects of `storage`, by default of the one called NAME."""
    made_by = PLANE if version is None else plane(version)
    return made_by.desired(storage or read(), facts)


class KnownRandom(random.Random):
    """Makes the drain token of `FACTS`, so that a storage's objects are those of `desired_of`."""

    def getrandbits(self, _bits: int, /) -> int:
        return int(FACTS.drain_token, 16)


def metadata(name: str, namespace: str | None = None, **fields: Any) -> Json:
    where = {"namespace": namespace} if namespace else {}
    return {"name": name, **where, "uid": f"uid-{name}", "resourceVersion": "7", **fields}


CREATED = "2026-01-02T03:04:05Z"


def etcd_storage(
    name: str = NAME,
    *,
    generation: int = 1,
    status: Json | None = None,
    meta: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Json:
    obj = {
        "apiVersion": "etcd.xmudrii.com/v1alpha1",
        "kind": "EtcdStorage",
        "metadata": metadata(
            name, generation=generation, **{"creationTimestamp": CREATED, **(meta or {})}
        ),
        "spec": {"mode": "Proxy", "replicas": 2, "reclaimPolicy": "Retain", **spec},
    }
    return obj if status is None else {**obj, "status": status}


def read(name: str = NAME, **fields: Any) -> EtcdStorage:
    """Return the storage as the controller reads it."""
    return read_storage(etcd_storage(name, **fields))


def pod(
    name: str,
    revision: str | None = "new",
    *,
    ready: bool = True,
    terminating: bool = False,
    owner_uid: str = f"uid-etcd-rs-{NAME}",
    storage: str = NAME,
    status: Mapping[str, Any] | None = None,
) -> Json:
    labels = {STORAGE_LABEL: storage, **({REVISION_LABEL: revision} if revision else {})}
    owner = {"kind": "ReplicaSet", "name": "rs", "uid": owner_uid, "controller": True}
    gone = {"deletionTimestamp": NOW} if terminating else {}
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(name, NAMESPACE, labels=labels, ownerReferences=[owner], **gone),
        "status": {"phase": "Running", "conditions": [condition], **(status or {})},
    }


def owned_by(storage: EtcdStorage, obj: Json) -> Json:
    """Return `obj` with `storage` as its controller and nothing else of an owner."""
    references = {"ownerReferences": [controller_reference(storage)]}
    return {**obj, "metadata": {**obj["metadata"], **references}}


def replica_set_of_2018(storage: EtcdStorage) -> Json:
    """What the first controller made: every storage's pods carry the same label."""
    labels = {"controller": "epc"}
    container = {
        "name": "etcdproxy",
        "image": "quay.io/coreos/etcd:v3.2.18",
        "command": ["/usr/local/bin/etcd", "grpc-proxy", "start"],
        "args": [f"--namespace={storage.prefix}", "--listen-addr=0.0.0.0:2379"],
        "ports": [{"name": "etcd", "containerPort": 2379}],
    }
    return owned_by(
        storage,
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": f"etcd-rs-{storage.name}", "namespace": NAMESPACE},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
    )


def service_of_2018(storage: EtcdStorage) -> Json:
    port = {"name": "etcd", "port": 2379, "targetPort": 2379, "protocol": "TCP"}
    return owned_by(
        storage,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"etcd-{storage.name}", "namespace": NAMESPACE},
            "spec": {"type": "ClusterIP", "selector": {"controller": "epc"}, "ports": [port]},
        },
    )


def core_config_map(data: Mapping[str, str] | None = None) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(CORE.ca_config_map, NAMESPACE),
        "data": {"ca.pem": CA} if data is None else dict(data),
    }


def core_secret(data: Mapping[str, str] | None = None, name: str = CORE.certs_secret) -> Json:
    content = {"client.pem": "certificate", "client-key.pem": "key"} if data is None else data
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(name, NAMESPACE),
        "data": encoded,
    }


def client_ca(now: datetime) -> Json:
    """Return a Secret with an authority for clients of the core, good from `now` on."""
    pair = Authority.create("clients", validity=timedelta(days=3650), now=now).pair
    content = {"ca.pem": pair.cert_pem.decode(), "ca-key.pem": pair.key_pem.decode()}
    return core_secret(content, CLIENT_CA)
