"""The certificates and kubeconfigs of one cluster, made once in its folder."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from controller.pki import SERVER, Authority, Leaf, Pair
from hack.cluster import kubeconfig, pki
from hack.cluster.arguments import CLUSTER_DOMAIN, LOOPBACK, SERVICE_ADDRESS, Settings

_ADMIN_GROUP = "system:masters"


class Credentials:
    """Everything is under `folder`; what is there already is kept."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.pki = folder / "pki"
        self.admin = folder / "admin.kubeconfig"
        self._settings = settings

    @cached_property
    def authority(self) -> Authority:
        """Signs everything in the cluster but the front proxy."""
        return self._authority("ca")

    def ensure(self) -> None:
        if self.admin.exists():
            return
        server = Leaf(
            "kube-apiserver", dns=_SERVER_NAMES, ips=self._server_addresses(), usages=(SERVER,)
        )
        pki.write(pki.issue(self.authority, server), self.pki, "apiserver")
        self._client("kube-apiserver-kubelet-client", [_ADMIN_GROUP])
        # Only the key of it signs service account tokens.
        self._client("service-account")
        # An authority of its own: whoever it signs may claim to be any user.
        front_proxy = pki.issue(self._authority("front-proxy-ca"), Leaf("front-proxy-client"))
        pki.write(front_proxy, self.pki, "front-proxy-client")
        # One user for all controllers, so that start waits for no service accounts of theirs.
        self.kubeconfig("controller-manager", "kube-controller-manager", [_ADMIN_GROUP])
        # The last one: it tells that the others are there.
        self.kubeconfig("admin", "kubernetes-admin", [_ADMIN_GROUP])

    def kubeconfig(self, name: str, user: str, groups: Iterable[str] = ()) -> Path:
        """Write NAME.kubeconfig for a user with a new certificate; return its path."""
        pair = self._client(user, groups)
        content = kubeconfig.kubeconfig(self._settings.server, self.authority.cert_pem, pair)
        return kubeconfig.write(self.folder / f"{name}.kubeconfig", content)

    def _client(self, user: str, groups: Iterable[str] = ()) -> Pair:
        pair = pki.issue(self.authority, Leaf(user, tuple(groups)))
        pki.write(pair, self.pki, user.replace(":", "-"))
        return pair

    def _authority(self, name: str) -> Authority:
        if not (self.pki / f"{name}.key").exists():
            pki.write(pki.create(name).pair, self.pki, name)
        return Authority(pki.read(self.pki, name))

    def _server_addresses(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([LOOPBACK, self._settings.address, SERVICE_ADDRESS]))


_SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
)
