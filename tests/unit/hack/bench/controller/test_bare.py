"""The yardstick writes what the controller writes: seen beside a reconcile of the same storage."""

from datetime import UTC, datetime
from typing import Any

from controller.api.conditions import find_condition
from hack.bench.controller.bare import planned
from hack.bench.controller.storages import NAMESPACE, manifest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stored() -> dict[str, Any]:
    obj = manifest(0, tls=False)
    made = {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {**obj, "metadata": {**obj["metadata"], **made}}


def test_each_object_is_complete_and_the_status_says_deployed() -> None:
    plan = planned(stored(), "http://core:2379", NOW)
    assert [kind.kind for kind, _ in plan.objects] == [
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ReplicaSet",
    ]
    for _, obj in plan.objects:
        (owner,) = obj["metadata"]["ownerReferences"]
        assert (owner["uid"], obj["metadata"]["namespace"]) == ("u", NAMESPACE)
    deployed = find_condition(plan.status, "Deployed")
    assert deployed is not None
    assert deployed["status"] == "True"
    assert plan.status["endpoint"].startswith("http://etcd-storage-0000.")
