"""The command lines of the control plane's programs: pure functions of where they run."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from hack.cluster import ports

LOOPBACK = "127.0.0.1"
SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
"""The first address of the range: the API server's own Service."""
CLUSTER_DOMAIN = "cluster.local"

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"


class Ports(NamedTuple):
    apiserver: int
    etcd: int
    etcd_peer: int

    @classmethod
    def free(cls) -> Self:
        return cls(*ports.free(3))


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a control plane runs."""

    address: str = LOOPBACK
    """The API server listens on it and tells it to others; etcd stays on loopback."""
    ports: Ports = field(default_factory=Ports.free)
    prefix: tuple[str, ...] = ()
    """A command that becomes each program, `nsenter --net=/run/netns/NAME`."""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """More flags, by name of the program."""
    tied: bool = True
    """Whether the programs die with the thread that starts them."""

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.ports.apiserver}"

    @property
    def etcd(self) -> str:
        """Where etcd's clients find it."""
        return f"http://{LOOPBACK}:{self.ports.etcd}"


def etcd(settings: Settings, folder: Path) -> list[str]:
    peer = f"http://{LOOPBACK}:{settings.ports.etcd_peer}"
    return [
        "--name=default",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={settings.etcd}",
        f"--advertise-client-urls={settings.etcd}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # The data is not worth the wait for the disk.
        "--unsafe-no-fsync",
        "--log-level=warn",
        *settings.extra.get(ETCD, ()),
    ]


def apiserver(settings: Settings, pki: Path) -> list[str]:
    return [
        f"--etcd-servers={settings.etcd}",
        f"--bind-address={settings.address}",
        f"--advertise-address={settings.address}",
        f"--secure-port={settings.ports.apiserver}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'kube-apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kube-apiserver-kubelet-client.key'}",
        f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        f"--service-account-key-file={pki / 'service-account.crt'}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
        *_endpoint_reconciler(settings.address),
        *settings.extra.get(APISERVER, ()),
    ]


def _endpoint_reconciler(address: str) -> list[str]:
    # The API server refuses to announce a loopback address as an endpoint and would not start.
    loopback = ipaddress.ip_address(address).is_loopback
    return ["--endpoint-reconciler-type=none"] if loopback else []


def controller_manager(settings: Settings, folder: Path, pki: Path) -> list[str]:
    return [
        f"--kubeconfig={folder / 'controller-manager.kubeconfig'}",
        "--leader-elect=false",
        # Its own port would serve nothing that anybody asks for.
        "--secure-port=0",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'service-account.key'}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        # The default of 20 a second takes 100 s for 2,000 pods.
        "--kube-api-qps=1000",
        "--kube-api-burst=1000",
        *settings.extra.get(CONTROLLER_MANAGER, ()),
    ]
