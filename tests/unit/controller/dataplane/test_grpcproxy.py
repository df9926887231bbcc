"""The command line of grpc-proxy."""

from controller.dataplane.gate import Gate, Ports
from controller.dataplane.grpcproxy import arguments


def test_both_ends_are_on_loopback_and_the_prefix_is_the_storages() -> None:
    gate = Gate("a-b", "Proxy", False, ("https://core:2379",), "token")
    assert arguments(gate) == [
        "grpc-proxy",
        "start",
        "--endpoints=http://127.0.0.1:23791",
        "--namespace=/a-b/",
        "--listen-addr=127.0.0.1:23790",
        "--advertise-client-url=127.0.0.1:23790",
    ]


def test_the_ports_are_the_gates() -> None:
    ports = Ports(proxy=1, egress=2)
    gate = Gate("a", "Proxy", False, ("http://core:2379",), "token", ports=ports)
    assert [a for a in arguments(gate) if ":2" in a] == ["--endpoints=http://127.0.0.1:2"]
    assert [a for a in arguments(gate) if a.endswith(":1")] == [
        "--listen-addr=127.0.0.1:1",
        "--advertise-client-url=127.0.0.1:1",
    ]
