"""One pod of a storage: the gate and, in mode Proxy, grpc-proxy beside it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from controller.dataplane import gate as configuration
from controller.dataplane import grpcproxy
from controller.dataplane.gate import Folders, Gate, Ports
from controller.pki import Pair
from hack.cluster import ports
from hack.cluster.process import STOP_GRACE, Process
from hack.dataplane import answers, projected
from hack.dataplane.certificates import Tenant
from hack.dataplane.etcdctl import Etcdctl
from hack.dataplane.programs import Programs

POD_ADDRESS = "127.0.0.2"
"""Stands for the pod's address: what listens on 127.0.0.1 alone is the pod's own loopback."""


class GatePod:
    """The pod's programs, with the files that they would find mounted, in `folder`.

    `gate` is what the controller would make of the storage; ports, folders and address become
    local ones. `core` are the files of its folder of that name, with a core of https only.
    A gate with `tls` gets the authority and the pairs of a `tenant`.
    """

    def __init__(
        self,
        folder: Path,
        programs: Programs,
        gate: Gate,
        *,
        core: Mapping[str, bytes] | None = None,
    ) -> None:
        self.folder = folder
        self.gate = localised(gate, folder)
        names = ("localhost", f"etcd-{gate.storage}.kube-apiserver-storage.svc")
        self.tenant = Tenant(folder / "pki", names=names, ips=(POD_ADDRESS,))
        self._programs = programs
        self._core = core
        self.envoy = self._process("gate", "envoy", configuration.arguments(self.gate))
        self.proxy = (
            None
            if self.gate.mode == "Direct"
            else self._process("etcdproxy", "etcd", grpcproxy.arguments(self.gate))
        )

    def _process(self, name: str, program: str, arguments: list[str]) -> Process:
        return Process(name, [self._programs[program], *arguments], self.folder)

    @property
    def tls(self) -> bool:
        """Whether clients need a certificate."""
        return self.gate.tls

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{POD_ADDRESS}:{self.gate.ports.ingress}"

    @property
    def probe_url(self) -> str:
        """Where the kubelet asks."""
        return f"http://{POD_ADDRESS}:{self.gate.ports.probe}"

    @property
    def processes(self) -> list[Process]:
        """In the order of starting, which is that of the kubelet: the sidecar goes first."""
        return [*([self.proxy] if self.proxy else []), self.envoy]

    def etcdctl(self, pair: Pair | None = None) -> Etcdctl:
        """Return an etcdctl at the endpoint, with TLS by default as the tenant's own client."""
        tls = self.tenant.flags(pair or self.tenant.client()) if self.tls else ()
        return Etcdctl(self._programs["etcdctl"], self.endpoint, tls)

    def __enter__(self) -> Self:
        self.start()
        try:
            self.await_ready()
        except BaseException:
            self.stop(grace=0)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(grace=0)

    def start(self) -> None:
        """Write the files and start what does not run; whether it gets ready is not waited for."""
        files = configuration.files(self.gate)
        self.write_config({name: text.encode() for name, text in files.items()})
        if self._core is not None:
            self.write_core(self._core)
        if self.tls:
            self.write_serving(self.tenant.files())
        try:
            for process in self.processes:
                process.start()
        except BaseException:
            self.stop(grace=0)
            raise

    def await_ready(self) -> None:
        """Wait until it reads through to the core; raises ProcessError with the logs."""
        answers.await_answer(self.url(configuration.READY_PATH), self.processes)

    def write_config(self, files: Mapping[str, bytes]) -> None:
        """Change the gate's configuration as the kubelet does; Envoy reads it at its start."""
        projected.write(Path(self.gate.folders.config), files)

    def write_core(self, files: Mapping[str, bytes]) -> None:
        """Change the certificates towards the core, see `CoreCertificates.files`."""
        projected.write(Path(self.gate.folders.core), files)

    def write_serving(self, files: Mapping[str, bytes]) -> None:
        """Change the certificates towards clients, see `Tenant.files`."""
        projected.write(Path(self.gate.folders.serving), files)

    def url(self, path: str) -> str:
        """Return the URL of a path on the port for probes."""
        return f"{self.probe_url}{path}"

    def drain(self) -> None:
        """Do what the pod's preStop hook does; returns when the kubelet would go on.

        Raises OSError or HTTPException.
        """
        path = configuration.drain_path(self.gate.drain_token)
        answers.get(self.url(path), timeout=3 * configuration.DRAIN_SECONDS)

    def stop(self, grace: float = STOP_GRACE) -> None:
        """End it in the kubelet's order: the gate and only then the sidecar.

        With a grace of 0 both are killed at once.
        """
        for process in reversed(self.processes):
            process.stop(grace)

    def terminate(self) -> None:
        """Delete the pod: the hook first, then `stop`."""
        self.drain()
        self.stop()


def localised(gate: Gate, folder: Path) -> Gate:
    """Return the same gate on free ports of this machine, with its folders in `folder`."""
    drawn = ports.free(5)
    names = ("config", "core", "serving")
    return replace(
        gate,
        ports=Ports(*drawn),
        folders=Folders(*(str(folder / name) for name in names)),
        address=POD_ADDRESS,
    )
