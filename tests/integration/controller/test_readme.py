"""The README's commands that need no node: each is a make target, or the program itself."""

import re
import shlex
import signal
import subprocess
from pathlib import Path

from hack.cluster.controlplane import ControlPlane
from tests.integration.controller.conftest import RunController, core_ca, core_certs
from tests.integration.controller.test_program import (
    DEPLOYMENT,
    NAMESPACE,
    Program,
    kubeconfig_of,
)

ROOT = Path(__file__).parent.parent.parent.parent


def _commands() -> list[str]:
    """Every line of every command block: none is left out, whatever it begins with."""
    text = (ROOT / "README.md").read_text()
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert {kind for kind, _ in fences} == {"sh", "text"}
    return [line for kind, block in fences if kind == "sh" for line in block.splitlines()]


def test_every_command_is_of_a_kind_that_a_test_runs() -> None:
    """Kubectl's are run by tests/e2e/test_demo.py, etcdctl's beside the data plane."""
    kinds = ("make ", "kubectl ", "./bin/", "etcdctl ")
    others = [c for c in _commands() if not c.startswith(kinds)]
    assert not others
    assert len(_commands()) >= 15


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"`?make ([a-z0-9-]+)", (ROOT / "README.md").read_text()))
    assert {"demo", "demo-down", "test", "e2e", "compile"} <= targets
    for target in targets:
        answer = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stderr


def test_make_alone_prints_what_there_is() -> None:
    answer = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("test", "demo", "demo-down", "e2e", "compile"):
        assert re.search(rf"make {target} +[A-Z]", answer.stdout)


def test_an_api_server_gets_its_certificates_as_told(
    control_plane: ControlPlane, crd: None, run_controller: RunController, tmp_path: Path
) -> None:
    """With the rights of the manifests alone."""
    control_plane.kubectl("apply", "-f", str(DEPLOYMENT))
    control_plane.kubectl("delete", "deployment", "--all", "-n", NAMESPACE)
    for shared in (core_ca(NAMESPACE), core_certs(NAMESPACE)):
        control_plane.kubectl("apply", "-f", "-", stdin=shared)
    kubeconfig = kubeconfig_of(control_plane, tmp_path)
    told = [shlex.split(command) for command in _section("Certificates")]
    with run_controller(f"--namespace={NAMESPACE}", kubeconfig=kubeconfig):
        for _, *arguments in told:
            control_plane.kubectl(*(_found(word) for word in arguments))
    secret = ("get", "secret/etcd-client", "-n", "my-apiserver", "-ojsonpath={.data.tls\\.key}")
    assert control_plane.kubectl(*secret)
    control_plane.kubectl("delete", "etcdstorage/etcd-tls", "namespace/my-apiserver")


def _section(title: str) -> list[str]:
    """Return the commands of a section."""
    _, _, rest = (ROOT / "README.md").read_text().partition(f"### {title}\n")
    section, _, _ = rest.partition("\n### ")
    fences = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return [line for block in fences for line in block.splitlines()]


def _found(word: str) -> str:
    return str(ROOT / word) if word.startswith("artifacts/") else word


def test_the_program_outside_the_cluster_runs_as_told(
    control_plane: ControlPlane, crd: None
) -> None:
    subprocess.run(["make", "compile"], cwd=ROOT, check=True, capture_output=True)
    (line,) = [c for c in _commands() if c.startswith("./bin/etcdproxy-controller")]
    argv = shlex.split(line.replace("~/.kube/config", str(control_plane.kubeconfig)))
    # Others on this machine may have the default port.
    program = Program(argv=[str(ROOT / argv[0]), *argv[1:], "--metrics-bind-address=0"])
    program.await_word("synced")
    assert program.end(signal.SIGTERM)[0] == 0
