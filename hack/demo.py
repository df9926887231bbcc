"""The demo: from nothing to a key written through an EtcdStorage, each step shown.

`python -m hack.demo up` uses the cluster of KUBECONFIG, or brings up a node of its own;
`down` takes back what `up` did.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.node import Node

ARTIFACTS = Path(__file__).parent.parent / "artifacts"
NAMESPACE = "kube-apiserver-storage"
PRODUCT = (
    "etcdstorage/crd.yaml",
    "etcd/etcd.yaml",
    "etcd/etcd-client-certs.yaml",
    "deployment/00-etcdproxy-controller.yaml",
)
TENANTS = (
    "etcdstorage/example-etcdstorage.yaml",
    "demo/other-etcdstorage.yaml",
    "demo/client.yaml",
)
"""Both in the order of applying. What needs a later one waits for it."""

FIRST = f"http://etcd-etcd-name.{NAMESPACE}.svc:2379"
SECOND = f"http://etcd-other-name.{NAMESPACE}.svc:2379"
_CORE_TLS = (
    "--endpoints=https://127.0.0.1:2379",
    "--cacert=/etc/certs/ca/ca.pem",
    "--cert=/etc/certs/server/server.pem",
    "--key=/etc/certs/server/server-key.pem",
)
_TIMEOUT = "180s"

MARK = "etcd.xmudrii.com/demo"
"""Label of the demo on what others use as well: where that stands without it, hands off."""

SHARED = (
    "crd/etcdstorages.etcd.xmudrii.com",
    "namespace/etcd",
    f"namespace/{NAMESPACE}",
)


class DemoError(Exception):
    """A step failed; the message says which and what it printed."""


Runner = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
"""Runs kubectl with these arguments."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The steps, told on standard output; `shown` is how the reader would type kubectl."""

    run: Runner
    shown: str

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl and return what it printed."""
        answer = self.run(arguments)
        if answer.returncode:
            words = (answer.stderr or answer.stdout).strip()
            raise DemoError(f"{self.shown} {' '.join(arguments)}: {words}")
        return answer.stdout

    def show(self, *arguments: str) -> str:
        """The same, with the command and its output for the reader."""
        print(f"\n$ {self.shown} {' '.join(arguments)}", flush=True)
        output = self.kubectl(*arguments)
        print(output.rstrip(), flush=True)
        return output

    def refuse_cluster_in_use(self) -> None:
        """Raise DemoError if the product, or what looks like it, stands there already."""
        ours, there = self.standing("-l", MARK), self.standing()
        if foreign := there - ours:
            raise DemoError(
                f"this cluster has {', '.join(sorted(foreign))}, which the demo did not make and"
                " would change and later delete: use another cluster, or unset KUBECONFIG"
            )

    def standing(self, *selection: str) -> set[str]:
        """Return `SHARED` as far as the cluster has it."""
        found = self.kubectl("get", "crd,namespaces", "-oname", *selection)
        names = found.replace("customresourcedefinition.apiextensions.k8s.io/", "crd/").split()
        return set(names) & set(SHARED)

    def deploy(self) -> None:
        """Apply all manifests and wait until both storages are ready."""
        for manifest in (*PRODUCT, *TENANTS):
            self.show("apply", "-f", _path(manifest))
            # At once, so that a demo that was broken off is still known as one.
            self.kubectl("label", "--overwrite", *self.standing(), f"{MARK}=true")
        wait = ("wait", f"--timeout={_TIMEOUT}")
        self.show(*wait, "-n", "etcd", "--for=condition=Ready", "pod/core-etcd")
        deployment = "deployment/etcdproxy-controller-deployment"
        self.show(*wait, "-n", NAMESPACE, "--for=condition=Available", deployment)
        storages = ("etcdstorage/etcd-name", "etcdstorage/other-name")
        self.show(*wait, "--for=condition=Ready", *storages)
        self.show(*wait, "-n", "default", "--for=condition=Ready", "pod/etcd-client")

    def use(self) -> None:
        """Write a key as one tenant, then look for it as the other and in the core."""
        self.show(*self._client(FIRST), "put", "greeting", "hello")
        first = self.show(*self._client(FIRST), "get", "greeting")
        core = self.show(*_core(), "get", "--prefix", "/etcd-name/")
        second = self.show(*self._client(SECOND), "get", "--prefix", "")
        if "hello" not in first:
            raise DemoError("the key is not read back")
        if "/etcd-name/greeting" not in core:
            raise DemoError("the core does not hold the key under /etcd-name/")
        if second.strip():
            raise DemoError("the second storage sees the key of the first")
        print("\n=> the key lies in the core under /etcd-name/, and other-name does not see it")

    def try_the_core(self) -> None:
        """Ask as a tenant for what is the core's alone, and be refused."""
        command = (*self._client(FIRST), "member", "list")
        print(f"\n$ {self.shown} {' '.join(command)}", flush=True)
        answer = self.run(command)
        if answer.returncode == 0:
            raise DemoError(f"a tenant is told of the core's members: {answer.stdout}")
        print(answer.stderr.strip(), flush=True)
        if "Unimplemented" not in answer.stderr:
            raise DemoError("a tenant is refused, but not by the gate")
        print("\n=> the gate lets a tenant at its own keys, and at nothing of the core")

    def look(self) -> None:
        """Print what there is now."""
        self.show("get", "etcdstorages", "-owide")
        self.show("get", "all", "-n", NAMESPACE)

    def remove(self) -> None:
        """Delete what was deployed: the storages while their controller runs, it last."""
        for manifests in (TENANTS, PRODUCT):
            files = [f"-f{_path(manifest)}" for manifest in reversed(manifests)]
            self.show("delete", "--ignore-not-found", *files)

    def _client(self, endpoint: str) -> tuple[str, ...]:
        etcdctl = ("/usr/local/bin/etcdctl", f"--endpoints={endpoint}")
        return ("exec", "-n", "default", "etcd-client", "--", *etcdctl)


def _path(manifest: str) -> str:
    return os.path.relpath(ARTIFACTS / manifest)


def _core() -> tuple[str, ...]:
    return ("exec", "-n", "etcd", "core-etcd", "--", "/usr/local/bin/etcdctl", *_CORE_TLS)


def up(kubeconfig: str | None) -> None:
    """Bring everything up and show it."""
    began = time.monotonic()
    demo = _existing_cluster() if kubeconfig else _own_cluster()
    demo.deploy()
    demo.use()
    demo.try_the_core()
    demo.look()
    print(_closing(demo.shown, time.monotonic() - began, own=not kubeconfig))


def down(kubeconfig: str | None) -> None:
    """Take everything back: the own cluster as a whole, or our objects from another."""
    if not kubeconfig:
        Node().down()
        return
    _existing_cluster().remove()


def _existing_cluster() -> Demo:
    print("KUBECONFIG is set: using that cluster; its nodes must be able to pull the images")

    def run(arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                ["kubectl", *arguments], capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise DemoError("kubectl is not on PATH: install it, or unset KUBECONFIG") from error

    demo = Demo(run, "kubectl")
    demo.refuse_cluster_in_use()
    return demo


def _own_cluster() -> Demo:
    node = Node()
    node.up(print)
    return on_node(node)


def on_node(node: Node) -> Demo:
    """Return the demo for a node that is up."""
    return Demo(lambda arguments: node.kubectl(*arguments), "kubectl")


def _closing(shown: str, seconds: float, *, own: bool) -> str:
    prefix = ".venv/bin/python -m hack.cluster kubectl" if own else shown
    return f"""
The demo stands after {seconds:.0f} s. Look around:

  {prefix} describe etcdstorage etcd-name
  {prefix} logs -n {NAMESPACE} --prefix -l app.kubernetes.io/name=etcdproxy-controller
  {prefix} exec etcd-client -- etcdctl --endpoints={FIRST} put another key
  {prefix} logs etcd-client

End it with: make demo-down"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.demo", description=__doc__)
    parser.add_argument("what", choices=("up", "down"))
    given = parser.parse_args(arguments)
    steps = {"up": up, "down": down}
    try:
        steps[given.what](os.environ.get("KUBECONFIG"))
    except (DemoError, ClusterError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ndemo: stopped half way; take back what there is: make demo-down\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
