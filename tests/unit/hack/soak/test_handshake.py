"""Against a server that speaks HTTP/2 and answers as it is told."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from controller.dataplane.pods import PORTS
from controller.pki import SERVER, Authority, Leaf
from hack.cluster import pki, ports
from hack.soak.gate import address_of
from hack.soak.handshake import RefusedError, read
from tests.support import handshake


@pytest.fixture
def authority() -> Authority:
    return pki.create("it")


@contextmanager
def answering(folder: Path, authority: Authority, status: str) -> Iterator[tuple[str, list[str]]]:
    """Serve one connection; gives the address, and then the paths that were asked for."""
    pair = pki.issue(authority, Leaf(dns=("gate",), usages=(SERVER,)))
    context = handshake.serving(folder, pair.cert_pem, pair.key_pem, authority.cert_pem)
    address, paths = address_of(ports.free(1)[0]), list[str]()

    def serve(listening: socket.socket) -> None:
        plain, _ = listening.accept()
        plain.settimeout(10)
        try:
            with plain, context.wrap_socket(plain, server_side=True) as connection:
                _answer(connection, status, paths)
        except OSError:
            return

    with socket.create_server((address, PORTS.ingress)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        yield address, paths
        thread.join()


def _answer(connection: ssl.SSLSocket, status: str, paths: list[str]) -> None:
    http = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
    )
    http.initiate_connection()
    while received := connection.recv(65536):
        for event in http.receive_data(received):
            if isinstance(event, h2.events.RequestReceived):
                paths += [str(value) for name, value in event.headers or () if "path" in str(name)]
            if isinstance(event, h2.events.StreamEnded):
                if not status:
                    return
                headers = [(":status", "200"), ("grpc-status", status)]
                http.send_headers(1, headers, end_stream=True)
        connection.sendall(http.data_to_send())


def client(folder: Path, servers: Authority, own: Authority) -> ssl.SSLContext:
    pair = pki.issue(own, Leaf(uris=("a:b",)))
    return handshake.asking(folder, servers.cert_pem, (pair.cert_pem, pair.key_pem))


def test_an_answer_of_ok_is_a_read(tmp_path: Path, authority: Authority) -> None:
    with answering(tmp_path, authority, "0") as (address, paths):
        read(address, client(tmp_path, authority, authority), "gate", "/a/key")
    assert paths == ["/etcdserverpb.KV/Range"]


@pytest.mark.parametrize("status", ["12", ""])
def test_no_answer_and_another_one_are_failures(
    tmp_path: Path, authority: Authority, status: str
) -> None:
    with answering(tmp_path, authority, status) as (address, _), pytest.raises(RefusedError):
        read(address, client(tmp_path, authority, authority), "gate", "/a/key")


def test_a_client_that_is_not_let_in_fails(tmp_path: Path, authority: Authority) -> None:
    foreign = client(tmp_path, authority, pki.create("foreign"))
    with answering(tmp_path, authority, "0") as (address, _), pytest.raises(OSError):  # noqa: PT011
        read(address, foreign, "gate", "/a/key")


def test_a_gate_of_another_name_fails(tmp_path: Path, authority: Authority) -> None:
    own = client(tmp_path, authority, authority)
    with (
        answering(tmp_path, authority, "0") as (address, _),
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        read(address, own, "other", "/a/key")
