"""The control plane that the other tests trust is a real one."""

import json
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import binaries, components
from hack.cluster.controlplane import ControlPlane, KubectlError
from hack.cluster.process import Identity, Process, ProcessError
from tests.support.eventually import eventually


def replica_set(name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "none"}]},
            },
        },
    }


def config_map(name: str, owner: dict[str, Any]) -> dict[str, Any]:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    metadata = {"name": name, "ownerReferences": [reference]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def create(control_plane: ControlPlane, namespace: str, obj: dict[str, Any]) -> Any:
    return control_plane.kubectl_json("create", "--namespace", namespace, "-f", "-", stdin=obj)


def names(control_plane: ControlPlane, namespace: str, kind: str) -> list[str]:
    found = control_plane.kubectl_json("get", kind, "--namespace", namespace)
    return [item["metadata"]["name"] for item in found["items"]]


def test_the_versions_are_the_pinned_ones(control_plane: ControlPlane) -> None:
    pinned = components.KUBERNETES.version
    assert json.loads(control_plane.kubectl("get", "--raw=/version"))["gitVersion"] == pinned
    client = control_plane.kubectl_json("version")["clientVersion"]
    assert client["gitVersion"] == pinned


def test_a_replica_set_makes_pods(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, replica_set("three", 3))
    eventually(lambda: len(names(control_plane, namespace, "pods")) == 3)


def test_deleting_an_owner_deletes_what_it_owns(
    control_plane: ControlPlane, namespace: str
) -> None:
    owner = create(control_plane, namespace, replica_set("owner", 1))
    create(control_plane, namespace, config_map("owned", owner))
    eventually(lambda: len(names(control_plane, namespace, "pods")) == 1)
    control_plane.kubectl("delete", "--namespace", namespace, "replicaset", "owner")
    eventually(lambda: "owned" not in names(control_plane, namespace, "configmaps"))
    eventually(lambda: names(control_plane, namespace, "pods") == [])


def test_rights_are_enforced(control_plane: ControlPlane, namespace: str) -> None:
    kubeconfig = control_plane.kubeconfig_for("jane", ["readers"])
    who = control_plane.kubectl_json("auth", "whoami", f"--kubeconfig={kubeconfig}")
    assert who["status"]["userInfo"]["username"] == "jane"
    assert "readers" in who["status"]["userInfo"]["groups"]
    with pytest.raises(KubectlError, match=r'User "jane" cannot list resource "pods"'):
        control_plane.kubectl(
            "get", "pods", f"--namespace={namespace}", f"--kubeconfig={kubeconfig}"
        )


def test_kubectl_says_what_went_wrong(control_plane: ControlPlane) -> None:
    with pytest.raises(KubectlError, match='namespaces "nowhere" not found'):
        control_plane.kubectl("get", "namespace", "nowhere")


def test_the_server_comes_back_with_its_data(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, replica_set("one", 1))
    control_plane.stop_apiserver()
    with pytest.raises(KubectlError, match="refused"):
        control_plane.kubectl("get", "namespaces")
    control_plane.start_apiserver()
    assert names(control_plane, namespace, "replicasets") == ["one"]
    # The controller manager has found it again, which it tries ever more seldom.
    eventually(lambda: len(names(control_plane, namespace, "pods")) == 1)


def test_stop_leaves_no_process_and_start_finds_the_data(tmp_path: Path) -> None:
    paths = binaries.ensure(*components.CONTROL_PLANE)
    control_plane = ControlPlane(tmp_path, paths)
    with control_plane:
        control_plane.kubectl("create", "namespace", "kept")
        pids = [process.pid for process in control_plane.processes]
        # Made again, it stands for the same programs.
        again = ControlPlane(tmp_path, paths, control_plane.settings)
        again.start()
        assert [process.pid for process in again.processes] == pids
        assert [p.name for p in Process.recorded(tmp_path)] == [
            "kube-controller-manager",
            "kube-apiserver",
            "etcd",
        ]
    assert [Identity.of(pid) for pid in pids if pid] == [None, None, None]
    assert Process.recorded(tmp_path) == []
    with control_plane:
        assert "kept" in control_plane.kubectl("get", "namespaces")


def test_a_program_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    paths = binaries.ensure(*components.CONTROL_PLANE)
    control_plane = ControlPlane(tmp_path, paths)
    control_plane.credentials.ensure()
    (control_plane.pki / "apiserver.crt").write_text("no certificate")
    with pytest.raises(ProcessError, match=r"(?s)kube-apiserver ended with exit code 1.*PEM"):
        control_plane.start()
    assert not any(process.alive for process in control_plane.processes)


def test_one_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    control_plane = ControlPlane(tmp_path, binaries.ensure(*components.CONTROL_PLANE))
    with pytest.raises(ProcessError, match=r"https://127\.0\.0\.1:\d+ is not ready after 0 s"):
        control_plane.start(timeout=0)
    assert Process.recorded(tmp_path) == []
