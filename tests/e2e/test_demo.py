"""The demo's path on a real node: images, DNS, readiness probes, certificates, all of it."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.ownership import STORAGE_LABEL
from hack import demo
from hack.cluster.node import Node
from hack.demo import Demo
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parent.parent.parent
_CLIENT = ("exec", "etcd-client", "--", "/usr/local/bin/etcdctl", f"--endpoints={demo.FIRST}")


@pytest.fixture(scope="module")
def shown(node: Node) -> Iterator[Demo]:
    """The demo with everything deployed, as `up` leaves it in the cluster of KUBECONFIG."""
    steps = demo.on_node(node)
    answer = demo_on(node, "up")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "using that cluster" in answer.stdout
    # It waits for one pod of each, which is enough to be used.
    for name in ("etcd-name", "other-name"):
        ready = "--for=jsonpath={.status.readyReplicas}=2"
        steps.kubectl("wait", ready, f"es/{name}", "--timeout=180s")
    deployment = "deployment/etcdproxy-controller-deployment"
    steps.kubectl("rollout", "status", "-n", demo.NAMESPACE, deployment, "--timeout=180s")
    yield steps
    # The last test leaves nothing, if it ran and did well.
    if steps.standing():
        steps.remove()


def demo_on(node: Node, step: str) -> subprocess.CompletedProcess[str]:
    """Run a step of the demo as the program that it is, with KUBECONFIG set."""
    kubectl = Path(node.kubectl_command()[0])
    environment = (
        f"KUBECONFIG={node.kubeconfig}",
        f"PATH={kubectl.parent}:{os.environ['PATH']}",
        f"PYTHONPATH={ROOT}",
    )
    return node.exec(["env", *environment, sys.executable, "-m", "hack.demo", step])


def _get(shown: Demo, *what: str) -> Any:
    return json.loads(shown.kubectl("get", *what, "-ojson"))


def test_a_key_lies_under_its_prefix_and_no_other_storage_sees_it(shown: Demo) -> None:
    shown.use()


def test_what_is_printed_tells_how_it_stands(
    shown: Demo, capsys: pytest.CaptureFixture[str]
) -> None:
    shown.look()
    printed = capsys.readouterr().out
    assert "http://etcd-etcd-name.kube-apiserver-storage.svc:2379" in printed
    assert "replicaset.apps/etcd-rs-other-name" in printed


def test_status_and_doctor_print_what_the_readme_shows(shown: Demo, node: Node) -> None:
    assert _lasting(_program(node, "status")) == _lasting(_printed("NAME"))
    told = _program(node, "doctor")
    assert _lasting(told) == _lasting(_printed("OK"))
    # The core answers within the cluster alone, and there it is told how it stands.
    (command,) = re.findall(r"-> kubectl (exec .*)", told)
    inside = shown.kubectl(*shlex.split(command))
    assert "OK      core etcd: https://etcd-svc-1.etcd.svc:2379: etcd 3." in inside
    # It knows by which flags it runs, and so which rights it needs.
    assert "OK      rights: who asks has all 41 that it needs" in inside


def _program(node: Node, command: str) -> str:
    """Run a command of the controller's program beside the node, and return what it printed."""
    environment = (f"PYTHONPATH={ROOT}", f"KUBECONFIG={node.kubeconfig}")
    answer = node.exec(["env", *environment, sys.executable, "-m", "controller", command])
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def _printed(first: str) -> str:
    """Return the output in the README's Troubleshooting that begins with a word."""
    _, _, section = (ROOT / "README.md").read_text().partition("## Troubleshooting")
    (block,) = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    (found,) = [part for part in block.split("\n\n") if part.startswith(first)]
    return str(found)


def _lasting(printed: str) -> list[list[str]]:
    """Return the words of each line, without what no two clusters or moments have alike."""
    for changing, word in _CHANGING.items():
        printed = re.sub(changing, word, printed)
    return [line.split() for line in printed.splitlines()]


_CHANGING = {
    r"(?<=\d/\d) +(\d+Mi|-)": " MEMORY",
    r"\b\d+d\b": "DAYS",
    r"https://[0-9.]+:\d+": "SERVER",
    # Nobody counts a storage's keys in its first minutes.
    r"(?m) (\d+|-) +-$": " KEYS -",
}
"""Patterns, and what stands for them."""


def test_each_service_selects_the_pods_of_its_own_storage(shown: Demo) -> None:
    def addresses(name: str) -> set[str]:
        selector = f"-lkubernetes.io/service-name=etcd-{name}"
        slices = _get(shown, "endpointslices", "-n", demo.NAMESPACE, selector)["items"]
        return {a for s in slices for e in s["endpoints"] for a in e["addresses"]}

    eventually(lambda: len(addresses("etcd-name")) == len(addresses("other-name")) == 2)
    assert not addresses("etcd-name") & addresses("other-name")


def test_another_ca_of_the_core_reaches_the_pods_as_they_run(shown: Demo) -> None:
    selected = ("-n", demo.NAMESPACE, "pods", "-letcd.xmudrii.com/storage=etcd-name")
    pods = _get(shown, *selected)["items"]
    read = {pod["metadata"]["name"]: _times_read(shown, pod) for pod in pods}
    where = ("-n", demo.NAMESPACE, "configmap/etcd-coreserving-ca")
    bundle = _get(shown, *where)["data"]["ca.pem"]
    patch = json.dumps({"data": {"ca.pem": f"# the same authority, told anew\n{bundle}"}})
    shown.kubectl("patch", *where, f"--patch={patch}")
    # The kubelet looks at a pod's files when the pod changes, else now and then.
    shown.kubectl("annotate", *selected, "example.org/look=now")

    def reached() -> bool:
        return all(_times_read(shown, pod) > read[pod["metadata"]["name"]] for pod in pods)

    eventually(reached, what="both gates have read the files again")
    assert [pod["metadata"]["uid"] for pod in pods] == [
        pod["metadata"]["uid"] for pod in _get(shown, *selected)["items"]
    ]
    shown.use()


def _times_read(shown: Demo, pod: Any) -> int:
    """Return how often a gate has read its files of certificates, by its metrics."""
    path = f"/api/v1/namespaces/{demo.NAMESPACE}/pods/{pod['metadata']['name']}:2381/proxy/metrics"
    count = r"_ssl_context_update_by_sds\{envoy_cluster_name=\"core\"\} (\d+)$"
    found = re.search(count, shown.kubectl("get", "--raw", path), re.MULTILINE)
    assert found
    return int(found[1])


def test_what_stands_around_the_pods(shown: Demo) -> None:
    for name in ("etcd-name", "other-name"):
        what = ("pdb", "-n", demo.NAMESPACE, f"-l{STORAGE_LABEL}={name}")

        def told(what: tuple[str, ...] = what) -> tuple[int, int, int]:
            (budget,) = _get(shown, *what)["items"]
            fields = ("expectedPods", "currentHealthy", "disruptionsAllowed")
            expected, healthy, allowed = (budget["status"].get(field, -1) for field in fields)
            return expected, healthy, allowed

        # It is brought up to date by somebody else.
        eventually(lambda: told() == (2, 2, 1), every=0.25)
        (policy,) = _get(shown, "netpol", "-n", demo.NAMESPACE, f"-l{STORAGE_LABEL}={name}")[
            "items"
        ]
        assert policy["spec"]["podSelector"] == {"matchLabels": {STORAGE_LABEL: name}}


def test_a_tenant_gets_at_nothing_of_the_core(
    shown: Demo, capsys: pytest.CaptureFixture[str]
) -> None:
    shown.try_the_core()
    assert "Unimplemented" in capsys.readouterr().out


def test_the_data_outlives_the_storage(shown: Demo) -> None:
    """Retain: a new storage of the name finds the keys again."""
    shown.kubectl(*_CLIENT, "put", "retained", "yes")
    example = str(ROOT / "artifacts/etcdstorage/example-etcdstorage.yaml")
    shown.kubectl("delete", "-f", example)
    for what in ("rs/etcd-rs-etcd-name", "svc/etcd-etcd-name"):
        shown.kubectl("wait", "-n", demo.NAMESPACE, "--for=delete", what, "--timeout=180s")
    shown.kubectl("create", "-f", example)
    shown.kubectl("wait", "--for=condition=Ready", "es/etcd-name", "--timeout=180s")

    def reads() -> bool:
        # The client's node may send to the old cluster address for another moment.
        return "yes" in shown.run((*_CLIENT, "--command-timeout=3s", "get", "retained")).stdout

    eventually(reads)


def test_every_kubectl_command_of_the_readmes_works(shown: Demo, tmp_path: Path) -> None:
    for line in kubectl_lines():
        arguments = shlex.split(line)[1:]
        if files := re.findall(r"--from-file=(\S+)", line):
            # These objects exist by now, and their files are the operator's.
            for name in files:
                (tmp_path / name).write_text("of the operator")
            arguments = [
                word.replace("--from-file=", f"--from-file={tmp_path}/") for word in arguments
            ]
            arguments.append("--dry-run=server")
            arguments[2 + (arguments[1] == "secret")] += "-2"
        if arguments == ["create", "namespace", demo.NAMESPACE]:
            arguments.append("--dry-run=client")
        shown.kubectl(*arguments)
    shown.kubectl("delete", "-f", str(ROOT / "artifacts/deployment/10-core-users.yaml"))
    shown.kubectl("delete", "etcdstorage/etcd-tls", "namespace/my-apiserver")


def kubectl_lines() -> list[str]:
    """Every kubectl command in a command block of the three READMEs."""
    names = ("README.md", "artifacts/etcd/README.md", "artifacts/consumers/README.md")
    texts = [(ROOT / name).read_text() for name in names]
    blocks = [block for text in texts for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("kubectl ")]


def test_the_demo_takes_back_what_it_made_in_a_cluster_and_nothing_else(
    shown: Demo, node: Node
) -> None:
    shown.kubectl("label", *demo.SHARED, f"{demo.MARK}-")
    # What stands there without the demo's mark is somebody's, and is neither changed nor deleted.
    for step in ("up", "down"):
        answer = demo_on(node, step)
        assert answer.returncode == 1
        assert "which the demo did not make" in answer.stderr
    assert shown.standing() == set(demo.SHARED)
    shown.kubectl("label", *demo.SHARED, f"{demo.MARK}=true")
    # What the demo made it may use and take back, also where it was broken off.
    shown.refuse_cluster_in_use()
    answer = demo_on(node, "down")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "using that cluster" in answer.stdout
    assert not shown.standing()
