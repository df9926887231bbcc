"""Answers as gates at their port for probes, byte by byte."""

import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

import orjson

HOSTS = ("127.0.0.1", "127.0.0.3")
EXPIRY = "2027-01-02T03:04:05Z"


def certs(storage: str, serial: int, bundle: tuple[int, ...]) -> bytes:
    """Return what Envoy answers: one entry for the clients' side, one for the core's."""
    service = {"dns": f"etcd-{storage}"}
    ours = {
        "ca_cert": [_certificate(number) for number in bundle],
        "cert_chain": [_certificate(serial, {"dns": "localhost"}, service)],
    }
    core = {"ca_cert": [_certificate(7)], "cert_chain": [_certificate(8)]}
    return orjson.dumps({"certificates": [core, ours]})


def version(clients: str) -> bytes:
    """Return what Envoy answers when it is asked for its list of clients."""
    return f'sds.clients.version_text: "{clients}"\n'.encode()


def _certificate(serial: int, *names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "path": "<inline>",
        "serial_number": f"{serial:x}",
        "subject_alt_names": list(names),
        "days_until_expiration": "40",
        "valid_from": "2026-01-02T03:04:05Z",
        "expiration_time": EXPIRY,
    }


def ok(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


class GateStub:
    """Two addresses of one port.

    `answer` gives the bytes for the address that was asked, or None to leave the connection open.
    `asked` has every address that was asked, in order. Asked for its list of clients then, each
    tells `clients` as its version.
    """

    def __init__(self, answer: Callable[[str, socket.socket], bytes | None]) -> None:
        self.asked: list[str] = []
        self.clients = "v1"
        self._answer = answer
        first = socket.create_server((HOSTS[0], 0), backlog=128)
        self.port: int = first.getsockname()[1]
        self._listeners = (first, socket.create_server((HOSTS[1], self.port), backlog=128))
        self._threads = [
            threading.Thread(target=self._serve, args=(listener,)) for listener in self._listeners
        ]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (*self._listeners, *self._open):
            sock.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._handle(connection)

    def _handle(self, connection: socket.socket) -> None:
        host = connection.getsockname()[0]
        try:
            request = connection.recv(65536)
            if request.startswith(b"GET /clients HTTP/1.1\r\n"):
                answer: bytes | None = ok(version(self.clients))
            else:
                self.asked.append(host)
                assert request.startswith(b"GET /certs HTTP/1.1\r\n"), request
                answer = self._answer(host, connection)
            if answer is None:
                self._open.append(connection)
                return
            connection.sendall(answer)
        except OSError:
            pass  # Who asked has gone.
        connection.close()
