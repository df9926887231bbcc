"""`status` and `doctor` at a real terminal: colour and progress there, and nowhere else."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.support.eventually import eventually
from tests.support.kubeconfig import kubeconfig

GREEN_OK = "\033[32mOK"
ERASED = "\r\033[K"


class Terminal:
    """A command that runs at a terminal, and all that it has written there."""

    def __init__(self, *command: str, **environment: str) -> None:
        self._master, slave = os.openpty()
        self._text = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "controller", *command],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env={**_surroundings(), **environment},
        )
        os.close(slave)

    @property
    def text(self) -> str:
        # Nobody holds the other end any more once the process has ended: that is EIO.
        with suppress(OSError):
            while select.select([self._master], [], [], 0)[0]:
                self._text += os.read(self._master, 1 << 16)
        return self._text.decode()

    def end(self) -> str:
        """Wait for its end, and return all that it has written."""
        self.process.wait(timeout=60)
        return self.text

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


def _surroundings() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NO_COLOR"}


@contextmanager
def terminal(*command: str, **environment: str) -> Iterator[Terminal]:
    opened = Terminal(*command, **environment)
    try:
        yield opened
    finally:
        opened.close()


def test_levels_are_coloured_unless_somebody_wants_none(control_plane: ControlPlane) -> None:
    command = ("doctor", f"--kubeconfig={control_plane.kubeconfig}")
    with terminal(*command) as coloured, terminal(*command, NO_COLOR="1") as plain:
        assert GREEN_OK in coloured.end()
        assert "OK      API server" in plain.end()
    assert "\033[3" not in plain.text


def test_neither_a_file_nor_json_has_any(control_plane: ControlPlane) -> None:
    command = ("doctor", f"--kubeconfig={control_plane.kubeconfig}")
    with terminal(*command, "--output=json") as json:
        assert "\033[3" not in json.end()
    answer = subprocess.run(
        [sys.executable, "-m", "controller", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "OK      API server" in answer.stdout
    assert "\033" not in answer.stdout + answer.stderr


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_what_takes_long_is_told_until_it_is_over(silent: socket.socket, tmp_path: Path) -> None:
    server = f"https://127.0.0.1:{silent.getsockname()[1]}"
    config = kubeconfig(tmp_path, cluster={"server": server})
    told = {
        ("status",): "reading EtcdStorages ... ",
        ("status", "--watch"): "reading EtcdStorages ... ",
        ("doctor",): f"asking {server} ... ",
    }
    with ExitStack() as stack:
        terminals = {
            command: stack.enter_context(terminal(*command, f"--kubeconfig={config}"))
            for command in told
        }
        for command, opened in terminals.items():
            await_told(opened, told[command])
        silent.close()
        for command, opened in terminals.items():
            last = opened.end().rpartition(ERASED)[2]
            assert opened.process.returncode == 1, opened.text
            assert " ... " not in last
            assert last.count("\r\n") == (2 if command == ("doctor",) else 1), opened.text


def await_told(opened: Terminal, what: str) -> None:
    eventually(lambda: what in opened.text, what=what)
