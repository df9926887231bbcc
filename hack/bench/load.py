"""ReplicaSets like the controller's own: 1.5 kB each in the API server's JSON."""

import threading
from typing import Any

from hack.cluster import etcdapi
from informers import Client, Resource

REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", namespaced=True)
NAMESPACE = "kube-apiserver-storage"

_MANAGED_FIELDS = {
    "f:metadata": {"f:labels": {".": {}, "f:etcd.xmudrii.com/storage": {}}},
    "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:template": {"f:metadata": {"f:labels": {}}, "f:spec": {"f:containers": {}}},
    },
}


def replica_set(number: int) -> dict[str, Any]:
    """One without pods, as it is created."""
    name = f"storage-{number:05}"
    labels = {"etcd.xmudrii.com/storage": name}
    arguments = ["grpc-proxy", "start", f"--namespace=/{name}/", "--endpoints=https://etcd:2379"]
    container = {"name": "etcd-proxy", "image": "etcd", "args": arguments}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": REPLICA_SETS.api_version,
        "kind": REPLICA_SETS.kind,
        "metadata": {"name": f"etcd-rs-{name}", "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }


def stored(number: int, version: int) -> dict[str, Any]:
    """The same as the API server gives it back, at a resourceVersion."""
    obj = replica_set(number)
    managed = {
        "manager": "etcdproxy-controller",
        "operation": "Update",
        "apiVersion": REPLICA_SETS.api_version,
        "time": "2026-01-02T03:04:05Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": _MANAGED_FIELDS,
    }
    obj["metadata"] |= {
        "namespace": NAMESPACE,
        "uid": f"01234567-89ab-cdef-0123-{number:012}",
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "managedFields": [managed],
    }
    obj["spec"]["template"]["spec"]["containers"][0] |= {
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "Always",
    }
    obj["spec"]["template"]["spec"] |= {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    }
    obj["status"] = {"replicas": 0}
    return obj


def unversioned(number: int) -> dict[str, Any]:
    """The same for `etcdapi.put_objects`."""
    obj = stored(number, 0)
    del obj["metadata"]["resourceVersion"]
    return obj


def populate(client: Client, etcd: str, count: int) -> None:
    """Put so many ReplicaSets below an API server that had none; nobody may watch meanwhile."""
    objects = map(unversioned, range(count))
    etcdapi.put_objects(etcd, objects, REPLICA_SETS.plural, together=128)
    never = threading.Event()
    # Its cache follows etcd in its own time.
    while len(client.list(REPLICA_SETS)["items"]) < count:
        never.wait(0.1)
