"""The node itself: it runs pods, it changes nothing outside, and it goes without a trace."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from hack.cluster import cache, cgroups, holders, images
from hack.cluster.node import Node, NodeError
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(600)

TRACES = (
    "ip -o link",
    "ip route show table all",
    "ip netns list",
    "iptables-save",
    "cat /proc/mounts",
    "ls /run /var/lib /var/log /etc /opt /dev/mqueue",
    "sysctl net.ipv4.ip_forward vm.overcommit_memory kernel.panic kernel.panic_on_oops",
)

APPLICATION = """
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: docker.io/library/busybox:local
        command:
        - sh
        - -c
        - while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | nc -l -p 8080; done
        resources: {limits: {memory: 20Mi, cpu: 100m}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  containers:
  - {name: client, image: "docker.io/library/busybox:local", command: [sleep, infinity]}
"""


def kubectl(node: Node, *arguments: str, stdin: str | None = None) -> str:
    answer = node.kubectl(*arguments, input=stdin)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def wget(node: Node, namespace: str, url: str) -> str:
    answer = node.kubectl("exec", f"-n{namespace}", "client", "--", "wget", "-qO-", url)
    return answer.stdout


def traces() -> dict[str, str]:
    found = {}
    for command in TRACES:
        answer = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        # iptables-save prints the time.
        lines = [line for line in answer.stdout.splitlines() if not line.startswith("#")]
        found[command] = "\n".join(lines)
    return found


def processes_naming(folder: Path) -> list[bytes]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    return [line for line in lines if str(folder).encode() in line]


def cgroups_of(node: Node) -> list[Path]:
    roots = cgroups.hierarchies(Path("/proc/mounts").read_text())
    name = cgroups.name(node.folder).lstrip("/")
    return [root / name for root in roots if (root / name).exists()]


def memory_limits(node: Node) -> set[str]:
    """Return those of all containers, or of some while others come and go."""
    found: set[str] = set()
    for folder in cgroups_of(node):
        # The file has one name in each version of cgroups.
        for name in ("memory.limit_in_bytes", "memory.max"):
            with suppress(OSError):
                found.update(path.read_text().strip() for path in folder.rglob(name))
    return found


def assert_nothing_left(node: Node, before: dict[str, str]) -> None:
    assert not node.running
    assert traces() == before
    assert processes_naming(node.folder) == []
    assert cgroups_of(node) == []
    assert not node.folder.exists()


@pytest.fixture
def another() -> Iterator[Node]:
    """Give a node beside the shared one, not up."""
    node = Node(cache.run() / "e2e-another")
    node.down()
    yield node
    node.down()


@pytest.fixture
def namespace(node: Node) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    kubectl(node, "create", "namespace", name)
    # Made in its own time, and no pod is taken without it.
    kubectl(node, "wait", f"-n{name}", "--for=create", "serviceaccount/default", "--timeout=180s")
    yield name
    kubectl(node, "delete", "namespace", name, "--wait=false")


def test_a_service_answers_by_name_from_another_pod(node: Node, namespace: str) -> None:
    kubectl(node, "apply", f"-n{namespace}", "-f-", stdin=APPLICATION)
    kubectl(
        node, "wait", f"-n{namespace}", "--for=condition=Ready", "pod", "--all", "--timeout=180s"
    )

    for host in ("web", f"web.{namespace}", f"web.{namespace}.svc.cluster.local"):
        said = partial(wget, node, namespace, f"http://{host}/")
        assert eventually(said, what=host) == "hello"


def test_a_pod_reaches_the_api_server_by_its_service(node: Node, namespace: str) -> None:
    kubectl(node, "apply", f"-n{namespace}", "-f-", stdin=APPLICATION)
    kubectl(
        node, "wait", f"-n{namespace}", "--for=condition=Ready", "pod/client", "--timeout=180s"
    )

    arguments = (
        "exec",
        f"-n{namespace}",
        "client",
        "--",
        "nc",
        "-w2",
        "kubernetes.default",
        "443",
    )
    # The node's names are served in their own time.
    eventually(lambda: node.kubectl(*arguments).returncode == 0, every=0.25)


def test_containers_are_limited(node: Node, namespace: str) -> None:
    kubectl(node, "apply", f"-n{namespace}", "-f-", stdin=APPLICATION)
    kubectl(
        node, "wait", f"-n{namespace}", "--for=condition=Ready", "pod", "--all", "--timeout=180s"
    )

    # The pods of the ReplicaSet may come after those that were waited for.
    eventually(lambda: str(20 * 1024 * 1024) in memory_limits(node), every=0.25)


def test_the_images_are_there(node: Node) -> None:
    def names() -> set[str]:
        (found,) = json.loads(kubectl(node, "get", "nodes", "--output=json"))["items"]
        told = found["status"].get("images", ())
        return {name for image in told for name in image.get("names", ())}

    def are_told() -> bool:
        ours = names() >= {images.PAUSE, images.BUSYBOX, images.CONTROLLER}
        return ours and any(name.startswith("quay.io/coreos/etcd:v3.") for name in names())

    # The kubelet looks for them, and tells of them, now and then.
    eventually(are_told, every=0.5)


def test_the_kubelet_leaves_the_kernel_s_settings_alone(node: Node) -> None:
    outside = Path("/proc/sys/kernel/panic").read_text()
    answer = node.exec(["cat", "/proc/sys/kernel/panic"])

    assert answer.stdout == outside
    assert node.exec(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == "1\n"


def test_up_again_builds_and_changes_nothing(node: Node) -> None:
    before = kubectl(node, "get", "node", "--output=jsonpath={.items[0].metadata.uid}")
    said: list[str] = []

    Node(node.folder).up(said.append)

    assert said == []
    assert kubectl(node, "get", "node", "--output=jsonpath={.items[0].metadata.uid}") == before


def test_an_image_is_loaded_again(node: Node) -> None:
    node.load(images.build_controller(print))


def test_down_after_up_was_killed_half_way(another: Node) -> None:
    before = traces()
    program = "import sys; from hack.cluster.node import *; Node(Path(sys.argv[1])).up(print)"
    half = subprocess.Popen(
        [sys.executable, "-c", program, another.folder], stdout=subprocess.PIPE
    )
    assert half.stdout is not None
    with half, half.stdout as lines:
        while b"namespaces ready" not in lines.readline():
            pass
        eventually((another.folder / "kube-apiserver.log").exists)
        half.send_signal(signal.SIGKILL)
    # What it had started goes on without it.
    assert processes_naming(another.folder)

    another.down()

    assert_nothing_left(another, before)
    another.down()
    with pytest.raises(NodeError, match="not up"):
        another.kubectl("get", "pods")


def test_up_after_a_crash_and_down_after_another(another: Node) -> None:
    before = traces()
    another.folder.mkdir(parents=True)
    (another.folder / "ready").touch()
    (another.folder / "etcd").write_text("what a killed run left")

    another.up(print)

    assert another.running
    kubectl(another, "run", "pod", "--image", images.BUSYBOX, "--", "sleep", "infinity")
    kubectl(another, "wait", "--for=condition=Ready", "pod/pod", "--timeout=180s")
    # Seen from outside, a running node is no more than its processes and cgroups.
    assert traces() == before
    assert processes_naming(another.folder)
    assert cgroups_of(another)
    lock = another.folder.with_name(f"{another.folder.name}.lock")

    for pid in holders.holders(lock):
        # With its first process all others go, before we come to them.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    eventually(lambda: not another.running)
    another.down()
    assert_nothing_left(another, before)
