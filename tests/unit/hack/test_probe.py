import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from controller.pki import SERVER, Leaf
from hack.cluster import probe
from hack.cluster.pki import create, issue, write


class Handler(BaseHTTPRequestHandler):
    """Answers 500 to the first two requests."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(500 if len(self.seen) < 3 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    authority = create("ca")
    write(authority.pair, tmp_path, "ca")
    server = Leaf("server", ips=("127.0.0.1",), usages=(SERVER,))
    write(issue(authority, server), tmp_path, "server")
    write(issue(authority, Leaf("client")), tmp_path, "client")
    return tmp_path


@pytest.fixture
def server(pki: Path) -> Iterator[ThreadingHTTPServer]:
    """A server that takes nobody without a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pki / "server.crt", pki / "server.key")
    handler = type("Fresh", (Handler,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_it_asks_until_the_answer_is_200(pki: Path, server: ThreadingHTTPServer) -> None:
    command = [sys.executable, "-IS", probe.__file__, "127.0.0.1", str(server.server_port)]
    command += ["/readyz", f"--ca={pki / 'ca.crt'}"]
    command += [f"--cert={pki / 'client.crt'}", f"--key={pki / 'client.key'}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert answer.stdout.splitlines() == ["500", "500", "200"]
