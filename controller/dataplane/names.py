"""What a storage's objects are called and labelled, and whose an object of such a name is.

The names of ReplicaSet and Service are those of the first controller; the Service's is part of
every endpoint.
"""

from collections.abc import Mapping
from typing import Any, Final

from controller.api.storage import EtcdStorage
from controller.ownership import STORAGE_LABEL
from controller.pki.trustsecret import authority_secret
from controller.resources import (
    DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from informers import Resource

_PREFIXES: Final[Mapping[Resource, str]] = {
    REPLICA_SETS: "etcd-rs-",
    SERVICES: "etcd-",
    DISRUPTION_BUDGETS: "etcd-",
    NETWORK_POLICIES: "etcd-",
    # With the pair of the storage's user in the core.
    SECRETS: "etcd-user-",
}


OWNED: Final = tuple(_PREFIXES)
"""The kinds of which a storage has at most one object each."""


def object_name(resource: Resource, storage_name: str) -> str:
    """Return the name of the storage's object of this kind; it has one of each."""
    return f"{_PREFIXES[resource]}{storage_name}"


def serving_secret(storage_name: str) -> str:
    """Return the name of the Secret by which the storage's gates serve TLS."""
    return f"etcd-serving-{storage_name}"


_SECRETS: Final = (_PREFIXES[SECRETS], authority_secret(""), serving_secret(""))


def storage_of(resource: Resource, name: str) -> str | None:
    """Return the storage that an object of this kind and name would belong to."""
    prefixes = _SECRETS if resource == SECRETS else (_PREFIXES[resource],)
    return next((name.removeprefix(p) for p in prefixes if name.startswith(p)), None)


def head(
    resource: Resource, storage: EtcdStorage, namespace: str, name: str | None = None
) -> dict[str, Any]:
    """Return an object of the storage without its content; `name` is by its kind unless given."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name or object_name(resource, storage.name),
            "namespace": namespace,
            "labels": labels(storage),
        },
    }


def selector(storage: EtcdStorage) -> dict[str, str]:
    """Return the labels that select the storage's pods, and nobody else's."""
    return {STORAGE_LABEL: storage.name}


def labels(storage: EtcdStorage) -> dict[str, str]:
    """Return the labels of all objects of the storage."""
    return {
        **selector(storage),
        "app.kubernetes.io/name": "etcdproxy",
        "app.kubernetes.io/instance": storage.name,
        "app.kubernetes.io/managed-by": "etcdproxy-controller",
    }
