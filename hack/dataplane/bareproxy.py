"""grpc-proxy with nothing in front of it or behind it, as the first controller ran it."""

from pathlib import Path
from typing import Self

from hack.cluster import ports
from hack.cluster.arguments import LOOPBACK
from hack.cluster.process import Process
from hack.dataplane import answers
from hack.dataplane.core import CoreEtcd
from hack.dataplane.etcdctl import Etcdctl
from hack.dataplane.programs import Programs


class BareProxy:
    """What a storage without a gate is: the yardstick of how a tenant is kept in."""

    def __init__(self, folder: Path, programs: Programs, core: CoreEtcd, storage: str) -> None:
        self._programs = programs
        self._port = ports.free(1)[0]
        certificates = core.certificates
        flags = [
            f"--endpoints={','.join(core.urls)}",
            f"--namespace=/{storage}/",
            f"--listen-addr={LOOPBACK}:{self._port}",
            *(certificates.flags(certificates.shared) if core.tls else ()),
        ]
        argv: list[str | Path] = [programs["etcd"], "grpc-proxy", "start", *flags]
        self.process = Process(f"bare-{storage}", argv, folder)

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        return f"http://{LOOPBACK}:{self._port}"

    def etcdctl(self) -> Etcdctl:
        """Return an etcdctl at the endpoint."""
        return Etcdctl(self._programs["etcdctl"], self.endpoint)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it says that it reaches the core; raises ProcessError."""
        try:
            self.process.start()
            answers.await_answer(f"{self.endpoint}/health", [self.process])
        except BaseException:
            self.stop()
            raise

    def stop(self, grace: float = 0) -> None:
        """End it, at once if there is no grace."""
        self.process.stop(grace)
