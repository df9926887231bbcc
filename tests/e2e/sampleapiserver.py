"""Kubernetes's sample API server in a pod: a tenant as the users run them."""

import base64
from dataclasses import dataclass
from pathlib import Path

from controller.pki import SERVER, Leaf
from hack.cluster import kubeconfig, pki
from hack.dataplane.flunders import FLUNDERS
from hack.dataplane.sampleapiserver import etcd_flags
from informers import Client, load_config
from informers.errors import ApiError, ConnectionFailed
from informers.rest.attempts import ClientMetrics
from tests.e2e.etcdload import CONTAINER, POD
from tests.e2e.product import Json, Product, secret
from tests.e2e.tenant import HOME, Tenant
from workqueue.clock import REAL_CLOCK

ACCOUNT = "sample-apiserver"
PORT = 8443
"""Of its container."""
_REGISTRATION = f"{FLUNDERS.version}.{FLUNDERS.group}"
"""The name that an APIService of this group has to have."""


@dataclass(frozen=True, slots=True)
class SampleApiserver:
    """One API server on one storage, at a Service's `address`."""

    product: Product
    tenant: Tenant
    address: str
    aggregated: bool = False
    """Whether the cluster's API server has it serve its group; of all of them one may."""

    def start(self) -> None:
        if self.aggregated:
            self.product.apply(self._registration())
        self.product.apply(*self._rights(), self._certificates(), self._service(), self._pod())

    def await_serving(self) -> None:
        """Wait until it serves Flunders."""
        client = self.client()
        try:
            self.product.await_(lambda: serves(client), f"{self._name} serves")
        finally:
            client.close()

    def stop(self) -> None:
        """End it; its pod is gone a moment later."""
        what = [f"pod/{self._name}", f"service/{self._name}"]
        if self.aggregated:
            what.append(f"apiservice/{_REGISTRATION}")
        self.product.kubectl("delete", f"-n{self.tenant.namespace}", *what, "--wait=false")

    def client(self, metrics: ClientMetrics | None = None) -> Client:
        """Return the administrator's client of it, through the cluster's if aggregated."""
        path = self.product.node.kubeconfig if self.aggregated else self._kubeconfig()
        return Client(load_config(str(path)), clock=REAL_CLOCK, metrics=metrics)

    def _kubeconfig(self) -> Path:
        node = self.product.node
        authority, admin = (pki.read(node.folder / "pki", n) for n in ("ca", "kubernetes-admin"))
        server = f"https://{self.address}:{PORT}"
        content = kubeconfig.kubeconfig(server, authority.cert_pem, admin)
        return kubeconfig.write(self.product.folder / f"{self._name}.kubeconfig", content)

    @property
    def _name(self) -> str:
        return f"apiserver-{self.tenant.storage}"

    def _meta(self) -> Json:
        namespace = self.tenant.namespace
        return {"name": self._name, "namespace": namespace, "labels": {"app": self._name}}

    def _registration(self) -> Json:
        authority = self.product.node_authority.cert_pem
        spec = {
            "group": FLUNDERS.group,
            "version": FLUNDERS.version,
            "groupPriorityMinimum": 1000,
            "versionPriority": 1,
            "caBundle": base64.b64encode(authority).decode(),
            "service": {"name": self._name, "namespace": self.tenant.namespace, "port": PORT},
        }
        return {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": _REGISTRATION},
            "spec": spec,
        }

    def _certificates(self) -> Json:
        authority = self.product.node_authority
        names = (f"{self._name}.{self.tenant.namespace}.svc",)
        leaf = Leaf(self._name, dns=names, ips=(self.address,), usages=(SERVER,))
        pair = pki.issue(authority, leaf)
        content = {"tls.crt": pair.cert_pem, "tls.key": pair.key_pem}
        return secret(self._name, content, self.tenant.namespace)

    def _service(self) -> Json:
        spec = {
            "clusterIP": self.address,
            "selector": {"app": self._name},
            "ports": [{"port": PORT}],
        }
        return {"apiVersion": "v1", "kind": "Service", "metadata": self._meta(), "spec": spec}

    def _pod(self) -> Json:
        tenant = self.tenant
        container = {
            "name": "apiserver",
            **CONTAINER,
            "command": [
                "/usr/local/bin/sample-apiserver",
                *(f"--etcd-servers={tenant.url}", *etcd_flags(tenant.flags)),
                *([f"--etcd-prefix=/{tenant.storage}"] if tenant.mode == "Direct" else []),
                f"--secure-port={PORT}",
                "--tls-cert-file=/etc/serving/tls.crt",
                "--tls-private-key-file=/etc/serving/tls.key",
            ],
            "volumeMounts": [*tenant.mounts, {"name": "serving", "mountPath": "/etc/serving"}],
        }
        serving = {"name": "serving", "secret": {"secretName": self._name}}
        spec = {
            **POD,
            "serviceAccountName": ACCOUNT,
            "containers": [container],
            "volumes": [*tenant.volumes, serving],
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": self._meta(), "spec": spec}

    def _rights(self) -> tuple[Json, ...]:
        """Let it ask who somebody is and who may what; more than it needs does no harm here."""
        account = {"name": ACCOUNT, "namespace": self.tenant.namespace}
        role = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        }
        return (
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": f"{ACCOUNT}-{self.tenant.namespace}"},
                "roleRef": role,
                "subjects": [{"kind": "ServiceAccount", **account}],
            },
        )


def serves(client: Client) -> bool:
    try:
        client.list(FLUNDERS, HOME)
    except (ApiError, ConnectionFailed):
        return False
    return True
