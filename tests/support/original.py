"""What the first controller, of 2018 and in Go, left in a cluster: manifests and its own objects.

As it was at the commit of its README, and in its last state, where that differs.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from hack.cluster import binaries
from hack.cluster.command import run
from hack.cluster.controlplane import ControlPlane

NAMESPACE = "kube-apiserver-storage"
DEPLOYMENT = "etcdproxy-controller-deployment"
CRD = "etcdstorages.etcd.xmudrii.com"
LABELS = {"controller": "epc"}
"""Of all pods of all storages."""
LONG = "x" * 59
"""Its longest name, for which no Service could be made."""

Json = dict[str, Any]


def store_crd(control_plane: ControlPlane) -> None:
    """Put its CRD where the server has it, as no server takes this version of the API any more."""
    spec: Json = {
        "group": "etcd.xmudrii.com",
        "version": "v1alpha1",
        "versions": [{"name": "v1alpha1", "served": True, "storage": True}],
        "names": {"kind": "EtcdStorage", "plural": "etcdstorages", "singular": "etcdstorage"},
        "scope": "Cluster",
        "subresources": {"status": {}},
        "preserveUnknownFields": True,
        "validation": {"openAPIV3Schema": _schema()},
    }
    crd: Json = {
        "apiVersion": "apiextensions.k8s.io/v1beta1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": CRD,
            "uid": str(uuid4()),
            "creationTimestamp": "2018-07-01T00:00:00Z",
        },
        "spec": spec,
    }
    applied = json.dumps(crd)
    told = {"kubectl.kubernetes.io/last-applied-configuration": applied}
    crd["metadata"]["annotations"] = told
    etcdctl = binaries.ensure("etcdctl")["etcdctl"]
    key = f"/registry/apiextensions.k8s.io/customresourcedefinitions/{CRD}"
    endpoint = f"--endpoints={control_plane.settings.etcd}"
    status: Json = {"conditions": [], "storedVersions": ["v1alpha1"]}
    run([etcdctl, endpoint, "put", key, json.dumps({**crd, "status": status})])
    control_plane.kubectl("wait", "--for=condition=Established", f"crd/{CRD}")


def _schema() -> Json:
    name = {"type": "string", "maxLength": 59}
    return {"properties": {"metadata": {"properties": {"name": name}}}}


def manifests() -> list[Json]:
    """Return what its deployment manifest has besides the CRD."""
    account = {"kind": "ServiceAccount", "name": "etcdproxy-controller-sa"}
    subject = {**account, "namespace": NAMESPACE}
    rbac = "rbac.authorization.k8s.io"
    meta: Json = {"name": "etcdproxy-controller-role", "namespace": NAMESPACE}
    full = ["get", "watch", "list", "create", "update", "patch", "delete"]
    bound = {"apiGroup": rbac, "kind": "Role", "name": meta["name"]}
    labels = {"controller": "etcdproxy"}
    command = ["/etcdproxy-controller", "--etcd-core-url=https://etcd-svc-1.etcd.svc:2379"]
    container = {"name": "etcdproxy-controller", "image": "original:latest", "command": command}
    pods = {"serviceAccountName": account["name"], "containers": [container]}
    return [
        _of("v1", "Namespace", {"name": NAMESPACE}),
        _of("v1", "ServiceAccount", {"name": account["name"], "namespace": NAMESPACE}),
        _of("v1", "ServiceAccount", {"name": "etcdproxy-sa", "namespace": NAMESPACE}),
        _of(
            f"{rbac}/v1",
            "Role",
            meta,
            rules=[
                {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": full},
                {"apiGroups": [""], "resources": ["services", "secrets"], "verbs": full},
            ],
        ),
        _of(
            f"{rbac}/v1",
            "RoleBinding",
            {"name": "etcdproxy-controller-rolebinding", "namespace": NAMESPACE},
            roleRef=bound,
            subjects=[subject],
        ),
        _of(
            "apps/v1",
            "Deployment",
            {"name": DEPLOYMENT, "namespace": NAMESPACE, "labels": labels},
            spec={
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pods},
            },
        ),
    ]


def status() -> Json:
    """Return the status of a storage: the names of its fields are capitalised."""
    condition = {
        "Type": "Deployed",
        "Status": "True",
        "LastTransitionTime": "2018-07-01T00:00:00Z",
        "Reason": "EtcdProxyDeployed",
        "Message": "etcdproxy replicaset and service created",
    }
    return {"Conditions": [condition]}


def replica_set(storage: Json) -> Json:
    """Return that of a storage; all have one selector."""
    name = storage["metadata"]["name"]
    template = {"metadata": {"labels": LABELS}, "spec": _pod(name)}
    spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
    return _of("apps/v1", "ReplicaSet", _owned(storage, f"etcd-rs-{name}"), spec=spec)


def deployment(storage: Json) -> Json:
    """Return what took the place of the ReplicaSet in the last state."""
    name = storage["metadata"]["name"]
    labels = {"apiserver": name}
    template = {"metadata": {"labels": labels}, "spec": _pod(name)}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    return _of("apps/v1", "Deployment", _owned(storage, f"etcd-{name}"), spec=spec)


def service(storage: Json, selector: Mapping[str, str] | None = None) -> Json:
    """Return that of a storage; in the last state the selector has the storage's name."""
    port = {"protocol": "TCP", "port": 2379, "targetPort": 2379}
    meta = _owned(storage, f"etcd-{storage['metadata']['name']}")
    return _of("v1", "Service", meta, spec={"selector": selector or LABELS, "ports": [port]})


def serving(storage: Json) -> list[Json]:
    """Return what the pods of the last state serve by: an authority and a pair."""
    name = storage["metadata"]["name"]
    authority = {"client-ca.crt": certificate("client-signer")[0].decode()}
    return [
        _of("v1", "ConfigMap", _owned(storage, f"{name}-ca-cert"), data=authority),
        _of("v1", "Secret", _owned(storage, f"{name}-server-cert"), **_pair()),
    ]


def delivered(namespace: str) -> list[Json]:
    """Return what the last state brought to a consumer."""
    bundle = certificate("server-signer")[0].decode()
    signed = {"etcd.xmudrii.com/certificate-signed-by": "server-signer-1530403200"}
    ends = {"etcd.xmudrii.com/certificate-expiry-date": "2028-07-01T00:00:00Z", **signed}
    meta = {"name": "etcd-serving-ca", "namespace": namespace, "annotations": signed}
    pair = {"name": "etcd-client", "namespace": namespace, "annotations": ends}
    return [
        _of("v1", "ConfigMap", meta, data={"serving-ca.crt": bundle}),
        _of("v1", "Secret", pair, **_pair()),
    ]


def certificate(name: str) -> tuple[bytes, bytes]:
    """Return a certificate of RSA, as all of its were, and the key."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return made.public_bytes(Encoding.PEM), pem


def _pair() -> Json:
    parts = dict(zip(("tls.crt", "tls.key"), certificate("leaf"), strict=True))
    data = {name: base64.b64encode(content).decode() for name, content in parts.items()}
    return {"type": "kubernetes.io/tls", "data": data}


def _pod(name: str) -> Json:
    shared = ("etcd-coreserving-ca", "etcd-coreserving-cert")
    places = dict(zip(shared, ("/etc/certs/ca", "/etc/certs/client"), strict=True))
    container = {
        "name": "etcdproxy",
        "image": "quay.io/coreos/etcd:v3.7.3",
        "command": ["/usr/local/bin/etcd", "grpc-proxy", "start"],
        "args": [
            "--endpoints=https://etcd-svc-1.etcd.svc:2379",
            f"--namespace=/{name}/",
            "--listen-addr=0.0.0.0:2379",
            "--cacert=/etc/certs/ca/ca.pem",
            "--cert=/etc/certs/client/client.pem",
            "--key=/etc/certs/client/client-key.pem",
        ],
        "ports": [{"name": "etcd", "containerPort": 2379}],
        "volumeMounts": [{"name": n, "mountPath": path} for n, path in places.items()],
    }
    volumes = [
        {"name": shared[0], "configMap": {"name": shared[0]}},
        {"name": shared[1], "secret": {"secretName": shared[1]}},
    ]
    return {"containers": [container], "volumes": volumes}


def _owned(storage: Json, name: str) -> Json:
    meta = storage["metadata"]
    owner = {
        "apiVersion": "etcd.xmudrii.com/v1alpha1",
        "kind": "EtcdStorage",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {"name": name, "namespace": NAMESPACE, "ownerReferences": [owner]}


def _of(api_version: str, kind: str, meta: Json, **content: Any) -> Json:
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **content}
