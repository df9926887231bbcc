"""The pods of many storages, ready, where no controller manager and no kubelet makes any."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from controller.resources import PODS, REPLICA_SETS
from hack.bench.controller.storages import NAMESPACE, THREADS
from informers import Client, Resource

Json = dict[str, Any]

_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", namespaced=True)


def make(api: Client) -> int:
    """Make those that the ReplicaSets ask for; returns how many."""
    account = {"apiVersion": "v1", "kind": _ACCOUNTS.kind, "metadata": {"name": "default"}}
    if not api.list(_ACCOUNTS, NAMESPACE)["items"]:
        api.create(_ACCOUNTS, account, NAMESPACE)
    pods = [pod for rs in api.list(REPLICA_SETS, NAMESPACE)["items"] for pod in pods_of(rs)]
    with ThreadPoolExecutor(THREADS) as pool:
        # The list raises what a write has raised.
        return len([*pool.map(lambda pod: _make(api, pod), pods)])


def pods_of(replica_set: Mapping[str, Any]) -> list[Json]:
    """Return the pods of a ReplicaSet as its controller makes them, but for their names."""
    meta, spec = replica_set["metadata"], replica_set["spec"]
    owner = {
        "apiVersion": REPLICA_SETS.api_version,
        "kind": REPLICA_SETS.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    made = {"apiVersion": PODS.api_version, "kind": PODS.kind, "spec": spec["template"]["spec"]}
    labels = spec["template"]["metadata"]["labels"]
    return [
        {
            **made,
            "metadata": {
                "name": f"{meta['name']}-{number}",
                "labels": labels,
                "ownerReferences": [owner],
            },
        }
        for number in range(spec["replicas"])
    ]


def _make(api: Client, pod: Json) -> None:
    name = pod["metadata"]["name"]
    api.create(PODS, pod, NAMESPACE)
    since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": since}
    # Without an address nobody asks its gate, which is not there.
    status = {"phase": "Running", "conditions": [ready]}
    api.patch(PODS, name, {"status": status}, namespace=NAMESPACE, subresource="status")
