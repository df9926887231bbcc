"""OpenSSL, Go and BoringSSL agree on who is to be believed."""

import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.pki import Pair
from hack.cluster import pki, ports
from hack.cluster.process import Process
from hack.dataplane import answers
from hack.dataplane.programs import Programs
from tests.integration.pki.conftest import HOST, Case, Cases
from tests.support.handshake import asking, serving, shake_hands

Believes = Callable[[Case], bool]

_LOOPBACK = "127.0.0.1"
_TIMEOUT = 60.0
"""Seconds. A refusal is told, so nobody waits for so long."""
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_FILTERS = "type.googleapis.com/envoy.extensions.filters.network"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def wrong(cases: dict[str, Case], believes: Believes) -> dict[str, str]:
    """Return those of the cases that went another way than they should."""
    found = {name: believes(case) for name, case in cases.items()}
    return {
        name: "accepted" if accepted else "refused"
        for name, accepted in found.items()
        if accepted != cases[name].accepted
    }


# OpenSSL.


@pytest.mark.parametrize("strict", [False, True], ids=["usual", "strict"])
def test_openssl_of_servers(cases: Cases, tmp_path: Path, *, strict: bool) -> None:
    def believes(case: Case) -> bool:
        server = serving(tmp_path, case.pair.cert_pem, case.pair.key_pem)
        client = asking(tmp_path, cases.bundles[case.bundle])
        if strict:
            client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return agree(server, client)

    assert wrong({**cases.servers}, believes) == {}


def test_openssl_of_clients(cases: Cases, tmp_path: Path) -> None:
    own = cases.servers["a to a"].pair

    def believes(case: Case) -> bool:
        server = serving(tmp_path, own.cert_pem, own.key_pem, cases.bundles[case.bundle])
        return agree(server, asking(tmp_path, pair=(case.pair.cert_pem, case.pair.key_pem)))

    assert wrong({**cases.clients}, believes) == {}


def agree(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    try:
        shake_hands(server, client, HOST)
    except ssl.SSLError:
        return False
    return True


# Go.


@pytest.mark.parametrize("host", [HOST, _LOOPBACK])
def test_go_of_servers(cases: Cases, data_plane: Programs, tmp_path: Path, host: str) -> None:
    def believes(case: Case) -> bool:
        bundle = tmp_path / "bundle.pem"
        bundle.write_bytes(cases.bundles[case.bundle])
        with listening() as listener:
            url = f"https://{host}:{listener.getsockname()[1]}"
            flags = (f"--endpoints={url}", f"--cacert={bundle}", "--dial-timeout=60s")
            client = subprocess.Popen(
                [data_plane["etcdctl"], *flags, "get", "key"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                return is_believed(listener, serving(tmp_path, *shown(case.pair)))
            finally:
                client.kill()
                client.wait()

    # By its address a server may have any name.
    chosen = {n: c for n, c in cases.servers.items() if host == HOST or n != "another name"}
    assert wrong(chosen, believes) == {}


def test_go_of_clients(cases: Cases, data_plane: Programs, tmp_path: Path) -> None:
    used = {case.bundle for case in cases.clients.values()}
    pki.write(cases.servers["a to a"].pair, tmp_path, "server")
    with ExitStack() as stack:
        addresses = {
            name: stack.enter_context(etcd(data_plane, tmp_path, name, cases.bundles[name]))
            for name in used
        }

        def believes(case: Case) -> bool:
            return answered(addresses[case.bundle], tmp_path, case.pair)

        assert wrong({**cases.clients}, believes) == {}


@contextmanager
def etcd(data_plane: Programs, folder: Path, name: str, bundle: bytes) -> Iterator[int]:
    """Run an etcd that insists on clients of this bundle; give its port."""
    client, peer, metrics = ports.free(3)
    (folder / f"{name}.pem").write_bytes(bundle)
    flags = (
        f"--data-dir={folder / name}",
        f"--listen-client-urls=https://{_LOOPBACK}:{client}",
        f"--advertise-client-urls=https://{_LOOPBACK}:{client}",
        f"--listen-peer-urls=http://{_LOOPBACK}:{peer}",
        f"--initial-advertise-peer-urls=http://{_LOOPBACK}:{peer}",
        f"--initial-cluster=default=http://{_LOOPBACK}:{peer}",
        f"--listen-metrics-urls=http://{_LOOPBACK}:{metrics}",
        *("--unsafe-no-fsync", "--log-level=error", "--client-cert-auth"),
        f"--trusted-ca-file={folder / name}.pem",
        *(f"--cert-file={folder / 'server.crt'}", f"--key-file={folder / 'server.key'}"),
    )
    process = Process(name.replace(" ", "-"), [data_plane["etcd"], *flags], folder)
    process.start()
    try:
        answers.await_answer(f"http://{_LOOPBACK}:{metrics}/health?serializable=true", [process])
        yield client
    finally:
        process.stop(grace=0)


# BoringSSL.


@pytest.fixture
def envoy(cases: Cases, data_plane: Programs, tmp_path: Path) -> Iterator[dict[str, list[int]]]:
    """Run an Envoy; give three ports for each bundle.

    On the first it takes clients of the bundle, and on the second anybody, whom it leads to a
    server of the bundle on the third.
    """
    drawn = {name: ports.free(3) for name in cases.bundles}
    (admin,) = ports.free(1)
    own = cases.servers["a to a"].pair
    config = {
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [
                each
                for name, (taking, leading, _) in drawn.items()
                for each in (
                    taker(taking, own, cases.bundles[name]),
                    leader(leading, name),
                )
            ],
            "clusters": [
                cluster(name, port, cases.bundles[name]) for name, (_, _, port) in drawn.items()
            ],
        },
    }
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(config))
    arguments = ["-c", path, "--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
    process = Process("envoy", [data_plane["envoy"], *map(str, arguments)], tmp_path)
    process.start()
    try:
        answers.await_answer(f"http://{_LOOPBACK}:{admin}/ready", [process], timeout=60)
        yield drawn
    finally:
        process.stop(grace=0)


def test_boringssl_of_clients(cases: Cases, envoy: dict[str, list[int]], tmp_path: Path) -> None:
    def believes(case: Case) -> bool:
        return answered(envoy[case.bundle][0], tmp_path, case.pair)

    assert wrong({**cases.clients}, believes) == {}


def test_boringssl_of_servers(cases: Cases, envoy: dict[str, list[int]], tmp_path: Path) -> None:
    def believes(case: Case) -> bool:
        _, leading, port = envoy[case.bundle]
        with (
            listening(port) as listener,
            socket.create_connection((_LOOPBACK, leading), timeout=_TIMEOUT),
        ):
            return is_believed(listener, serving(tmp_path, *shown(case.pair)))

    assert wrong({**cases.servers}, believes) == {}


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": _LOOPBACK, "port_value": port}}


def taker(port: int, own: Pair, bundle: bytes) -> dict[str, Any]:
    """Return a listener that answers HTTP to clients of the bundle."""
    context = {
        "@type": f"{_TLS}.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificates": [
                {
                    "certificate_chain": {"inline_string": own.cert_pem.decode()},
                    "private_key": {"inline_string": own.key_pem.decode()},
                }
            ],
            "validation_context": {"trusted_ca": {"inline_string": bundle.decode()}},
        },
    }
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    http = {
        "@type": f"{_FILTERS}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "taker",
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
        "route_config": {"virtual_hosts": [{"name": "a", "domains": ["*"], "routes": [answer]}]},
    }
    return listener_of(port, http, {"transport_socket": secured(context)})


def leader(port: int, name: str) -> dict[str, Any]:
    """Return a listener that leads to the cluster of this name."""
    proxy = {"@type": f"{_FILTERS}.tcp_proxy.v3.TcpProxy", "stat_prefix": "a", "cluster": name}
    return listener_of(port, proxy, {})


def listener_of(port: int, filter_: dict[str, Any], chain: dict[str, Any]) -> dict[str, Any]:
    filters = [{"name": filter_["@type"].rpartition(".")[2], "typed_config": filter_}]
    return {"address": address(port), "filter_chains": [{"filters": filters, **chain}]}


def cluster(name: str, port: int, bundle: bytes) -> dict[str, Any]:
    names = [{"san_type": "DNS", "matcher": {"exact": HOST}}]
    validation = {
        "trusted_ca": {"inline_string": bundle.decode()},
        "match_typed_subject_alt_names": names,
    }
    context = {
        "@type": f"{_TLS}.UpstreamTlsContext",
        "sni": HOST,
        "common_tls_context": {"validation_context": validation},
    }
    endpoint = {"endpoint": {"address": address(port)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "load_assignment": assignment, "transport_socket": secured(context)}


def secured(context: dict[str, Any]) -> dict[str, Any]:
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


# Both.


def shown(pair: Pair) -> tuple[bytes, bytes]:
    return pair.cert_pem, pair.key_pem


@contextmanager
def listening(port: int = 0) -> Iterator[socket.socket]:
    with closing(socket.create_server((_LOOPBACK, port))) as listener:
        listener.settimeout(_TIMEOUT)
        yield listener


def is_believed(listener: socket.socket, context: ssl.SSLContext) -> bool:
    """Whether the next client finishes its handshake: the last word in TLS 1.3 is the client's."""
    accepted, _ = listener.accept()
    with accepted:
        accepted.settimeout(_TIMEOUT)
        try:
            with context.wrap_socket(accepted, server_side=True):
                return True
        except (ssl.SSLError, ConnectionError):
            return False


def answered(port: int, folder: Path, pair: Pair) -> bool:
    """Whether a server answers a client with this pair: a refusal comes after the handshake."""
    client = asking(folder, pair=shown(pair))
    try:
        with (
            socket.create_connection((_LOOPBACK, port), timeout=_TIMEOUT) as plain,
            client.wrap_socket(plain, server_hostname=HOST) as secured_,
        ):
            secured_.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
            return bool(secured_.recv(1))
    except (ssl.SSLError, ConnectionError):
        return False
