"""A proxy between controllers and the API server, which lets requests meet their fates.

Whoever asks is the administrator to the server; the proxy asks nobody who he is.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from controller.pki import SERVER, Leaf
from hack.chaos.faults import Fate, Faults
from hack.cluster import kubeconfig, pki, ports
from hack.cluster.arguments import LOOPBACK
from hack.cluster.controlplane import ControlPlane

_TIMEOUT: Final = 90.0
"""Seconds without a byte of the server; a watch has one a minute."""

_HOP: Final = {"connection", "transfer-encoding", "keep-alive", "host"}
"""Headers that are about one connection."""

_REASONS: Final = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}


class FaultProxy:
    """Serves from its making to `close`; `kubeconfig` leads to it."""

    def __init__(self, folder: Path, plane: ControlPlane, faults: Faults) -> None:
        self.faults = faults
        self._target = urlsplit(plane.server)
        self._trust = ssl.create_default_context(cafile=str(plane.pki / "ca.crt"))
        admin = plane.pki / "kubernetes-admin"
        self._trust.load_cert_chain(f"{admin}.crt", f"{admin}.key")
        (port,) = ports.free(1)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._server = _Server((LOOPBACK, port), self)
        self._server.socket = _serving(plane, folder).wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        client = pki.issue(plane.authority, Leaf("controller"))
        told = kubeconfig.kubeconfig(
            f"https://{LOOPBACK}:{port}", plane.authority.cert_pem, client
        )
        self.kubeconfig = kubeconfig.write(folder / "proxy.kubeconfig", told)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """End all connections and take no more; every thread has ended on return."""
        self._closed = True
        self._server.shutdown()
        self._thread.join()
        self.cut()
        self._server.server_close()

    def cut(self) -> None:
        """End all connections that there are, in whatever they are."""
        with self._lock:
            for sock in self._open:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def kept(self, sock: socket.socket) -> Iterator[None]:
        """Have the socket cut with all others, and closed in the end."""
        # The bare one: to end TLS in order takes the other side. It shares the connection.
        bare = socket.socket(fileno=socket.dup(sock.fileno()))
        with self._lock:
            self._open.add(bare)
        try:
            if self._closed:
                raise ConnectionAbortedError("the proxy ends")
            yield
        finally:
            with self._lock:
                self._open.discard(bare)
            bare.close()

    def upstream(self) -> HTTPSConnection:
        """Return a connection to the server, which is not made yet."""
        host, port = self._target.hostname or "", self._target.port
        return HTTPSConnection(host, port, timeout=_TIMEOUT, context=self._trust)


def _serving(plane: ControlPlane, folder: Path) -> ssl.SSLContext:
    leaf = Leaf("fault-proxy", ips=(LOOPBACK,), usages=(SERVER,))
    pki.write(pki.issue(plane.authority, leaf), folder, "proxy")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "proxy.crt", folder / "proxy.key")
    return context


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        super().__init__(address, _Handler)
        self.proxy = proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections break here all the time."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a controller's, with as many requests as it likes."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def handle(self) -> None:
        with self.server.proxy.kept(self.connection), suppress(OSError, HTTPException):
            super().handle()

    def do_GET(self) -> None:
        self._pass_on()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        watch = "watch" in parse_qs(urlsplit(self.path).query)
        fate = self.server.proxy.faults.draw(self.command, watch=watch)
        threading.Event().wait(fate.delay)
        if fate.reaches:
            self._ask(body, fate)
        else:
            self._end(fate)

    def _ask(self, body: bytes, fate: Fate) -> None:
        proxy = self.server.proxy
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        with closing(proxy.upstream()) as upstream:
            upstream.connect()
            with proxy.kept(upstream.sock):
                upstream.request(self.command, self.path, body or None, headers)
                answer = upstream.getresponse()
                if fate.answer or fate.cut:
                    self._end(fate)
                else:
                    self._relay(answer, fate.lasts)

    def _end(self, fate: Fate) -> None:
        if not fate.answer:
            self.close_connection = True
            return
        reason = _REASONS[fate.answer]
        told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason}
        content = json.dumps({**told, "message": "by chance", "code": fate.answer}).encode()
        self.send_response(fate.answer)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if fate.answer == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(content)

    def _relay(self, answer: HTTPResponse, lasts: float | None) -> None:
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in _HOP:
                self.send_header(key, value)
        if answer.length is None:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._stream(answer, lasts)
        else:
            self.end_headers()
            self.wfile.write(answer.read())

    def _stream(self, answer: HTTPResponse, lasts: float | None) -> None:
        ends = time.monotonic() + lasts if lasts is not None else None
        while part := answer.read1(1 << 16):
            if ends and time.monotonic() > ends:
                self.close_connection = True
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")
