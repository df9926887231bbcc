from pathlib import Path

from hack.cluster import arguments
from hack.cluster.arguments import Ports, Settings

PORTS = Ports(apiserver=6443, etcd=2379, etcd_peer=2380)
RECONCILER = "--endpoint-reconciler-type=none"


def test_a_loopback_address_is_not_announced() -> None:
    assert RECONCILER in arguments.apiserver(Settings(ports=PORTS), Path("/pki"))
    elsewhere = Settings(address="10.100.0.1", ports=PORTS)
    flags = arguments.apiserver(elsewhere, Path("/pki"))
    assert RECONCILER not in flags
    assert "--advertise-address=10.100.0.1" in flags
    assert elsewhere.server == "https://10.100.0.1:6443"


def test_extra_flags_come_last_so_that_they_win() -> None:
    extra = {
        "etcd": ("--log-level=info",),
        "kube-apiserver": ("--v=3",),
        "kube-controller-manager": ("--controllers=replicaset",),
    }
    settings = Settings(ports=PORTS, extra=extra)
    folder = Path("/x")
    assert arguments.etcd(settings, folder)[-1] == "--log-level=info"
    assert arguments.apiserver(settings, folder)[-1] == "--v=3"
    flags = arguments.controller_manager(settings, folder, folder)
    assert flags[-1] == "--controllers=replicaset"


def test_etcd_and_its_client_agree() -> None:
    settings = Settings(address="10.100.0.1", ports=PORTS)
    url = "http://127.0.0.1:2379"
    assert f"--listen-client-urls={url}" in arguments.etcd(settings, Path("/x"))
    assert f"--etcd-servers={url}" in arguments.apiserver(settings, Path("/x"))


def test_two_control_planes_do_not_share_ports() -> None:
    assert len({*Settings().ports}) == 3
