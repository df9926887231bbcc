"""The gate as its clients and the kubelet see it: what passes, what does not, what is counted."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from controller.dataplane.gate import CONFIG_FILE, Folders, Gate, arguments, files, limits
from controller.dataplane.gate.routes import REFUSAL
from hack.cluster.arguments import LOOPBACK
from hack.dataplane import CoreEtcd, GatePod
from hack.dataplane.certificates import CoreCertificates, Tenant
from hack.dataplane.gatepod import POD_ADDRESS
from hack.dataplane.programs import Programs
from tests.integration.dataplane.conftest import MakePod
from tests.support.etcdrpc import (
    DEADLINE,
    OK,
    UNIMPLEMENTED,
    ClosedError,
    Connection,
    Endpoint,
)
from tests.support.eventually import eventually

RANGE = "/etcdserverpb.KV/Range"
KEY = b"\x0a\x01k"
"""A RangeRequest of the key `k`."""
URLS = ("{}://core.etcd.svc:2379", "{}://10.0.0.1:2379", "{}://[fd00::1]:2379")


@pytest.fixture(scope="module")
def pod(plain_core: CoreEtcd, keep_pod: MakePod) -> GatePod:
    return keep_pod(plain_core, "gate")


@contextmanager
def connected(pod: GatePod) -> Iterator[Connection]:
    with Connection(Endpoint(pod.gate.ports.ingress, host=POD_ADDRESS)) as connection:
        yield connection


def status(pod: GatePod, path: str, method: str = "GET") -> int:
    connection = HTTPConnection(POD_ADDRESS, pod.gate.ports.probe, timeout=DEADLINE)
    connection.request(method, path)
    answer = connection.getresponse().status
    connection.close()
    return answer


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
@pytest.mark.parametrize("auth", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("urls", [1, 3])
def test_envoy_takes_it_without_a_warning(
    tmp_path: Path,
    data_plane: Programs,
    mode: str,
    scheme: str,
    urls: int,
    *,
    auth: bool,
    tls: bool,
) -> None:
    folders = Folders(*(str(tmp_path / name) for name in ("config", "core", "serving")))
    core_urls = tuple(url.format(scheme) for url in URLS[:urls])
    gate = Gate("a", mode, auth, core_urls, "token", tls, folders=folders)  # type: ignore[arg-type]
    certificates = CoreCertificates(tmp_path / "pki")
    tenant = Tenant(tmp_path / "pki", names=("localhost",), ips=())
    for folder, contents in (
        (folders.config, {name: text.encode() for name, text in files(gate).items()}),
        (folders.core, certificates.files(certificates.shared)),
        (folders.serving, tenant.files()),
    ):
        Path(folder).mkdir()
        for name, content in contents.items():
            (Path(folder) / name).write_bytes(content)
    command = [str(data_plane["envoy"]), *arguments(gate), "--mode", "validate"]
    validated = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (validated.returncode, validated.stderr) == (0, "")
    assert CONFIG_FILE in validated.stdout


@pytest.mark.parametrize(
    "path",
    [
        *("/etcdserverpb.KV/Compact", "/etcdserverpb.Maintenance/Snapshot"),
        *("/etcdserverpb.Maintenance/Status", "/etcdserverpb.KV/RangeStream"),
        *("/etcdserverpb.Lease/LeaseRevoke", "/etcdserverpb.KV/Range/", "//etcdserverpb.KV/Range"),
        *("/etcdserverpb.KV/Range?x=y", "/etcdserverpb.KV/%52ange", "/etcdserverpb.kv/range", "/"),
    ],
)
def test_another_call_is_unimplemented_and_says_by_whom(pod: GatePod, path: str) -> None:
    with connected(pod) as connection:
        answer = connection.call(path, KEY)
    assert (answer.http, answer.code, answer.text) == (200, UNIMPLEMENTED, REFUSAL)


@pytest.mark.parametrize(
    "headers",
    [
        [(":method", "GET")],
        [("content-type", "application/json")],
        [("content-type", "text/grpc")],
    ],
)
def test_what_is_no_call_of_grpc_does_not_pass(
    pod: GatePod, headers: list[tuple[str, str]]
) -> None:
    with connected(pod) as connection:
        answer = connection.call(RANGE, KEY, headers=headers)
    assert answer.http == 404 or answer.code == UNIMPLEMENTED


@pytest.mark.parametrize(
    "header",
    [
        *("x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms"),
        "x-envoy-expected-rq-timeout-ms",
    ],
)
def test_no_header_speaks_to_envoy(pod: GatePod, plain_core: CoreEtcd, header: str) -> None:
    core = plain_core.members[0].pid
    assert core is not None
    with connected(pod) as connection:
        os.kill(core, signal.SIGSTOP)
        try:
            eventually(lambda: stopped(core))
            stream = connection.open(RANGE, headers=[(header, "1")])
            stream.send(KEY)
            stream.end()
            with pytest.raises(TimeoutError):
                stream.wait(0.5)
        finally:
            os.kill(core, signal.SIGCONT)
        assert stream.wait().code == OK


def stopped(pid: int) -> bool:
    """Whether a signal to stop, which takes its time, has done so."""
    _, _, after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
    return after_name.startswith("T")


@pytest.mark.parametrize("header", ["token", "authorization", "grpcgateway-accept"])
def test_no_header_speaks_of_users(auth_core: CoreEtcd, make_pod: MakePod, header: str) -> None:
    pod = make_pod(auth_core, "forged", "Direct")
    with connected(pod) as connection:
        answer = connection.call(RANGE, b"\x0a\x09/forged/k", headers=[(header, "made-up.1")])
    assert answer.code == OK


def test_no_text_of_a_tenant_becomes_a_series_of_the_core(
    auth_core: CoreEtcd, make_pod: MakePod
) -> None:
    pod = make_pod(auth_core, "series", "Direct")
    key = b"\x0a\x09/series/k"
    with connected(pod) as connection:
        answer = connection.call(RANGE, key, headers=[("client-api-version", "made-up")])
    assert answer.code == OK
    assert "made-up" not in auth_core.metrics()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/"), ("GET", "/stats"), ("GET", "/config_dump"), ("GET", "/ready?x")),
        *(("GET", "/metrics?filter=x"), ("GET", "/metrics/"), ("GET", "/drain/wrong")),
        *(("GET", "/drain/"), ("POST", "/quitquitquit"), ("POST", "/ready"), ("POST", "/live")),
        *(("POST", "/metrics"), ("POST", "/drain_listeners"), ("GET", "/live/../config_dump")),
    ],
)
def test_the_probe_shows_nothing_else(pod: GatePod, method: str, path: str) -> None:
    assert status(pod, path, method) == 404
    assert status(pod, "/ready") == 200


def test_the_administration_does_nothing_else_either(pod: GatePod) -> None:
    connection = HTTPConnection(LOOPBACK, pod.gate.ports.admin, timeout=DEADLINE)
    connection.request("POST", "/quitquitquit")
    assert connection.getresponse().status == 403
    connection.close()


def test_calls_are_counted_by_method_and_refusals_together(pod: GatePod) -> None:
    with connected(pod) as connection:
        connection.call(RANGE, KEY)
        connection.call("/etcdserverpb.KV/Compact", KEY)
    metrics = pod_metrics(pod)
    call = 'grpc_service="etcdserverpb.KV",grpc_method="Range",grpc_code="0"'
    assert metrics[f'envoy_cluster_grpc{{{call},envoy_cluster_name="reads"}}'] >= 1
    assert metrics['envoy_http_rq_direct_response{envoy_http_conn_manager_prefix="ingress"}'] >= 1
    # Every series costs memory in every pod.
    assert len(metrics) < 250


def pod_metrics(pod: GatePod) -> dict[str, float]:
    connection = HTTPConnection(POD_ADDRESS, pod.gate.ports.probe, timeout=DEADLINE)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    lines = [line.rpartition(" ") for line in text.splitlines() if line[:1] not in ("", "#")]
    return {name: float(value) for name, _, value in lines}


def test_connections_are_bounded_and_leave_room_for_the_kubelet(
    plain_core: CoreEtcd, make_pod: MakePod
) -> None:
    pod = make_pod(plain_core, "crowd")
    address = (POD_ADDRESS, pod.gate.ports.ingress)
    with ExitStack() as crowd:
        for _ in range(limits.CONNECTIONS):
            crowd.enter_context(socket.create_connection(address, timeout=DEADLINE))
        for _ in range(10):
            # Each connection of the kubelet ends before the next of a client.
            assert status(pod, "/ready") == 200
            with socket.create_connection(address, timeout=DEADLINE) as one_more:
                assert one_more.recv(1) == b""
    # The gate hears of their ends one after the other.
    eventually(lambda: is_served(pod))


def is_served(pod: GatePod) -> bool:
    try:
        with connected(pod) as connection:
            return connection.call(RANGE, KEY).code == OK
    except ClosedError:
        return False


def test_its_log_is_silent(pod: GatePod) -> None:
    assert pod.envoy.tail() == ""
