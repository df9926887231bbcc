"""A real control plane: etcd, API server and controller manager, without root, in seconds."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from controller.pki import Authority
from hack.cluster import arguments, probe
from hack.cluster.arguments import Settings
from hack.cluster.credentials import Credentials
from hack.cluster.errors import ClusterError
from hack.cluster.process import Process, ProcessError

START_TIMEOUT = 180.0
"""Seconds. It takes 2 on an idle machine; a busy one may need far more."""

_CHECK_INTERVAL = 0.05
_APISERVER_READY = "/readyz"
_CONTROLLERS_READY = "/api/v1/namespaces/default/serviceaccounts/default"
"""Made by the controller manager; without it no pod is accepted."""


class KubectlError(ClusterError):
    """kubectl failed; the message is what it said."""


class ControlPlane:
    """The three programs and what belongs to them, all in `folder`.

    `binaries` gives the paths of `components.CONTROL_PLANE`. Made again with the folder and the
    settings of one that runs, it stands for that one: `start` then leaves alone what runs.
    """

    def __init__(
        self, folder: Path, binaries: Mapping[str, Path], settings: Settings | None = None
    ) -> None:
        self.folder = folder
        self.settings = settings or Settings()
        self.server = self.settings.server
        self.credentials = Credentials(folder, self.settings)
        self.kubeconfig = self.credentials.admin
        self.pki = self.credentials.pki
        self._binaries = binaries
        self.etcd = self._process(arguments.ETCD, arguments.etcd(self.settings, folder))
        self.apiserver = self._process(
            arguments.APISERVER, arguments.apiserver(self.settings, self.pki)
        )
        self.controller_manager = self._process(
            arguments.CONTROLLER_MANAGER,
            arguments.controller_manager(self.settings, folder, self.pki),
        )

    def _process(self, name: str, flags: list[str]) -> Process:
        return Process(
            name,
            [self._binaries[name], *flags],
            self.folder,
            prefix=self.settings.prefix,
            tied=self.settings.tied,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout: float = START_TIMEOUT) -> float:
        """Start what does not run and wait until it is ready; return the seconds it took.

        Raises ProcessError if a program ends, or is not ready within `timeout` seconds; what
        was started is stopped then.
        """
        began = time.monotonic()
        self.credentials.ensure()
        try:
            self.etcd.start()
            self.apiserver.start()
            # Started any earlier, the controller manager asks for the API server once a second.
            self._await(_APISERVER_READY, timeout, self.etcd, self.apiserver)
            self.controller_manager.start()
            self._await(_CONTROLLERS_READY, timeout, *self.processes)
        except BaseException:
            self.stop()
            raise
        return time.monotonic() - began

    @property
    def processes(self) -> tuple[Process, Process, Process]:
        """In the order of starting."""
        return self.etcd, self.apiserver, self.controller_manager

    def stop(self) -> None:
        """Stop all programs, whichever of them run; the folder stays."""
        # The controller manager keeps nothing that a kill could spoil, and etcd's data is not
        # synchronised anyway; the API server's orderly end only waits for its clients.
        for process in reversed(self.processes):
            process.stop(grace=0)

    def check(self) -> None:
        """Raise ProcessError if a program has ended."""
        for process in self.processes:
            process.check()

    def stop_apiserver(self) -> None:
        """Take the API server away, as a crash does."""
        self.apiserver.stop(grace=0)

    def start_apiserver(self) -> None:
        """Bring it back at the same address."""
        self.apiserver.start()
        self._await(_APISERVER_READY, START_TIMEOUT, self.etcd, self.apiserver)

    def _await(self, path: str, timeout: float, *needed: Process) -> None:
        """Wait until the server answers `path` with 200; raises ProcessError."""
        question = self._probe(path)
        deadline = time.monotonic() + timeout
        try:
            while not question.wait(_CHECK_INTERVAL):
                for process in needed:
                    process.check()
                if time.monotonic() > deadline:
                    raise ProcessError(
                        f"{self.server} is not ready after {timeout:.0f} s: {question.tail(1)}; "
                        f"the end of {self.apiserver.log}:\n{self.apiserver.tail()}"
                    )
            if question.returncode:
                raise ProcessError(f"the probe of {self.server} failed:\n{question.tail()}")
        finally:
            question.stop(grace=0)

    def _probe(self, path: str) -> Process:
        process = Process(
            "probe",
            [
                *(sys.executable, "-IS", probe.__file__),
                *(self.settings.address, str(self.settings.ports.apiserver), path),
                f"--ca={self.pki / 'ca.crt'}",
                f"--cert={self.pki / 'kubernetes-admin.crt'}",
                f"--key={self.pki / 'kubernetes-admin.key'}",
            ],
            self.folder,
            prefix=self.settings.prefix,
        )
        process.start()
        return process

    @property
    def authority(self) -> Authority:
        """Signs everything in this cluster but the front proxy."""
        return self.credentials.authority

    def kubeconfig_for(self, user: str, groups: Iterable[str] = ()) -> Path:
        """Write a kubeconfig with a certificate of this user, and return its path."""
        return self.credentials.kubeconfig(user.replace(":", "-"), user, groups)

    def kubectl(self, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl as the administrator and return what it printed; `stdin` is given as JSON.

        Raises KubectlError.
        """
        answer = subprocess.run(
            [
                *(*self.settings.prefix, str(self._binaries["kubectl"])),
                f"--kubeconfig={self.kubeconfig}",
                f"--cache-dir={self.folder / 'kubectl-cache'}",
                *arguments,
            ],
            # Nobody's preferences may change what a command means.
            env={**os.environ, "KUBERC": "off"},
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {answer.stderr.strip()}")
        return answer.stdout

    def kubectl_json(self, *arguments: str, stdin: Any = None) -> Any:
        """The same, with the objects as data."""
        return json.loads(self.kubectl(*arguments, "--output=json", stdin=stdin))
