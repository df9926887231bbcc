import ipaddress
import json
from pathlib import Path

from hack.cluster import arguments, network


def test_no_two_ranges_overlap() -> None:
    node = ipaddress.ip_network(f"{network.NODE_ADDRESS}/24", strict=False)
    pods = ipaddress.ip_network(network.POD_RANGE)
    services = ipaddress.ip_network(arguments.SERVICE_RANGE)
    assert not node.overlaps(pods)
    assert not node.overlaps(services)
    assert not pods.overlaps(services)


def test_there_are_addresses_for_all_pods_that_the_kubelet_takes() -> None:
    assert ipaddress.ip_network(network.POD_RANGE).num_addresses > 110 + 3


def test_how_pods_are_linked(tmp_path: Path) -> None:
    network.write_cni(tmp_path / "cni", tmp_path / "leases")
    (file,) = (tmp_path / "cni").iterdir()
    assert file.suffix == ".conflist"
    first, *_ = json.loads(file.read_text())["plugins"]
    # Through a bridge, Services would need br_netfilter.
    assert first["type"] == "ptp"
    assert first["ipam"]["subnet"] == network.POD_RANGE
    assert first["ipam"]["dataDir"] == str(tmp_path / "leases")
    assert first["ipam"]["routes"] == [{"dst": "0.0.0.0/0"}]
