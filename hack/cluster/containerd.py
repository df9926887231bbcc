"""How containerd runs for the node: everything of it is the node's own."""

from pathlib import Path

from hack.cluster.images import PAUSE
from hack.cluster.network import CNI_PLUGINS

SOCKET = Path("/run/containerd/containerd.sock")
"""In the node's own /run; a path in the cache could exceed the 107 bytes of a socket's."""

_CONFIGURATION = """\
version = 2
root = "{root}"
state = "/run/containerd"
# Those would look for other file systems, or make /opt/containerd.
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true
# The machine may allow no process a lower score than the one that started us.
restrict_oom_score_adj = true
# A profile would be loaded into the kernel, and outlive the node.
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{cni}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def write_configuration(folder: Path, cni: Path) -> list[str | Path]:
    """Write it into `folder` and return containerd's command line."""
    path = folder / "containerd.toml"
    path.write_text(
        _CONFIGURATION.format(
            root=folder / "containerd", socket=SOCKET, pause=PAUSE, plugins=CNI_PLUGINS, cni=cni
        )
    )
    return ["containerd", "--config", path, "--log-level", "warn"]


def import_command(archive: Path) -> list[str | Path]:
    """Return the command that makes an image known to the kubelet."""
    return ["ctr", "--address", SOCKET, "--namespace", "k8s.io", "images", "import", archive]
