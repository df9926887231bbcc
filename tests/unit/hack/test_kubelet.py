import json
from pathlib import Path

from hack.cluster import kubelet


def test_everything_of_the_kubelet_lies_in_the_folder(tmp_path: Path) -> None:
    flags = kubelet.kubelet(tmp_path, "/ours")
    assert flags == [
        f"--config={tmp_path}/kubelet.json",
        f"--kubeconfig={tmp_path}/kubelet.kubeconfig",
        f"--root-dir={tmp_path}/kubelet",
        f"--cert-dir={tmp_path}/kubelet/pki",
        "--hostname-override=node",
        "--node-ip=10.90.0.1",
    ]
    assert json.loads((tmp_path / "kubelet.json").read_text()) == kubelet.configuration(
        tmp_path, "/ours"
    )


def test_containers_lie_below_the_cgroup_that_down_removes(tmp_path: Path) -> None:
    configuration = kubelet.configuration(tmp_path, "/ours")
    assert configuration["cgroupRoot"] == "/ours"
    # Without this the kubelet ignores the root.
    assert configuration["cgroupsPerQOS"] is True
    assert configuration["failCgroupV1"] is False


def test_only_certificates_of_the_cluster_are_let_in(tmp_path: Path) -> None:
    authentication = kubelet.configuration(tmp_path, "/ours")["authentication"]
    assert authentication["anonymous"] == {"enabled": False}
    assert authentication["x509"] == {"clientCAFile": f"{tmp_path}/pki/ca.crt"}


def test_no_image_is_ever_removed(tmp_path: Path) -> None:
    configuration = kubelet.configuration(tmp_path, "/ours")
    assert configuration["imageGCHighThresholdPercent"] == 100
    assert configuration["evictionHard"]["imagefs.available"] == "0%"


def test_files_of_a_changed_secret_come_soon(tmp_path: Path) -> None:
    assert kubelet.configuration(tmp_path, "/ours")["syncFrequency"] == "10s"


def test_names_are_looked_up_at_the_dns_service(tmp_path: Path) -> None:
    configuration = kubelet.configuration(tmp_path, "/ours")
    assert configuration["clusterDNS"] == ["10.96.0.10"]
    assert configuration["clusterDomain"] == "cluster.local"


def test_the_proxy_leaves_the_machine_s_connection_tracking_alone(tmp_path: Path) -> None:
    flags = kubelet.proxy(tmp_path)
    assert f"--kubeconfig={tmp_path}/kube-proxy.kubeconfig" in flags
    assert "--conntrack-max-per-core=0" in flags


def test_the_scheduler_asks_as_itself(tmp_path: Path) -> None:
    flags = kubelet.scheduler(tmp_path)
    kubeconfig = f"{tmp_path}/kube-scheduler.kubeconfig"
    assert [flag.partition("=")[2] for flag in flags[:3]] == [kubeconfig] * 3
