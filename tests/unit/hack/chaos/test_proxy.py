"""The proxy before a server that counts what it carried out."""

import random
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from controller.resources import CONFIG_MAPS
from hack.chaos.faults import CALM, Fate, Faults
from hack.chaos.proxy import FaultProxy
from hack.cluster.controlplane import ControlPlane
from informers import ApiError, Client, ConnectionFailed, load_config
from workqueue import RealClock

OBJECT = b'{"kind":"ConfigMap","metadata":{"name":"a","resourceVersion":"1"}}'
EVENT = b'{"type":"ADDED","object":%s}\n' % OBJECT


class Fates(Faults):
    """Gives the fates that a test put down, and then none."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.planned: list[Fate] = []

    def draw(self, method: str, *, watch: bool = False) -> Fate:  # noqa: ARG002 - as Faults
        return self.planned.pop() if self.planned else CALM


class Server(ThreadingHTTPServer):
    """An API server that knows one answer, and one watch without an end."""

    daemon_threads = False

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__((plane.settings.address, plane.settings.ports.apiserver), Handler)
        self.done: list[str] = []
        self.ended = threading.Event()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(plane.pki / "apiserver.crt", plane.pki / "apiserver.key")
        context.load_verify_locations(plane.pki / "ca.crt")
        # Nobody but the proxy, which is the administrator.
        context.verify_mode = ssl.CERT_REQUIRED
        self.socket = context.wrap_socket(self.socket, server_side=True)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.done.append(f"{self.command} {body.decode()}".strip())
        watch = "watch=" in self.path
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        name, value = (
            ("Transfer-Encoding", "chunked") if watch else ("Content-Length", len(OBJECT))
        )
        self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(EVENT), EVENT) if watch else OBJECT)
        if watch:
            self.server.ended.wait(10)
            self.close_connection = True

    do_POST = do_GET  # noqa: N815 - the base's name

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def plane(tmp_path: Path) -> ControlPlane:
    """Give one that is not started: its addresses and its certificates."""
    names = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
    found = ControlPlane(tmp_path, {name: Path(name) for name in names})
    found.credentials.ensure()
    return found


@pytest.fixture
def server(plane: ControlPlane) -> Iterator[Server]:
    with Server(plane) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.ended.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def proxy(tmp_path: Path, plane: ControlPlane, server: Server) -> Iterator[FaultProxy]:
    running = FaultProxy(tmp_path, plane, Fates())
    yield running
    server.ended.set()
    running.close()


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Client]:
    found = Client(load_config(str(proxy.kubeconfig)), clock=RealClock(), timeout=5.0)
    yield found
    found.close()


def meet(proxy: FaultProxy, *fates: Fate) -> None:
    assert isinstance(proxy.faults, Fates)
    proxy.faults.planned = [*reversed(fates)]


def create(client: Client) -> None:
    client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")


def test_what_meets_no_fault_is_passed_on(client: Client, server: Server) -> None:
    assert client.get(CONFIG_MAPS, "a", "default")["metadata"]["name"] == "a"
    create(client)
    assert server.done == ["GET", 'POST {"metadata":{"name":"a"}}']


@pytest.mark.parametrize("code", [409, 500])
@pytest.mark.parametrize("reaches", [True, False])
def test_an_answer_is_given_with_and_without_the_deed(
    client: Client,
    server: Server,
    proxy: FaultProxy,
    code: int,
    reaches: bool,  # noqa: FBT001
) -> None:
    meet(proxy, Fate(reaches=reaches, answer=code))
    with pytest.raises(ApiError, match="by chance") as raised:
        create(client)
    assert raised.value.code == code
    assert len(server.done) == reaches
    # On the same connection.
    create(client)


@pytest.mark.parametrize("reaches", [True, False])
def test_a_connection_ends_with_and_without_the_deed(
    client: Client,
    server: Server,
    proxy: FaultProxy,
    reaches: bool,  # noqa: FBT001
) -> None:
    meet(proxy, Fate(reaches=reaches, cut=True))
    with pytest.raises(ConnectionFailed):
        create(client)
    assert len(server.done) == reaches
    create(client)


def test_a_watch_is_passed_on_as_it_comes_and_cut(
    client: Client, server: Server, proxy: FaultProxy
) -> None:
    watching = client.session()
    with watching.watch(CONFIG_MAPS, "default", query={}) as events:
        assert next(events)["type"] == "ADDED"
        proxy.cut()
        with pytest.raises(ConnectionFailed):
            next(events)
    watching.close()
    assert server.done == ["GET"]
