import ipaddress
from pathlib import Path

from hack.cluster import arguments, dns, network


def test_the_corefile(tmp_path: Path) -> None:
    flags = dns.coredns(tmp_path, Path("/a/admin.kubeconfig"), "context")
    assert flags == ["-conf", f"{tmp_path}/Corefile"]
    text = (tmp_path / "Corefile").read_text()
    assert "kubernetes cluster.local in-addr.arpa {" in text
    assert "kubeconfig /a/admin.kubeconfig context" in text
    assert text.count("{") == text.count("}") == 2


def test_the_service_leads_to_the_node() -> None:
    service, endpoints = dns.objects()["items"]
    assert service["spec"]["clusterIP"] == network.DNS_ADDRESS
    # With a selector the endpoints would be overwritten.
    assert "selector" not in service["spec"]
    label = endpoints["metadata"]["labels"]["kubernetes.io/service-name"]
    assert label == service["metadata"]["name"]
    assert endpoints["endpoints"][0]["addresses"] == [network.NODE_ADDRESS]
    # The ports of a slice belong to those of its Service by name.
    assert endpoints["ports"] == service["spec"]["ports"]
    assert {port["protocol"] for port in endpoints["ports"]} == {"UDP", "TCP"}


def test_its_address_is_one_of_a_service() -> None:
    services = ipaddress.ip_network(arguments.SERVICE_RANGE)
    assert ipaddress.ip_address(network.DNS_ADDRESS) in services
    assert network.DNS_ADDRESS != arguments.SERVICE_ADDRESS
