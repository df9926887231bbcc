"""Kubernetes's sample API server in a pod: a tenant as the users run them."""

from dataclasses import dataclass
from typing import Any

from controller.pki import SERVER, Leaf
from hack.cluster import kubeconfig, pki
from hack.dataplane.flunders import FLUNDERS
from informers import Client, load_config
from informers.errors import ApiError, ConnectionFailed
from informers.rest.attempts import ClientMetrics
from tests.e2e.etcdload import CONTAINER, HOME, POD
from tests.e2e.product import NAMESPACE, Json, Product, secret
from workqueue.clock import REAL_CLOCK

ACCOUNT = "sample-apiserver"
PORT = 8443
"""Of its container."""


@dataclass(frozen=True, slots=True)
class SampleApiserver:
    """One API server on one storage, at a Service's `address`."""

    product: Product
    storage: str
    mode: str
    address: str

    def start(self) -> None:
        self.product.apply(*_rights(), self._certificates(), self._service(), self._pod())

    def await_serving(self) -> None:
        """Wait until it serves Flunders."""
        client = self.client()
        try:
            self.product.await_(lambda: serves(client), f"{self._name} serves")
        finally:
            client.close()

    def stop(self) -> None:
        """End it; its pod is gone a moment later."""
        what = (f"pod/{self._name}", f"service/{self._name}")
        self.product.kubectl("delete", f"-n{HOME}", *what, "--wait=false")

    def client(self, metrics: ClientMetrics | None = None) -> Client:
        """Return the administrator's client of this server."""
        node = self.product.node
        authority, admin = (pki.read(node.folder / "pki", n) for n in ("ca", "kubernetes-admin"))
        server = f"https://{self.address}:{PORT}"
        content = kubeconfig.kubeconfig(server, authority.cert_pem, admin)
        path = kubeconfig.write(self.product.folder / f"{self._name}.kubeconfig", content)
        return Client(load_config(str(path)), clock=REAL_CLOCK, metrics=metrics)

    @property
    def _name(self) -> str:
        return f"apiserver-{self.storage}"

    def _meta(self) -> Json:
        return {"name": self._name, "namespace": HOME, "labels": {"app": self._name}}

    def _certificates(self) -> Json:
        authority = self.product.node_authority
        pair = pki.issue(authority, Leaf(self._name, ips=(self.address,), usages=(SERVER,)))
        content = {"tls.crt": pair.cert_pem, "tls.key": pair.key_pem}
        return secret(self._name, content, HOME)

    def _service(self) -> Json:
        spec = {
            "clusterIP": self.address,
            "selector": {"app": self._name},
            "ports": [{"port": PORT}],
        }
        return {"apiVersion": "v1", "kind": "Service", "metadata": self._meta(), "spec": spec}

    def _pod(self) -> Json:
        container = {
            "name": "apiserver",
            **CONTAINER,
            "command": [
                "/usr/local/bin/sample-apiserver",
                f"--etcd-servers=http://etcd-{self.storage}.{NAMESPACE}.svc:2379",
                *([f"--etcd-prefix=/{self.storage}"] if self.mode == "Direct" else []),
                f"--secure-port={PORT}",
                "--tls-cert-file=/etc/serving/tls.crt",
                "--tls-private-key-file=/etc/serving/tls.key",
            ],
            "volumeMounts": [{"name": "serving", "mountPath": "/etc/serving"}],
        }
        volume = {"name": "serving", "secret": {"secretName": self._name}}
        spec = {
            **POD,
            "serviceAccountName": ACCOUNT,
            "containers": [container],
            "volumes": [volume],
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": self._meta(), "spec": spec}


def serves(client: Client) -> bool:
    try:
        client.list(FLUNDERS, HOME)
    except (ApiError, ConnectionFailed):
        return False
    return True


def _rights() -> tuple[dict[str, Any], ...]:
    """Let it ask who somebody is and who may what; more rights than it needs are no harm here."""
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}
    role = {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "cluster-admin",
    }
    return (
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": HOME},
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": role,
            "subjects": [subject],
        },
    )
