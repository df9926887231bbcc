"""Processes that a later run can find again, and only these.

A process is recorded in a file as its pid and start time, so that a reused pid is never
taken for it. A tied process dies with the thread that started it, even when that one is
killed: `setpriv` asks the kernel for the signal (PR_SET_PDEATHSIG) and then becomes the
process, which needs neither a supervisor, which could die itself, nor Python code between
fork and exec, which is unsafe beside threads.
"""

import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from hack.cluster.errors import ClusterError

STOP_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""

_TIE = ("setpriv", "--pdeathsig", "KILL", "--")
_TAIL_LINES = 15
_TAIL_BYTES = 16384
_SUFFIX = ".pid.json"


class ProcessError(ClusterError):
    """A process could not be started, or ended by itself; the message carries its last words."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one process from all others since the machine was started."""

    pid: int
    start_ticks: int
    """Clock ticks between the machine's start and the process's."""

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Look at the running process; None if there is none, or only a zombie of it."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The second field, the name, may hold blanks and brackets: count from its end.
        fields = stat.rpartition(")")[2].split()
        state, start_ticks = fields[0], fields[19]
        return None if state in "ZX" else cls(pid, int(start_ticks))


class Process:
    """One program, its log and its record, both files in `folder`.

    An object made with the name and folder of a program that still runs stands for that
    program, whoever started it. Methods may be called from any thread, `start` of a tied
    process from the main thread only.
    """

    def __init__(  # noqa: PLR0913 the optional ones are those of subprocess
        self,
        name: str,
        argv: Sequence[str | Path],
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        tied: bool = True,
    ) -> None:
        """Describe it; nothing is started.

        `prefix` is a command that becomes the program, as `nsenter --net=FILE` does.
        `environment` is added to our own.
        """
        self.name = name
        self.log = folder / f"{name}.log"
        self._record = folder / f"{name}{_SUFFIX}"
        self._argv = [*(_TIE if tied else ()), *prefix, *map(str, argv)]
        self._environment = environment
        self._directory = directory
        self._tied = tied
        self._child: subprocess.Popen[bytes] | None = None

    @classmethod
    def recorded(cls, folder: Path) -> list[Self]:
        """Return the processes started in `folder`, the latest first: the order to stop them."""
        records = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda f: f.stat().st_mtime_ns)
        return [cls(f.name.removesuffix(_SUFFIX), (), folder) for f in reversed(records)]

    @property
    def pid(self) -> int | None:
        """The running process's; None if it does not run."""
        if self._child is not None:
            return self._child.pid if self.returncode is None else None
        try:
            recorded = Identity(**json.loads(self._record.read_text()))
        except FileNotFoundError:
            return None
        return recorded.pid if Identity.of(recorded.pid) == recorded else None

    @property
    def alive(self) -> bool:
        return self.pid is not None

    def start(self) -> None:
        """Start it unless it runs already.

        Raises ProcessError if it cannot be; that a tied one could not, `check` tells.
        """
        if self.alive:
            return
        if self._tied and threading.current_thread() is not threading.main_thread():
            raise ProcessError(f"{self.name}: it would die with this thread, use the main thread")
        self.stop()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.log.open("ab") as log:
                self._child = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(self._environment or {})},
                    cwd=self._directory,
                    # Ctrl-C reaches us alone: we stop our processes in order.
                    start_new_session=True,
                )
        except OSError as error:
            raise ProcessError(f"{self.name} cannot be started: {error}") from error
        self._write_record(self._child.pid)
        if self._tied:
            _await_tie(self._child.pid)

    def _write_record(self, pid: int) -> None:
        # One that has ended already needs no record: `check` tells why.
        if identity := Identity.of(pid):
            partial = self._record.with_suffix(".tmp")
            partial.write_text(json.dumps(asdict(identity)))
            partial.replace(self._record)

    @property
    def returncode(self) -> int | None:
        """As subprocess gives it; None while it runs, or if this object did not start it.

        The process is left unreaped until `stop`: that keeps its pid from being reused.
        """
        if self._child is None:
            return None
        peek = os.WEXITED | os.WNOHANG | os.WNOWAIT
        ended = os.waitid(os.P_PID, self._child.pid, peek)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def check(self) -> None:
        """Raise ProcessError with the end of the log if it does not run."""
        if not self.alive:
            code = self.returncode
            how = "does not run" if code is None else f"ended with {_describe(code)}"
            raise ProcessError(f"{self.name} {how}; the end of {self.log}:\n{self.tail()}")

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether it has ended, after waiting for that at most `timeout` seconds."""
        pid = self.pid
        if pid is None:
            return True
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            # Before there was a handle, the pid may have passed to another.
            return self.pid != pid or _ended(handle, timeout)
        finally:
            os.close(handle)

    def stop(self, grace: float = STOP_GRACE) -> None:
        """End it and its process group; harmless if it has ended.

        It gets SIGTERM and, `grace` seconds later, SIGKILL; with a grace of 0 the latter at once.
        """
        pid = self.pid
        if pid and grace > 0:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            self.wait(grace)
        if self._child is not None:
            # Until it is reaped, its pid, which names the group, is nobody else's.
            _kill_group(self._child.pid)
            self._child.wait()
            self._child = None
        elif pid:
            _kill_group(pid)
            self.wait()
        self._record.unlink(missing_ok=True)

    def tail(self, lines: int = _TAIL_LINES) -> str:
        """Return the last lines of the log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return "(there is no log)"
        return "\n".join(text.splitlines()[-lines:])


def _ended(handle: int, timeout: float | None) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(None if timeout is None else timeout * 1000))


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _describe(returncode: int) -> str:
    if returncode < 0:
        return signal.Signals(-returncode).name
    return f"exit code {returncode}"


def _await_tie(pid: int) -> None:
    """Wait the millisecond until `setpriv` has become the program, or has failed.

    Only then is the child tied: a death of ours before that would not reach it.
    """
    comm = Path(f"/proc/{pid}/comm")
    while Identity.of(pid) and comm.read_text().strip() == _TIE[0]:
        threading.Event().wait(0.001)
