import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.process import Identity, Process, ProcessError
from tests.support.eventually import eventually

FOREVER = ("sleep", "infinity")
Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process in the test's folder; it is stopped in the end."""
    started: list[Process] = []

    def start(*argv: str, name: str = "program", **options: Any) -> Process:
        process = Process(name, argv, tmp_path, **options)
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        process.stop(grace=0)


def is_gone(pid: int | None) -> bool:
    assert pid
    return Identity.of(pid) is None


def identity(pid: int | None) -> Identity:
    assert pid
    found = Identity.of(pid)
    assert found
    return found


def printed(process: Process, what: str) -> None:
    eventually(lambda: what in process.tail())


def test_it_runs_until_it_is_stopped(start: Start, tmp_path: Path) -> None:
    process = start(*FOREVER)
    pid = process.pid
    assert not process.wait(0)
    process.check()
    process.stop()
    assert is_gone(pid)
    assert not process.alive
    assert process.wait()
    assert [file.name for file in tmp_path.iterdir()] == ["program.log"]
    process.stop()


def test_starting_it_again_changes_nothing_while_it_runs(start: Start) -> None:
    process = start(*FOREVER)
    pid = process.pid
    process.start()
    assert process.pid == pid
    process.stop()
    process.start()
    assert process.alive
    assert process.pid != pid


def test_it_may_end_in_order(start: Start) -> None:
    process = start("sh", "-c", "trap 'echo bye; exit 0' TERM; echo ready; sleep infinity & wait")
    printed(process, "ready")
    process.stop()
    assert process.tail() == "ready\nbye"


def test_one_that_ignores_the_request_is_killed(start: Start) -> None:
    process = start("sh", "-c", "trap '' TERM; echo ready; sleep infinity & wait")
    printed(process, "ready")
    pid = process.pid
    process.stop(grace=0.01)
    assert is_gone(pid)


def test_what_it_started_ends_with_it(start: Start) -> None:
    process = start("sh", "-c", "sleep infinity & echo child $!; wait")
    printed(process, "child")
    child = int(process.tail().split()[1])
    assert not is_gone(child)
    process.stop()
    eventually(lambda: is_gone(child))


def test_what_it_left_behind_ends_too(start: Start) -> None:
    process = start("sh", "-c", "sleep infinity & echo child $!")
    assert process.wait(10)
    child = int(process.tail().split()[1])
    assert not is_gone(child)
    process.stop()
    eventually(lambda: is_gone(child))


def test_starting_it_anew_ends_what_it_left_behind(start: Start) -> None:
    process = start("sh", "-c", "sleep infinity & echo child $!")
    assert process.wait(10)
    child = int(process.tail().split()[1])
    process.start()
    eventually(lambda: is_gone(child))


@pytest.mark.parametrize(
    ("script", "how"), [("exit 3", "exit code 3"), ("kill -9 $$", "SIGKILL"), ("true", "code 0")]
)
def test_an_early_end_is_told_with_the_last_words(start: Start, script: str, how: str) -> None:
    process = start("sh", "-c", f"for i in $(seq 100); do echo line $i; done; {script}")
    assert process.wait(10)
    with pytest.raises(ProcessError, match=f"program ended with .*{how}; the end of ") as caught:
        process.check()
    assert str(caught.value).splitlines()[1:] == [f"line {i}" for i in range(86, 101)]


def test_the_return_code_is_known_once_it_has_ended(start: Start) -> None:
    process = start("sh", "-c", "read line < pipe; exit 7", directory=_pipe(start))
    assert process.returncode is None
    (process.log.parent / "pipe").write_text("go\n")
    assert process.wait(10)
    assert process.returncode == 7


def _pipe(start: Start) -> Path:
    folder = start("true", name="folder").log.parent
    os.mkfifo(folder / "pipe")
    return folder


def test_one_that_never_ran(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"program does not run; .*\n\(there is no log\)"):
        Process("program", FOREVER, tmp_path).check()


def test_a_program_that_is_not_there(start: Start) -> None:
    process = start("/no/such/program")
    assert process.wait(10)
    with pytest.raises(ProcessError, match=r"(?s)exit code 127.*/no/such/program: No such file"):
        process.check()
    with pytest.raises(ProcessError, match=r"cannot be started: .*No such file"):
        start("/no/such/program", tied=False)


def test_environment_directory_and_prefix(start: Start, tmp_path: Path) -> None:
    script = 'echo "$MINE $YOURS $PWD"'
    process = start(
        *("sh", "-c", script),
        prefix=("env", "YOURS=2"),
        environment={"MINE": "1"},
        directory=tmp_path,
    )
    assert process.wait(10)
    assert process.tail() == f"1 2 {tmp_path}"


def test_another_object_finds_and_stops_it(start: Start, tmp_path: Path) -> None:
    process = start(*FOREVER)
    again = Process("program", FOREVER, tmp_path)
    assert again.pid == process.pid
    again.start()
    assert again.pid == process.pid
    assert again.returncode is None
    pid = process.pid
    again.stop()
    assert is_gone(pid)
    assert not again.alive


def test_the_recorded_ones_come_latest_first(start: Start, tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second", "third")):
        start(*FOREVER, name=name)
        os.utime(tmp_path / f"{name}.pid.json", (number, number))
    found = Process.recorded(tmp_path)
    assert [process.name for process in found] == ["third", "second", "first"]
    for process in found:
        process.stop()
    assert Process.recorded(tmp_path) == []


def test_a_reused_pid_is_left_alone(start: Start, tmp_path: Path) -> None:
    stranger = start(*FOREVER, name="stranger")
    record = asdict(identity(stranger.pid))
    record["start_ticks"] -= 1
    (tmp_path / "program.pid.json").write_text(json.dumps(record))
    process = Process("program", FOREVER, tmp_path)
    assert not process.alive
    assert process.wait()
    process.stop()
    assert stranger.alive
    assert [p.name for p in Process.recorded(tmp_path)] == ["stranger"]


def test_the_record_of_a_process_long_gone(tmp_path: Path) -> None:
    (tmp_path / "program.pid.json").write_text('{"pid": 4194304, "start_ticks": 1}')
    process = Process("program", FOREVER, tmp_path)
    assert not process.alive
    process.stop()
    assert Process.recorded(tmp_path) == []


def test_a_zombie_does_not_run() -> None:
    child = subprocess.Popen(["sleep", "infinity"])
    assert Identity.of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Identity.of(child.pid) is None
    child.wait()


def test_a_name_with_brackets_and_blanks_is_read_right(start: Start, tmp_path: Path) -> None:
    odd = tmp_path / "a) S 1 (b"
    odd.symlink_to("/bin/sleep")
    process = start(str(odd), "infinity")
    eventually(lambda: "a) S 1 (b" in Path(f"/proc/{process.pid}/comm").read_text())
    assert process.alive
    assert identity(process.pid).start_ticks > 0


_STARTER = """
import os, signal, sys
from pathlib import Path
from typing import Any
from hack.cluster.process import Process
process = Process("program", ["sleep", "infinity"], Path(sys.argv[1]), tied=sys.argv[2] == "tied")
process.start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def _start_and_be_killed(folder: Path, tie: str) -> Process:
    starter = subprocess.run([sys.executable, "-c", _STARTER, str(folder), tie], check=False)
    assert starter.returncode == -signal.SIGKILL
    return Process("program", FOREVER, folder)


def test_a_tied_one_dies_with_its_starter(tmp_path: Path) -> None:
    process = _start_and_be_killed(tmp_path, "tied")
    assert process.wait(10)


def test_another_outlives_its_starter(tmp_path: Path) -> None:
    process = _start_and_be_killed(tmp_path, "free")
    try:
        process.check()
        pid = process.pid
    finally:
        process.stop()
    assert is_gone(pid)


def test_a_tied_one_must_not_be_tied_to_a_passing_thread(tmp_path: Path) -> None:
    refusals: list[str] = []

    def attempt() -> None:
        try:
            Process("program", FOREVER, tmp_path).start()
        except ProcessError as error:
            refusals.append(str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join(5)
    assert refusals == ["program: it would die with this thread, use the main thread"]
