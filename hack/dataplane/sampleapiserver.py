"""Kubernetes's sample API server, which serves Flunders: a tenant as the users run them."""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from controller.pki import SERVER, Leaf
from hack.cluster import kubeconfig, pki, ports
from hack.cluster.arguments import LOOPBACK
from hack.cluster.controlplane import ControlPlane
from hack.cluster.process import Process
from hack.dataplane import answers
from hack.dataplane.etcdctl import Etcdctl

GROUP_VERSION = "wardle.example.com/v1alpha1"
"""Of the Flunders."""


class SampleApiserver:
    """One API server on an endpoint, with users and namespaces of a local control plane.

    `storage` is the endpoint, with how to reach it, as an etcdctl has it. Without a `prefix` its
    own default stays, `/registry/wardle.example.com`.
    """

    def __init__(
        self,
        folder: Path,
        programs: Mapping[str, Path],
        plane: ControlPlane,
        storage: Etcdctl,
        *,
        prefix: str | None = None,
    ) -> None:
        self.folder = folder
        self.kubeconfig = folder / "admin.kubeconfig"
        """The administrator's, for this server alone."""
        self._plane = plane
        self._port = ports.free(1)[0]
        self._pki = folder / "pki"
        argv: list[str | Path] = [
            programs["sample-apiserver"],
            *(f"--etcd-servers={storage.endpoint}", *etcd_flags(storage.tls)),
            *([f"--etcd-prefix={prefix}"] if prefix else []),
            *(f"--{use}kubeconfig={plane.kubeconfig}" for use in _DELEGATED),
            *(f"--bind-address={LOOPBACK}", f"--secure-port={self._port}"),
            f"--tls-cert-file={self._pki / 'server.crt'}",
            f"--tls-private-key-file={self._pki / 'server.key'}",
        ]
        self.process = Process("sample-apiserver", argv, folder)

    @property
    def server(self) -> str:
        """Where clients find it."""
        return f"https://{LOOPBACK}:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it serves the administrator; raises ProcessError."""
        self._write_credentials()
        try:
            self.process.start()
            # It says /readyz before it has heard from the control plane who signs clients.
            url = f"{self.server}/apis/{GROUP_VERSION}/flunders"
            answers.await_answer(url, [self.process], context=self._context())
        except BaseException:
            self.stop()
            raise

    def stop(self, grace: float = 0) -> None:
        """End it, at once if there is no grace."""
        self.process.stop(grace)

    def _write_credentials(self) -> None:
        authority = self._plane.authority
        leaf = Leaf("sample-apiserver", dns=("localhost",), ips=(LOOPBACK,), usages=(SERVER,))
        pki.write(pki.issue(authority, leaf), self._pki, "server")
        # The control plane tells the sample who signs clients, and that these are administrators.
        admin = pki.read(self._plane.pki, "kubernetes-admin")
        content = kubeconfig.kubeconfig(self.server, authority.cert_pem, admin)
        kubeconfig.write(self.kubeconfig, content)

    def _context(self) -> ssl.SSLContext:
        authority = self._plane.authority.cert_pem.decode()
        context = ssl.create_default_context(cadata=authority)
        admin = self._plane.pki / "kubernetes-admin.crt"
        context.load_cert_chain(admin, admin.with_suffix(".key"))
        return context


_DELEGATED = ("", "authentication-", "authorization-")
"""What the API server asks the control plane about: objects, who somebody is, who may what."""


def etcd_flags(tls: Sequence[str]) -> list[str]:
    """Return an API server's flags for etcdctl's `--cacert`, `--cert` and `--key`."""
    names = {"--cacert": "--etcd-cafile", "--cert": "--etcd-certfile", "--key": "--etcd-keyfile"}
    given = (flag.partition("=") for flag in tls)
    return [f"{names[name]}={value}" for name, _, value in given]
