"""The first processes of a node: they start its parts inside namespaces of their own.

Run as `python -m hack.cluster.supervisor FOLDER` by `node`, under `unshare`, as the first
process of a PID namespace. When that process ends, by whatever cause, the kernel kills
everything in the namespace, containers too, and then the mounts and the network, which
nothing else holds, are gone. What it prints is what `up` shows.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from controller.pki import SERVER, Leaf
from hack.cluster import (
    arguments,
    cgroups,
    containerd,
    dns,
    kubeconfig,
    kubelet,
    network,
    pki,
    sandbox,
)
from hack.cluster.command import run
from hack.cluster.controlplane import ControlPlane, KubectlError
from hack.cluster.errors import ClusterError
from hack.cluster.process import Process, ProcessError

READY = "ready"
"""File in the node's folder, made when pods can run."""

_PLAN = "plan.json"
_PORTS = arguments.Ports(apiserver=6443, etcd=2379, etcd_peer=2380)
_EXTRA = {
    # Nothing resolves the node's name.
    arguments.APISERVER: ("--kubelet-preferred-address-types=InternalIP",)
}
_READY_TIMEOUT = 120.0
_INTERVAL = 0.1
_WATCH_INTERVAL = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a node is made of, prepared outside, where there is a network."""

    binaries: dict[str, str]
    images: list[str]

    def write(self, folder: Path) -> None:
        (folder / _PLAN).write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Self:
        return cls(**json.loads((folder / _PLAN).read_text()))


class Supervisor:
    """Starts the parts in order, and ends when one of them has ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plan = Plan.read(folder)
        self._began = time.monotonic()
        self._processes: list[Process] = []
        self._never = threading.Event()
        binaries = {name: Path(path) for name, path in self._plan.binaries.items()}
        settings = arguments.Settings(network.NODE_ADDRESS, _PORTS, extra=_EXTRA)
        self._control_plane = ControlPlane(folder, binaries, settings)

    def run(self) -> None:
        """Bring everything up, then watch over it until a part fails; raises ClusterError."""
        sandbox.set_up()
        network.set_up()
        cgroups.make(cgroups.name(self._folder))
        self._say("namespaces ready")
        self._start_containerd()
        with ThreadPoolExecutor(max_workers=1) as beside:
            imported = beside.submit(self._import_images)
            self._control_plane.start()
            self._say("control plane ready")
            self._start_node()
            self._serve_names()
            self._await_node()
            imported.result()
        (self._folder / READY).touch()
        self._watch()

    def _start_containerd(self) -> None:
        cni = self._folder / "cni"
        network.write_cni(cni, self._folder / "leases")
        self._start("containerd", containerd.write_configuration(self._folder, cni))

    def _start_node(self) -> None:
        folder, plane = self._folder, self._control_plane
        credentials = plane.credentials
        credentials.kubeconfig("kubelet", f"system:node:{network.NODE_NAME}", ["system:nodes"])
        for name in (kubelet.SCHEDULER, kubelet.PROXY):
            credentials.kubeconfig(name, f"system:{name}")
        serving = Leaf(network.NODE_NAME, ips=(network.NODE_ADDRESS,), usages=(SERVER,))
        pki.write(pki.issue(plane.authority, serving), plane.pki, "kubelet")
        flags = {
            kubelet.KUBELET: kubelet.kubelet(folder, cgroups.name(folder)),
            kubelet.SCHEDULER: kubelet.scheduler(folder),
            kubelet.PROXY: kubelet.proxy(folder),
            dns.COREDNS: dns.coredns(folder, plane.kubeconfig, kubeconfig.NAME),
        }
        for name, options in flags.items():
            self._start(name, [self._plan.binaries[name], *options])

    def _serve_names(self) -> None:
        # The API server makes the namespace in its own time.
        self._await(self._dns_is_applied, "the namespace kube-system", self._check)

    def _dns_is_applied(self) -> bool:
        try:
            self._control_plane.kubectl("apply", "--filename=-", stdin=dns.objects())
        except KubectlError:
            return False
        return True

    def _start(self, name: str, argv: Sequence[str | Path]) -> None:
        process = Process(name, argv, self._folder)
        process.start()
        self._processes.append(process)

    def _import_images(self) -> None:
        runtime = self._processes[0]
        self._await(containerd.SOCKET.exists, "containerd", runtime.check)
        for archive in self._plan.images:
            run(containerd.import_command(Path(archive)))
        self._say("images imported")

    def _await_node(self) -> None:
        self._await(self._node_is_ready, "the node to be Ready", self._check)
        self._say("node Ready")

    def _node_is_ready(self) -> bool:
        try:
            node = self._control_plane.kubectl_json("get", "node", network.NODE_NAME)
        except KubectlError:
            return False
        conditions = {c["type"]: c["status"] for c in node["status"].get("conditions", ())}
        return conditions.get("Ready") == "True" and not node["spec"].get("taints")

    def _await(self, condition: Callable[[], bool], what: str, check: Callable[[], None]) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT
        while not condition():
            check()
            if time.monotonic() > deadline:
                raise ProcessError(f"waited {_READY_TIMEOUT:.0f} s for {what} in vain")
            self._never.wait(_INTERVAL)

    def _watch(self) -> None:
        while not self._never.wait(_WATCH_INTERVAL):
            self._check()

    def _check(self) -> None:
        self._control_plane.check()
        for process in self._processes:
            process.check()

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:5.1f} s  {what}", flush=True)


def main(folder: Path) -> int:
    """Stay the first process, which has to bury all orphans, and let a child do the work."""
    worker = os.fork()
    if worker == 0:
        return supervise(folder)
    while True:
        pid, status = os.wait()
        if pid == worker:
            return os.waitstatus_to_exitcode(status)


def supervise(folder: Path) -> int:
    try:
        Supervisor(folder).run()
    except ClusterError as error:
        print(error, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
