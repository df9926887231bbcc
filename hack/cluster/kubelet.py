"""How the programs of a node run, besides containerd: pure functions of where they run."""

import json
from pathlib import Path
from typing import Any

from hack.cluster import containerd
from hack.cluster.arguments import CLUSTER_DOMAIN
from hack.cluster.network import DNS_ADDRESS, NODE_ADDRESS, NODE_NAME, POD_RANGE

KUBELET = "kubelet"
SCHEDULER = "kube-scheduler"
PROXY = "kube-proxy"


def configuration(folder: Path, cgroup: str) -> dict[str, Any]:
    """Return the KubeletConfiguration; certificates are `folder`/pki/{ca,kubelet}.*."""
    pki = folder / "pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        # Only the API server's certificate comes as far as this.
        "authorization": {"mode": "AlwaysAllow"},
        "tlsCertFile": str(pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet.key"),
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": f"unix://{containerd.SOCKET}",
        # The node has no way out, so no resolver of the host's could be asked.
        "resolvConf": "/dev/null",
        "podLogsDir": "/var/log/pods",
        # Files of a ConfigMap or Secret that has changed come to a pod when it is looked at: with
        # the default, a minute, a rotation of certificates takes minutes.
        "syncFrequency": "10s",
        **_cgroups(cgroup),
        **_disk(),
        "failSwapOn": False,
    }


def _cgroups(cgroup: str) -> dict[str, Any]:
    # All containers lie below one cgroup, so that they can be found and removed.
    return {
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        # Version 1 is what some machines have; version 2 is used where it is there.
        "failCgroupV1": False,
    }


def _disk() -> dict[str, Any]:
    # A developer's disk is often nearly full, and an image that is removed cannot come back.
    signals = ("nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree")
    return {
        "evictionHard": {"memory.available": "50Mi", **dict.fromkeys(signals, "0%")},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def kubelet(folder: Path, cgroup: str) -> list[str]:
    """Write the configuration and return the flags."""
    path = folder / "kubelet.json"
    path.write_text(json.dumps(configuration(folder, cgroup), indent=2))
    return [
        f"--config={path}",
        f"--kubeconfig={folder / 'kubelet.kubeconfig'}",
        f"--root-dir={folder / 'kubelet'}",
        f"--cert-dir={folder / 'kubelet' / 'pki'}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
    ]


def scheduler(folder: Path) -> list[str]:
    kubeconfig = folder / f"{SCHEDULER}.kubeconfig"
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]


def proxy(folder: Path) -> list[str]:
    return [
        f"--kubeconfig={folder / f'{PROXY}.kubeconfig'}",
        "--proxy-mode=iptables",
        f"--hostname-override={NODE_NAME}",
        f"--cluster-cidr={POD_RANGE}",
        # Those belong to the whole machine and cannot be set from a network namespace.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    ]
