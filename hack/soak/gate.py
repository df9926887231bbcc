"""A storage's gate at an address of its own and the ports of a pod, as the controller asks it."""

import os
from pathlib import Path

from controller.dataplane import gate as configuration
from controller.dataplane.gate import Folders, Gate, Ports
from hack.cluster import ports
from hack.cluster.errors import ClusterError
from hack.cluster.process import Process
from hack.dataplane import projected
from hack.dataplane.programs import Programs

_PER_USER = 50
"""Linux gives a user 128 inotify instances by default; each Envoy takes one."""

_FIRST_USER = 61000


class SoakGate:
    """Envoy alone: grpc-proxy knows nothing of clients' certificates.

    The folder `serving` is filled by somebody else, and before the start.
    """

    def __init__(
        self, folder: Path, programs: Programs, storage: str, core: tuple[str, ...], number: int
    ) -> None:
        """`number` tells it from the others of this run, from 0 on."""
        proxy, egress, admin = ports.free(3)
        self.address = address_of(admin)
        self.serving = folder / "serving"
        self._config = folder / "config"
        gate = Gate(
            storage,
            "Direct",
            # Of a core without users the gate would let nothing through in this mode.
            auth=True,
            core_urls=core,
            drain_token="nobody-drains-it",  # noqa: S106 - no secret where nobody asks
            tls=True,
            ports=Ports(proxy=proxy, egress=egress, admin=admin),
            folders=Folders(str(self._config), str(folder / "core"), str(self.serving)),
            address=self.address,
        )
        self._files = {name: text.encode() for name, text in configuration.files(gate).items()}
        argv: list[str | Path] = [programs["envoy"], *configuration.arguments(gate)]
        self.process = Process("gate", argv, folder, prefix=as_user(number, os.getuid()))

    def start(self) -> None:
        """In the main thread; whether it gets ready is not waited for."""
        projected.write(self._config, self._files)
        self.process.start()

    def stop(self) -> None:
        self.process.stop(grace=0)


def address_of(port: int) -> str:
    """Return an address of loopback that is nobody else's as long as the port is ours."""
    return f"127.1.{port >> 8}.{port & 0xFF}"


def as_user(number: int, uid: int) -> tuple[str, ...]:
    """Return the command that runs the gate of this number, as a user who can watch files.

    Raises ClusterError where that takes root, which `uid` is not.
    """
    if number < _PER_USER:
        return ()
    if uid != 0:
        raise ClusterError(f"more than {_PER_USER} storages take root: gates run as other users")
    user = _FIRST_USER + number // _PER_USER
    allowed = "+dac_read_search"
    return (
        *("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"),
        *(f"--inh-caps={allowed}", f"--ambient-caps={allowed}", "--pdeathsig=KILL", "--"),
    )
