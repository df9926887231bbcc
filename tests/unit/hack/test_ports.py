import socket
import subprocess
import sys

import pytest

from hack.cluster import ports


def unused() -> int:
    """Return a port on which nobody listens, and which was not given to anybody."""
    with socket.create_server(("", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_free_ports_differ_and_can_be_bound() -> None:
    found = ports.free(5)
    assert len(set(found)) == 5
    for port in found:
        with socket.create_server(("127.0.0.1", port)) as server:
            assert server.getsockname()[1] == port


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_a_port_in_use_is_not_given(address: str) -> None:
    with socket.create_server((address, 0)) as server:
        taken = server.getsockname()[1]
        spare = unused()
        with pytest.raises(ports.NoFreePortError, match="fewer than 1 of 1"):
            ports.free(1, [taken])
        assert ports.free(1, [taken, spare]) == [spare]


def test_what_was_given_is_not_given_again_while_nobody_listens_there_yet() -> None:
    given, spare = unused(), unused()
    assert ports.free(1, [given]) == [given]
    assert ports.free(1, [given, spare]) == [spare]


def test_what_another_process_has_drawn_is_its_own_until_it_ends() -> None:
    program = "from hack.cluster import ports; print(*ports.free(1), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout
        drawn = int(other.stdout.readline())
        with pytest.raises(ports.NoFreePortError):
            ports.free(1, [drawn])
        other.communicate("\n")
    assert ports.free(1, [drawn]) == [drawn]


def test_candidates_are_neither_ephemeral_nor_node_ports() -> None:
    assert ports.CANDIDATES.stop <= 30000
    assert ports.CANDIDATES.start > 1024
