"""A real node on this machine: its life, seen from outside its namespaces.

All of it is one tree of processes in namespaces for PIDs, mounts and the network. That makes
three promises cheap: nothing of the host changes, `down` is one kill, and a crash in between
leaves the same things for `down` as success does.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from hack.cluster import binaries, cache, cgroups, components, holders, images, needs, preflight
from hack.cluster.command import run
from hack.cluster.containerd import import_command
from hack.cluster.errors import ClusterError
from hack.cluster.supervisor import READY, Plan

KILL_TIMEOUT = 30.0
"""Seconds. Dozens of containers take less than one to die."""

_PROJECT = Path(__file__).parent.parent.parent
_NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_INTERVAL = 0.1
_NOT_UP = "the node is not up; start it: sudo make demo"


class NodeError(ClusterError):
    """The node did not come up, or does not run, or does not go away."""


class Node:
    """The node of one folder; any number of objects may stand for it."""

    def __init__(self, folder: Path | None = None) -> None:
        """Stand for the node in `folder`, by default the one of the cache; nothing is started."""
        self.folder = folder or cache.run() / "node"
        self.kubeconfig = self.folder / "admin.kubeconfig"
        self.log = self.folder / "node.log"
        self._lock = self.folder.with_name(f"{self.folder.name}.lock")

    @property
    def running(self) -> bool:
        """Whether it is up and pods can run."""
        return holders.is_locked(self._lock) and (self.folder / READY).exists()

    def up(self, log: Callable[[str], None]) -> None:
        """Bring it up and return once pods can run; harmless and quick if it is up.

        `log` is given lines for a person. Raises ClusterError; a node that fails on its way is
        dead then, and its logs are kept until the next `up` or `down`.
        """
        if self.running:
            return
        preflight.require(needs.place(self.folder))
        plan = prepare(log)
        descriptor = holders.try_lock(self._lock)
        if descriptor is not None:
            try:
                self._clean()
                self._launch(plan, descriptor)
            finally:
                os.close(descriptor)
        try:
            self._follow(log)
        except BaseException:
            self._kill()
            raise

    def down(self) -> None:
        """Take it down in whatever state it is, with all it left; harmless if there is none.

        Raises NodeError if something withstands.
        """
        needs.check_root()
        self._kill()
        self._clean()

    def load(self, archive: Path) -> None:
        """Give it an image from a tar file; raises CommandError."""
        run(self._entering(import_command(archive.absolute()), "net", "mnt"))

    def exec(
        self, argv: Sequence[str | Path], *, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the host inside the node's network and return what it said.

        Raises NodeError if the node is not up; a command that fails tells by its code.
        """
        return subprocess.run(
            self.entering(argv),
            input=stdin or "",
            # Nobody's preferences may change what a command of kubectl means.
            env={**os.environ, "KUBERC": "off"},
            capture_output=True,
            text=True,
            check=False,
        )

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - subprocess calls it so
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator and return what it said; raises as `exec` does."""
        return self.exec(self.kubectl_command(*arguments), stdin=input)

    def kubectl_command(self, *arguments: str) -> list[str]:
        """Return the command that is kubectl, but for the network; raises NodeError."""
        if not self.running:
            raise NodeError(_NOT_UP)
        return [
            Plan.read(self.folder).binaries["kubectl"],
            f"--kubeconfig={self.kubeconfig}",
            f"--cache-dir={self.folder / 'kubectl-cache'}",
            *arguments,
        ]

    def entering(self, argv: Sequence[str | Path]) -> list[str]:
        """Return the command that runs `argv` inside the node's network; raises NodeError."""
        return self._entering(argv, "net")

    @property
    def network(self) -> Path:
        """The namespace of its network, for setns(2); raises NodeError if it is not up."""
        return self._namespace("net")

    def seen(self, path: Path) -> Path:
        """Return where a file of the node is seen from outside, on mounts of its own as well.

        Raises NodeError if it is not up.
        """
        return Path(f"/proc/{self._first_process()}/root", *path.parts[1:])

    def _entering(self, argv: Sequence[str | Path], *namespaces: str) -> list[str]:
        flags = [f"--{_FLAGS[name]}={self._namespace(name)}" for name in namespaces]
        return ["nsenter", *flags, "--", *map(str, argv)]

    def _namespace(self, name: str) -> Path:
        return Path(f"/proc/{self._first_process()}/ns/{name}")

    def _first_process(self) -> int:
        for pid in holders.holders(self._lock):
            if holders.is_first(pid):
                return pid
        raise NodeError(_NOT_UP)

    def _launch(self, plan: Plan, descriptor: int) -> None:
        """Start the first process, whose life is the node's, away from ours.

        It keeps the lock by the descriptor it inherits; see `holders`.
        """
        self.folder.mkdir(parents=True)
        plan.write(self.folder)
        supervisor = [sys.executable, "-m", "hack.cluster.supervisor", str(self.folder)]
        with self.log.open("ab") as log:
            subprocess.run(
                ["setsid", "--fork", "unshare", *_NAMESPACES, "--", *supervisor],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": needs.search_path()},
                cwd=_PROJECT,
                pass_fds=(descriptor,),
                check=True,
            )

    def _follow(self, log: Callable[[str], None]) -> None:
        """Repeat what the node says until it is ready; raises NodeError if it ends."""
        pause = threading.Event()
        with self.log.open() as file:
            while not self.running:
                alive = holders.is_locked(self._lock)
                for line in file.read().splitlines():
                    log(line)
                if not alive:
                    raise NodeError(f"the node did not come up; logs are in {self.folder}")
                pause.wait(_INTERVAL)
            for line in file.read().splitlines():
                log(line)

    def _kill(self) -> None:
        remaining = holders.kill(self._lock, KILL_TIMEOUT)
        if remaining:
            raise NodeError(f"processes {remaining} of the node did not end when killed")

    def _clean(self) -> None:
        if left := cgroups.remove(cgroups.name(self.folder)):
            raise NodeError(f"still busy: {', '.join(map(str, left))}")
        if self.folder.exists():
            shutil.rmtree(self.folder)


_FLAGS = {"net": "net", "mnt": "mount"}


def prepare(log: Callable[[str], None]) -> Plan:
    """Do what needs a network, or time: build programs and images, unless they are built.

    Raises PreflightError if this machine lacks something, BuildError, RootfsError or CommandError.
    """
    needs.check()
    paths = binaries.ensure(*components.CLUSTER)
    archives = images.build(paths, log)
    return Plan({n: str(p) for n, p in paths.items()}, [str(a) for a in archives])
