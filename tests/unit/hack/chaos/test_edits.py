"""What the editor wants is what the server has."""

import random
from collections import Counter
from typing import Any, cast

import pytest

from controller.api.storage import CORE_FINALIZER
from controller.resources import ETCD_STORAGES, PODS
from hack.chaos.edits import Editor, if_there, manifest
from informers import ApiError, Client, Resource

NAMES = ("a", "b", "c")


class Server:
    """Storages by name, and how often other objects were touched; a pod is always there.

    Each storage has our finalizer, and the one that is `going` still is.
    """

    def __init__(self) -> None:
        self.storages: dict[str, Any] = {}
        self.touched: Counter[str] = Counter()
        self.going = ""

    def create(self, _resource: Resource, body: Any) -> None:
        name = body["metadata"]["name"]
        assert name not in self.storages
        if name == self.going:
            self.going = ""
            raise ApiError(409, "AlreadyExists", "is being deleted")
        self.storages[name] = body["spec"]

    def patch(self, resource: Resource, name: str, body: Any, namespace: str = "") -> None:
        if resource == ETCD_STORAGES:
            self.storages[name] = self.storages[name] | body["spec"]
        else:
            self._touch(f"patch {resource.kind}", namespace)

    def delete(self, resource: Resource, name: str, *, namespace: str = "") -> Any:
        if resource == ETCD_STORAGES:
            del self.storages[name]
            self.going = name
        else:
            self._touch(f"delete {resource.kind}", namespace)
        return {"metadata": {"finalizers": [CORE_FINALIZER]}}

    def list(self, resource: Resource, _namespace: str, **_query: str) -> Any:
        assert resource == PODS
        return {"items": [{"metadata": {"name": "pod"}}]}

    def _touch(self, deed: str, namespace: str) -> None:
        self.touched[deed] += 1
        if namespace and self.touched[deed] % 2:
            raise ApiError(404, "NotFound", "gone already")


class Keys:
    """What was told of the core."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def made(self, storage: str) -> None:
        self.told.append(("made", storage))

    def purged(self, storage: str) -> None:
        self.told.append(("purged", storage))


def test_the_server_has_what_is_wanted_after_every_edit() -> None:
    server, keys = Server(), Keys()
    editor = Editor(cast("Client", server), random.Random(1), NAMES, keys)
    editor.create_all()
    sizes = Counter[int]()
    for _ in range(400):
        editor.edit()
        assert server.storages == editor.wanted
        sizes[len(editor.wanted)] += 1
    assert len(sizes) > 1
    kinds = ("ReplicaSet", "Service", "PodDisruptionBudget", "NetworkPolicy")
    expected = {f"{verb} {kind}" for verb in ("patch", "delete") for kind in kinds}
    assert {*server.touched} == expected | {"delete Pod"}
    assert {*editor.wanted} <= {*NAMES}
    wanted = {**editor.wanted}
    editor.delete_all()
    assert server.storages == {}
    server.going = ""
    editor.restore(wanted)
    assert server.storages == editor.wanted == wanted


@pytest.mark.parametrize(
    ("policy", "finalizers", "purged"),
    [
        ("Delete", [CORE_FINALIZER], True),
        ("Delete", None, False),
        ("Retain", [CORE_FINALIZER], False),
    ],
)
def test_keys_are_to_go_with_a_storage_that_is_held_for_that(
    policy: str, finalizers: Any, *, purged: bool
) -> None:
    """One that no controller has seen goes at once."""
    server, keys = Server(), Keys()
    server.delete = lambda *_: {"metadata": {"finalizers": finalizers}}  # type: ignore[method-assign]
    editor = Editor(cast("Client", server), random.Random(1), NAMES, keys)
    editor.restore({"a": {"reclaimPolicy": policy}})
    editor.delete_all()
    assert keys.told == [("made", "a"), *([("purged", "a")] if purged else [])]


def test_what_is_refused_is_told_unless_it_is_gone() -> None:
    def refuse(code: int, reason: str) -> None:
        raise ApiError(code, reason, "no")

    if_there(lambda: refuse(404, "NotFound"))
    with pytest.raises(ApiError):
        if_there(lambda: refuse(403, "Forbidden"))


def test_a_manifest_is_one_of_ours() -> None:
    assert manifest("a", {"replicas": 1}) == {
        "apiVersion": "etcd.xmudrii.com/v1alpha1",
        "kind": "EtcdStorage",
        "metadata": {"name": "a"},
        "spec": {"replicas": 1},
    }
