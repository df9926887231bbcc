from typing import Any

from controller.dataplane.names import object_name
from controller.dataplane.rolling import pod_revision, pods_of
from controller.resources import REPLICA_SETS
from hack.bench.controller import pods
from hack.bench.controller.storages import NAMESPACE
from informers import Resource
from tests.support.objects import desired_of

REPLICA_SET: dict[str, Any] = desired_of().replica_set
REPLICA_SET["metadata"]["uid"] = "u"


class Api:
    """Lists a ReplicaSet and no account, and takes what it is sent."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.statuses: dict[str, Any] = {}

    def list(self, resource: Resource, namespace: str) -> dict[str, Any]:
        assert namespace == NAMESPACE
        return {"items": [REPLICA_SET] if resource == REPLICA_SETS else []}

    def create(self, _resource: Resource, obj: dict[str, Any], _namespace: str) -> None:
        self.made.append(obj)

    def patch(
        self, _resource: Resource, name: str, body: dict[str, Any], *, subresource: str, **_: Any
    ) -> None:
        assert subresource == "status"
        self.statuses[name] = body["status"]


def test_they_are_the_replica_set_s_and_of_its_template() -> None:
    made = pods.pods_of(REPLICA_SET)
    assert len({pod["metadata"]["name"] for pod in made}) == REPLICA_SET["spec"]["replicas"] == 2
    assert pods_of(REPLICA_SET, made) == made
    assert {*map(pod_revision, made)} == {pod_revision(REPLICA_SET["spec"]["template"])}


def test_all_are_made_and_ready_with_the_account_that_they_need() -> None:
    api: Any = Api()
    assert pods.make(api) == 2
    account, *made = api.made
    assert (account["kind"], account["metadata"]["name"]) == ("ServiceAccount", "default")
    assert {*api.statuses} == {pod["metadata"]["name"] for pod in made}
    assert all(name.startswith(object_name(REPLICA_SETS, "etcd-name")) for name in api.statuses)
    for status in api.statuses.values():
        assert status["conditions"][0]["status"] == "True"
        assert "podIP" not in status
