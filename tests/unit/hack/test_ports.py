import socket

import pytest

from hack.cluster import ports


def test_free_ports_differ_and_can_be_bound() -> None:
    found = ports.free(5)
    assert len(set(found)) == 5
    for port in found:
        with socket.create_server(("127.0.0.1", port)) as server:
            assert server.getsockname()[1] == port


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_a_port_in_use_is_not_given(address: str) -> None:
    spare, taken = ports.free(2)
    with socket.create_server((address, taken)):
        assert ports.free(1, [taken, spare]) == [spare]
        with pytest.raises(ports.NoFreePortError, match="fewer than 2 of 2"):
            ports.free(2, [taken, spare])


def test_candidates_are_neither_ephemeral_nor_node_ports() -> None:
    assert ports.CANDIDATES.stop <= 30000
    assert ports.CANDIDATES.start > 1024
