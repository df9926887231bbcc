"""What is untrue is found, and what chance and time put in is no difference."""

from typing import Any

import pytest

from hack.chaos.edits import NAMESPACE
from hack.chaos.picture import Picture, differences

WANTED: dict[str, Any] = {"a": {"replicas": 1}}
LABELS = {"etcd.xmudrii.com/storage": "a"}


def condition(type_: str, status: str, **more: Any) -> dict[str, Any]:
    told = {"type": type_, "status": status, "reason": "R", "observedGeneration": 3}
    return {**told, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z", **more}


def storage(**status: Any) -> dict[str, Any]:
    conditions = [
        condition("Deployed", "True"),
        condition("Ready", "True"),
        condition("Progressing", "False"),
        condition("Degraded", "False"),
    ]
    return {
        "metadata": {"name": "a", "generation": 3, "uid": "u"},
        "spec": {"replicas": 1},
        "status": {"readyReplicas": 1, "conditions": conditions, **status},
    }


def pod(ready: str = "True", **labels: str) -> dict[str, Any]:
    metadata = {"name": "p", "namespace": NAMESPACE, "labels": labels or LABELS}
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def service(selector: str = "x", uid: str = "1", token: str = "0" * 32) -> dict[str, Any]:
    metadata = {"name": "etcd-a", "namespace": NAMESPACE, "uid": uid, "labels": LABELS}
    annotations = {"when": uid}
    spec = {"selector": selector, "clusterIP": uid, "path": f"/{token}/drain"}
    return {"metadata": {**metadata, "annotations": annotations}, "spec": spec}


def secret(name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": LABELS}}


def picture(*storages: Any, objects: Any = (), pods: Any = None) -> Picture:
    return Picture(storages or (storage(),), {"Service": objects}, pods or (pod(),))


def test_all_is_well() -> None:
    assert picture(objects=(service(),)).faults(WANTED) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (picture(pods=(pod(), pod())), "a: 2 pods of 1"),
        (picture(pods=(pod("False"),)), "a: 0 ready pods of 1"),
        (picture(storage(readyReplicas=2)), "a: 2 told of 1"),
        (picture(storage(conditions=[])), "a: Deployed is None"),
        (
            picture(storage(conditions=[condition("Deployed", "True", observedGeneration=2)])),
            "a: Deployed is of another generation",
        ),
        (picture(pods=(pod(), pod(**{"etcd.xmudrii.com/storage": "b"}))), "Pod p of no storage"),
    ],
)
def test_what_is_untrue_is_told(found: Picture, words: str) -> None:
    assert any(words in fault for fault in found.faults(WANTED))


def test_what_is_lost_or_left_is_told() -> None:
    assert "b should be there" in picture().faults(WANTED | {"b": {}})
    assert "a should be gone" in picture().faults({})


def test_chance_and_time_make_no_difference_and_all_else_does() -> None:
    one = picture(objects=(service(),)).essence()
    again = picture(objects=(service(uid="2", token="f" * 32),)).essence()
    assert differences(one, again) == []
    (found,) = differences(one, picture(objects=(service("y"),)).essence())
    assert found.startswith(f"Service {NAMESPACE}/etcd-a:")
    (lost,) = differences(one, picture().essence())
    assert lost.endswith("nothing")
    (less,) = differences(one, picture(objects=(service(),), pods=(pod(), pod())).essence())
    assert "2 pods" in less


def test_certificates_count_while_there_is_tls() -> None:
    there = {"Secret": (secret("etcd-ca-a"), secret("etcd-serving-a"), secret("x", "consumers"))}
    tls = storage()
    tls["spec"]["clientCertSecret"] = [{"namespace": "consumers", "name": "x"}]
    with_tls, without = (Picture((one,), there, (pod(),)).essence() for one in (tls, storage()))
    assert with_tls.keys() - without.keys() == {
        f"Secret {NAMESPACE}/etcd-ca-a",
        f"Secret {NAMESPACE}/etcd-serving-a",
        "Secret consumers/x",
    }
