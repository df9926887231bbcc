"""The program as an operator starts it: what it says when something is missing, how it ends."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from hack.cluster import ports
from hack.cluster.controlplane import ControlPlane
from informers import Client
from tests.integration.controller.conftest import (
    ARTIFACTS,
    CRD,
    Pods,
    RunController,
    Storages,
    core_ca,
    core_certs,
    establish,
    manifest,
)
from tests.support.eventually import PATIENCE, eventually

NAMESPACE = "kube-apiserver-storage"
DEPLOYMENT = ARTIFACTS / "deployment" / "00-etcdproxy-controller.yaml"

_PROGRAM = (sys.executable, "-m", "controller")

GRACE = 30.0
"""Seconds that a kubelet gives a pod to end. That what the program waits for adds up to less than
10 is shown in tests/unit/controller/test_controller.py, whatever the machine."""


class Program:
    """A process of the program, with the lines of its log."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    def says(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    def await_word(self, words: str) -> None:
        eventually(lambda: self.says(words), what=f"{words!r} in {self.lines}")

    def end(self, *signals: int) -> tuple[int, float]:
        """Send the signals; return the exit code and how long it took."""
        began = time.monotonic()
        for number in signals:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code, time.monotonic() - began


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
            program.end()


def _start(programs: list[Program], kubeconfig: Path, *flags: str) -> Program:
    given = (
        "--log-format=json",
        f"--kubeconfig={kubeconfig}",
        "--etcd-core-url=http://core.example:2379",
        # Others on this machine may have the default one's port.
        "--metrics-bind-address=0",
    )
    program = Program([*_PROGRAM, *given, *flags])
    programs.append(program)
    return program


def test_sigterm_ends_it_with_code_0(
    programs: list[Program], control_plane: ControlPlane, crd: None, namespace: str
) -> None:
    program = _start(programs, control_plane.kubeconfig, f"--namespace={namespace}")
    program.await_word('"synced"')
    code, seconds = program.end(signal.SIGTERM)
    assert (code, seconds < GRACE) == (0, True), program.lines
    assert all(json.loads(line) for line in program.lines)


def test_metrics_are_served_while_it_runs(
    programs: list[Program], control_plane: ControlPlane, crd: None, namespace: str
) -> None:
    (port,) = ports.free(1)
    address = f"--metrics-bind-address=127.0.0.1:{port}"
    program = _start(programs, control_plane.kubeconfig, f"--namespace={namespace}", address)
    program.await_word('"synced"')
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        told = answer.read().decode()
    for series in (
        'workqueue_depth{name="etcdstorage"}',
        'informer_queued_items{group="apps",name="etcdproxy-controller"',
        'rest_client_requests_total{code="200"',
        'controller_runtime_reconcile_total{controller="etcdstorage",result="error"} 0.0',
        "process_resident_memory_bytes ",
        "# TYPE etcdproxy_storage_ready gauge",
        "# TYPE etcdproxy_certificate_seconds_left gauge",
    ):
        assert f"\n{series}" in told
    assert program.end(signal.SIGTERM)[0] == 0


def test_health_is_told_and_readiness_only_with_the_caches(
    programs: list[Program], control_plane: ControlPlane, crd: None, namespace: str
) -> None:
    (port, other) = ports.free(2)
    given = (control_plane.kubeconfig, f"--namespace={namespace}")
    program = _start(programs, *given, f"--metrics-bind-address=127.0.0.1:{port}")
    program.await_word('"synced"')
    for path in ("healthz", "livez", "readyz"):
        assert _ask(port, path) == (200, "ok")
    code, told = _ask(port, "livez?verbose")
    assert (code, told.endswith("livez check passed\n")) == (200, True)
    assert {f"[+]{name} ok" for name in ("workers", "informers", "queue")} <= {*told.split("\n")}
    nobody = control_plane.kubeconfig_for("nobody")
    waiting = _start(programs, nobody, f"--metrics-bind-address=127.0.0.1:{other}")
    waiting.await_word("cannot list resource")
    assert _ask(other, "livez") == (200, "ok")
    code, told = _ask(other, "readyz")
    assert (code, told.startswith("[-]informers failed: not listed yet: ")) == (503, True)
    assert [one.end(signal.SIGTERM)[0] for one in (program, waiting)] == [0, 0]


def _ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_server_that_stands_still_does_not_hold_the_stop(
    programs: list[Program],
    control_plane: ControlPlane,
    storages: Storages,
    core_credentials: None,
    namespace: str,
) -> None:
    """Workers, the sender of events and the leader wait for answers that do not come."""
    program = _start(programs, control_plane.kubeconfig, f"--namespace={namespace}")
    program.await_word('"synced"')
    many = [manifest(f"held-{n}", {}) for n in range(40)]
    control_plane.kubectl(
        "create", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": many}
    )
    program.await_word('"reconciled"')
    pid = control_plane.apiserver.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        code, seconds = program.end(signal.SIGTERM)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (code, seconds < GRACE) == (0, True), program.lines


def test_without_the_crd_it_waits_says_so_and_goes_on(
    programs: list[Program], control_plane: ControlPlane, api: Client, crd: None, namespace: str
) -> None:
    control_plane.kubectl("delete", "-f", str(CRD))
    try:
        program = _start(programs, control_plane.kubeconfig, f"--namespace={namespace}")
        program.await_word("the EtcdStorage CRD is not installed")
        assert not program.says('"synced"')
    finally:
        establish(control_plane, api)
    program.await_word('"synced"')
    told = [line for line in program.lines if "CRD is not installed" in line]
    assert len(told) == 1
    assert program.end(signal.SIGTERM)[0] == 0


def test_without_a_server_it_says_so_in_one_line_and_ends_when_told(
    programs: list[Program], tmp_path: Path
) -> None:
    program = _start(programs, _kubeconfig(tmp_path, "https://127.0.0.1:1", token="any"))
    program.await_word("Connection refused")
    line = next(line for line in program.lines if "Connection refused" in line)
    assert "https://127.0.0.1:1" in line
    assert "Traceback" not in "".join(program.lines)
    code, seconds = program.end(signal.SIGTERM)
    assert (code, seconds < GRACE) == (0, True), program.lines


def test_wrong_credentials_are_told(
    programs: list[Program], control_plane: ControlPlane, tmp_path: Path
) -> None:
    kubeconfig = _kubeconfig(tmp_path, control_plane.server, token="wrong")
    program = _start(programs, kubeconfig)
    program.await_word("Unauthorized")
    assert program.end(signal.SIGTERM)[0] == 0


def test_missing_rights_are_told_by_verb_and_resource(
    programs: list[Program], control_plane: ControlPlane, crd: None
) -> None:
    program = _start(programs, control_plane.kubeconfig_for("nobody"))
    program.await_word('cannot list resource \\"etcdstorages\\"')
    assert program.end(signal.SIGTERM)[0] == 0


def test_a_second_signal_ends_it_at_once(
    programs: list[Program], control_plane: ControlPlane, crd: None
) -> None:
    program = _start(programs, control_plane.kubeconfig)
    program.await_word('"synced"')
    # Both are there when it wakes up, so the second cannot come too late.
    code, _ = program.end(signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT)
    assert code in {128 + signal.SIGTERM, 128 + signal.SIGINT}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        ("{", "not valid YAML"),
        ("apiVersion: v1", "no current-context"),
    ],
)
def test_a_kubeconfig_of_no_use_ends_it_with_code_2(
    tmp_path: Path, content: str | None, words: str
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    if content is not None:
        kubeconfig.write_text(content)
    flags = (f"--kubeconfig={kubeconfig}", "--etcd-core-url=http://core:2379")
    answer = subprocess.run([*_PROGRAM, *flags], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "--kubeconfig" in answer.stderr
    assert words in answer.stderr


def test_the_deployments_rights_are_enough(
    storages: Storages,
    control_plane: ControlPlane,
    api: Client,
    run_controller: RunController,
    tmp_path: Path,
) -> None:
    control_plane.kubectl("apply", "-f", str(DEPLOYMENT))
    control_plane.kubectl("delete", "deployment", "--all", "-n", NAMESPACE)
    control_plane.kubectl("apply", "-f", "-", stdin=core_ca(NAMESPACE))
    control_plane.kubectl("apply", "-f", "-", stdin=core_certs(NAMESPACE))
    kubeconfig = kubeconfig_of(control_plane, tmp_path)
    pods = Pods(api, NAMESPACE)
    name = f"granted-{secrets.token_hex(3)}"
    namespace = f"--namespace={NAMESPACE}"
    with run_controller(namespace, kubeconfig=kubeconfig):
        storages.create(name, replicas=1)
        eventually(lambda: len(pods.of(name)) == 1)
        pods.make_ready(name)
        storages.await_condition(name, "Ready", "PodsReady")
        eventually(lambda: ("Normal", "EtcdStorageDeployed") in storages.events(name))
    (old,) = pods.of(name)
    with run_controller(namespace, "--etcd-proxy-image=other:1", kubeconfig=kubeconfig):

        def rolled() -> bool:
            pods.make_ready(name)
            uids = [pod["metadata"]["uid"] for pod in pods.of(name)]
            return len(uids) == 1 and old["metadata"]["uid"] not in uids

        eventually(rolled)


def kubeconfig_of(
    control_plane: ControlPlane,
    folder: Path,
    *,
    account: str = "etcdproxy-controller-sa",
    namespace: str = NAMESPACE,
) -> Path:
    """Return a kubeconfig of a service account, by default the Deployment's."""
    token = control_plane.kubectl("create", "token", account, "-n", namespace)
    return _kubeconfig(folder, control_plane.server, token, control_plane.pki / "ca.crt")


def _kubeconfig(folder: Path, server: str, token: str, ca: Path | None = None) -> Path:
    path = folder / "kubeconfig"
    trust = {"certificate-authority": str(ca)} if ca else {"insecure-skip-tls-verify": True}
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": server, **trust}}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return path
