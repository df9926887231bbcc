"""What a gate is made from."""

from controller.dataplane.gate.model import Gate, Ports, only, socket_address, typed


def test_the_keys_of_a_storage_lie_under_its_name() -> None:
    assert Gate("a-b", "Proxy", False, ("http://c:2379",), "t").prefix == "/a-b/"


def test_no_port_is_taken_twice() -> None:
    ports = Ports()
    numbers = {ports.ingress, ports.probe, ports.proxy, ports.egress, ports.admin}
    assert len(numbers) == 5


def test_the_mode_says_whether_there_is_a_proxy_between() -> None:
    assert Gate("a", "Direct", True, ("http://c:2379",), "t").direct
    assert not Gate("a", "Proxy", True, ("http://c:2379",), "t").direct


def test_a_message_names_its_type() -> None:
    assert typed("x.Y", a=1) == {"@type": "type.googleapis.com/x.Y", "a": 1}


def test_an_address_is_one_of_tcp() -> None:
    assert socket_address("127.0.0.1", 1)["socket_address"]["port_value"] == 1


def test_a_match_takes_neither_another_method_nor_a_query() -> None:
    headers = {h["name"]: h["string_match"] for h in only("GET", "/x")["headers"]}
    # `path` alone would take "/x?y", too.
    assert headers == {":method": {"exact": "GET"}, ":path": {"exact": "/x"}}
