"""The product on a real node, with a core that has users: as its administrator handles it."""

import base64
import json
import re
import shlex
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from controller.ownership import STORAGE_LABEL
from controller.pki import Authority, Leaf, Pair
from controller.resources import ETCD_STORAGES, PODS, SECRETS, SERVICES
from hack.cluster import pki
from hack.cluster.node import Node
from informers import Client, load_config
from tests.attack.picture import Core
from tests.support.etcdrpc import Endpoint, Schema
from tests.support.eventually import eventually
from workqueue.clock import REAL_CLOCK

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
NAMESPACE = "kube-apiserver-storage"
DEPLOYMENT = "deployment/etcdproxy-controller-deployment"
CORE_NAME = "etcd-svc-1.etcd.svc"
MANIFESTS = (
    *("etcdstorage/crd.yaml", "etcd/etcd-client-certs.yaml", "etcd/etcd-core-users.yaml"),
    *("deployment/00-etcdproxy-controller.yaml", "deployment/10-core-users.yaml"),
)
USERS = (
    f"--etcd-core-url=https://{CORE_NAME}:2379",
    "--etcd-core-root-secret=etcd-core-root",
    "--etcd-core-client-ca-secret=etcd-core-client-ca",
)
"""The controller's flags."""

_READY = "CertificatesReady"

PATIENCE = 240
"""Seconds that anything may take on a machine that is busy with something else."""

Json = dict[str, Any]


class Product:
    """Core, controller and storages; `folder` is for files of certificates.

    Its own connections take a thread inside the node's network.
    """

    def __init__(self, node: Node, folder: Path, schema: Schema) -> None:
        self.node = node
        self.folder = folder
        self.schema = schema

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it printed; fail if it does."""
        answer = self.node.kubectl(*arguments, input=stdin)
        assert answer.returncode == 0, f"{arguments}: {answer.stderr or answer.stdout}"
        return answer.stdout

    @cached_property
    def client(self) -> Client:
        """The administrator's, for all that is looked at over and over."""
        return Client(load_config(str(self.node.kubeconfig)), clock=REAL_CLOCK)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self.kubectl(
            "apply",
            "-f-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )

    def deploy(self) -> None:
        """Bring up the core, with users off, and the controller that makes them."""
        core = (ARTIFACTS / "etcd/etcd.yaml").read_text()
        # The core's own compaction must not be taken for a tenant's.
        self.kubectl("apply", "-f-", stdin=core.replace("retention=5m", "retention=24h"))
        self.kubectl("apply", *(f"-f{ARTIFACTS / manifest}" for manifest in MANIFESTS))
        wait = ("wait", "-netcd", f"--timeout={PATIENCE}s")
        self.kubectl(*wait, "--for=condition=Ready", "pod/core-etcd")
        self.kubectl(*wait, "--for=condition=Complete", "job/core-etcd-users")
        self.start(*USERS)

    def enable_users(self) -> None:
        """Let the core check users, by the commands of its README; the controller will see it."""
        for command in etcdctl_commands((ARTIFACTS / "etcd/README.md").read_text()):
            self.kubectl(*command)

    def require_users(self) -> None:
        """See that the core checks users, and that the controller knows before it goes on."""
        with closing(self.core()) as core:
            if core.call("/etcdserverpb.Auth/AuthStatus").enabled:
                return
        self.enable_users()
        # A new one asks at once, a running one within half a minute.
        self.kubectl("rollout", "restart", f"-n{NAMESPACE}", DEPLOYMENT)
        self._await_rollout()

    def start(self, *flags: str) -> None:
        """Run the controller with these flags, and return when it does."""
        path = "/spec/template/spec/containers/0/args"
        patch = json.dumps([{"op": "replace", "path": path, "value": flags}])
        self.kubectl("patch", f"-n{NAMESPACE}", DEPLOYMENT, "--type=json", f"--patch={patch}")
        self._await_rollout()

    def _await_rollout(self) -> None:
        self.kubectl("rollout", "status", f"-n{NAMESPACE}", DEPLOYMENT, f"--timeout={PATIENCE}s")

    def create(self, name: str, **spec: object) -> None:
        self.apply(
            {
                "apiVersion": "etcd.xmudrii.com/v1alpha1",
                "kind": "EtcdStorage",
                "metadata": {"name": name},
                "spec": spec,
            }
        )

    def open(self, namespace: str) -> None:
        """Let the controller bring certificates to a new namespace, by the README's commands."""
        self.kubectl("create", "namespace", namespace)
        self.kubectl("apply", f"-n{namespace}", f"-f{ARTIFACTS / 'consumers/role.yaml'}")

    def delete(self, *names: str) -> None:
        """Delete storages; pods of theirs may still end."""
        self.kubectl("delete", f"--timeout={PATIENCE}s", *(f"es/{name}" for name in names))

    def status(self, name: str) -> Json:
        status: Json = self.client.get(ETCD_STORAGES, name).get("status", {})
        return status

    def pods(self, name: str) -> list[Json]:
        label = f"{STORAGE_LABEL}={name}"
        pods: list[Json] = self.client.list(PODS, NAMESPACE, labelSelector=label)["items"]
        return pods

    def uids(self, name: str) -> set[str]:
        return {pod["metadata"]["uid"] for pod in self.pods(name)}

    def serving(self, name: str, replicas: int) -> bool:
        """Whether just so many pods are ready and as they should be; others may still end."""
        storage = self.client.get(ETCD_STORAGES, name)
        status = storage.get("status", {})
        counts = [status.get(f"{kind}eplicas") for kind in ("r", "readyR", "updatedR")]
        seen = status.get("observedGeneration") == storage["metadata"]["generation"]
        return seen and counts == [replicas] * 3

    def settled(self, name: str, replicas: int) -> bool:
        """Whether no others are there any more either."""
        return self.serving(name, replicas) and len(self.pods(name)) == replicas

    def await_(self, probe: Callable[[], object], what: str) -> None:
        """Wait for something to be seen at the API server, which others need as well."""
        eventually(probe, within=PATIENCE, what=what, every=0.25)

    def await_settled(self, name: str, replicas: int = 2) -> None:
        self.await_(lambda: self.settled(name, replicas), f"{name} has {replicas} pods")

    def await_replaced(self, name: str, old: set[str]) -> None:
        """Wait until none of these pods is left, and the same number of others is there."""
        self.await_(lambda: not self.uids(name) & old, f"pods of {name} are replaced")
        self.await_settled(name, len(old))

    def await_delivered(self, name: str) -> None:
        """Wait until every consumer of a storage has its certificates, as its status says."""

        def delivered() -> bool:
            conditions = self.status(name).get("conditions", ())
            return any(c["type"] == _READY and c["status"] == "True" for c in conditions)

        self.await_(delivered, f"the certificates of {name} are delivered")

    def address(self, service: str, namespace: str = NAMESPACE) -> str:
        """Return a Service's address."""
        address: str = self.client.get(SERVICES, service, namespace)["spec"]["clusterIP"]
        return address

    def core(self) -> Core:
        """Return the core, as its root."""
        context = ssl.create_default_context(cadata=self.authority.cert_pem.decode())
        context.set_alpn_protocols(["h2"])
        pki.write(self.root, self.folder, "root")
        context.load_cert_chain(self.folder / "root.crt", self.folder / "root.key")
        endpoint = Endpoint(2379, context, self.address("etcd-svc-1", "etcd"), CORE_NAME)
        return Core(endpoint, self.schema)

    def pair(
        self, name: str, namespace: str, keys: tuple[str, str] = ("tls.crt", "tls.key")
    ) -> Pair:
        """Return what a Secret holds."""
        data = self.client.get(SECRETS, name, namespace)["data"]
        certificate, key = (base64.b64decode(data[name]) for name in keys)
        return Pair(certificate, key)

    @cached_property
    def authority(self) -> Authority:
        """The core's own, which signs its clients as well."""
        return Authority(self.pair("etcd-core-ca", "etcd", ("ca.pem", "ca-key.pem")))

    @cached_property
    def root(self) -> Pair:
        return pki.issue(self.authority, Leaf("root"))

    @property
    def node_authority(self) -> Authority:
        """The cluster's, which the API server trusts."""
        return Authority(pki.read(self.node.folder / "pki", "ca"))


def etcdctl_commands(readme: str) -> list[list[str]]:
    """Return what a README runs by `$etcdctl`, as arguments of kubectl."""
    (etcdctl,) = re.findall(r'^etcdctl="kubectl (.*)"$', readme, re.MULTILINE)
    calls = re.findall(r"^\$etcdctl (.*)$", readme, re.MULTILINE)
    assert calls
    return [shlex.split(f"{etcdctl} {call}") for call in calls]


def secret(name: str, content: Mapping[str, bytes], namespace: str = NAMESPACE) -> Json:
    data = {key: base64.b64encode(value).decode() for key, value in content.items()}
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}


def restarts(pods: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how often containers were started again, by their names."""
    found: dict[str, int] = {}
    for pod in pods:
        status = pod["status"]
        for container in (
            *status.get("initContainerStatuses", ()),
            *status.get("containerStatuses", ()),
        ):
            name = container["name"]
            found[name] = found.get(name, 0) + container["restartCount"]
    return found
