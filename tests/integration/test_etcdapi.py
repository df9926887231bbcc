"""What is written below the API server is served by it."""

from http.client import HTTPException

import pytest

from hack.cluster import etcdapi
from hack.cluster.controlplane import ControlPlane


def config_map(name: str, namespace: str, value: str) -> dict[str, object]:
    meta = {"name": name, "namespace": namespace, "uid": f"uid-of-{name}"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"key": value}}


@pytest.mark.parametrize("together", [1, 2])
def test_objects_are_served_as_any_others(
    control_plane: ControlPlane, namespace: str, together: int
) -> None:
    etcd = control_plane.settings.etcd
    before = etcdapi.revision(etcd)
    for value in ("old", "new"):
        objects = [config_map(name, namespace, value) for name in ("a", "b", "c")]
        etcdapi.put_objects(etcd, objects, "configmaps", together=together)
    assert etcdapi.revision(etcd) >= before + 6 // together
    for name in ("a", "b", "c"):
        found = control_plane.kubectl_json("get", "configmap", name, "--namespace", namespace)
        assert found["data"] == {"key": "new"}
        assert int(found["metadata"]["resourceVersion"]) > before


def test_what_was_compacted_is_gone(control_plane: ControlPlane) -> None:
    etcd = control_plane.settings.etcd
    revision = etcdapi.revision(etcd)
    etcdapi.compact(etcd, revision)
    with pytest.raises(HTTPException, match="compacted"):
        etcdapi.compact(etcd, revision)
