"""Addresses of the node and its pods, all inside a network namespace of the node's own.

They clash with nothing outside, and nothing outside can be reached from them.
"""

import json
from pathlib import Path

from hack.cluster.command import run

NODE_NAME = "node"
NODE_ADDRESS = "10.90.0.1"
POD_RANGE = "10.244.0.0/24"
DNS_ADDRESS = "10.96.0.10"
"""Of the Service kube-system/kube-dns, where every pod looks names up."""

CNI_PLUGINS = Path("/usr/lib/cni")
"""Where Debian's package containernetworking-plugins puts them."""

_LINK = "node"
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def set_up() -> None:
    """Give this network namespace, which has nothing, an address and a default route.

    Programs that look for "the" address of a machine take the one of the default route; a
    bridge without ports is the one kind of link that every kernel with containers has.
    """
    for command in (
        "link set lo up",
        f"link add {_LINK} type bridge",
        f"address add {NODE_ADDRESS}/24 dev {_LINK}",
        f"link set {_LINK} up",
        f"route add default dev {_LINK}",
    ):
        run(["ip", *command.split()])
    _FORWARDING.write_text("1")


def write_cni(folder: Path, leases: Path) -> None:
    """Write how pods are linked; containerd reads it from `folder`.

    Each pod hangs on a link of its own, not on a bridge: what goes from pod to pod through a
    Service then passes the node's iptables both ways, whether or not the kernel has br_netfilter.
    """
    ipam = {
        "type": "host-local",
        "subnet": POD_RANGE,
        "dataDir": str(leases),
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    folder.mkdir(parents=True, exist_ok=True)
    content = {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}
    (folder / "pods.conflist").write_text(json.dumps(content))
