"""A server that answers each request by a script, byte by byte where a test wants it.

For what only real sockets show: halves of chunks, silence, lost connections.
"""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from kubernetes.client import Configuration

from informers.rest.config import ClusterConfig
from tests.support.eventually import PATIENCE


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Exchange:
    """One request and the connection on which to answer it."""

    request: Request
    sock: socket.socket
    stopping: threading.Event
    keep: bool = field(default=True)

    def send(self, data: bytes) -> None:
        """Send just these bytes."""
        self.sock.sendall(data)

    def answer(self, code: int, body: object, **headers: str) -> None:
        """Send a whole answer; `headers` have "_" for "-"."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"Content-Length": str(len(data)), **headers}
        self.send(_head(code, lines) + data)

    def begin(self, **headers: str) -> None:
        """Send the head of a chunked answer; `headers` have "_" for "-"."""
        self.send(_head(200, {"Transfer-Encoding": "chunked", **headers}))

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, kind: str, obj: object) -> None:
        self.chunk(json.dumps({"type": kind, "object": obj}).encode() + b"\n")

    def end(self) -> None:
        """Send the last chunk."""
        self.send(b"0\r\n\r\n")

    def close(self) -> None:
        """End the connection here."""
        self.keep = False

    def reset(self) -> None:
        """End the connection the hard way, so that the client gets an error and no end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.keep = False

    def silence(self) -> None:
        """Say no more until the client leaves or the server stops."""
        self.keep = False
        self.sock.settimeout(0.05)
        while not self.stopping.is_set():
            try:
                if not self.sock.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


Answer = Callable[[Exchange], None]


class ApiServer:
    """Listens on loopback and answers by `answers` in order; then it says nothing.

    With `tls` it speaks TLS, new connections by what `tls` is at the time.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self._answers: Iterator[Answer] = iter(answers)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.requests: list[Request] = []
        self.failures: list[Exception] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            _shut(sock)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert self.failures == []

    def config(self, token: str | None = None) -> ClusterConfig:
        """How to reach it."""
        return ClusterConfig(lambda: configuration(self.url, token))

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def _start(self, body: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=body, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self.tls is not None:
                # The handshake comes with the first read, in the thread of the connection.
                wrap = self.tls.wrap_socket
                sock = wrap(sock, server_side=True, do_handshake_on_connect=False)
            with self._lock:
                self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as reader:
            while not self._stopping.is_set():
                request = _read(reader)
                if request is None:
                    return
                with self._lock:
                    self.requests.append(request)
                    answer = next(self._answers, Exchange.silence)
                exchange = Exchange(request, sock, self._stopping)
                try:
                    answer(exchange)
                except OSError:
                    return  # the client has left, which is its right
                except Exception as error:  # noqa: BLE001 - shown at the end of the test
                    self.failures.append(error)
                    return
                if not exchange.keep:
                    return


def configuration(url: str, token: str | None = None) -> Configuration:
    made = Configuration()
    made.host = url
    if token:
        made.api_key["BearerToken"] = f"Bearer {token}"
    return made


def _head(code: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {code} x", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _read(reader: Any) -> Request | None:
    """One request, or None if the client has left."""
    try:
        start = reader.readline().decode().split()
        headers = dict(_headers(reader))
        body = reader.read(int(headers.get("content-length", "0")))
    except (OSError, UnicodeDecodeError):
        return None
    if len(start) != 3:
        return None
    parts = urlsplit(start[1])
    return Request(start[0], parts.path, dict(parse_qsl(parts.query)), headers, body)


def _headers(reader: Any) -> Iterator[tuple[str, str]]:
    while line := reader.readline().decode().strip():
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
