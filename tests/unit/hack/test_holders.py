import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster import holders


@contextmanager
def holding(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock on `path` and knows nothing of it, as a node's first one."""
    descriptor = holders.try_lock(path)
    assert descriptor is not None
    process = subprocess.Popen(["sleep", "60"], pass_fds=(descriptor,))
    os.close(descriptor)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_lock_is_held_by_who_inherits_it(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "node.lock"
    assert not holders.is_locked(lock)
    with holding(lock) as process:
        assert holders.is_locked(lock)
        assert holders.try_lock(lock) is None
        assert holders.holders(lock) == [process.pid]
    assert not holders.is_locked(lock)
    assert holders.holders(lock) == []


def test_looking_takes_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "node.lock"
    descriptor = holders.try_lock(lock)
    assert descriptor is not None
    assert holders.is_locked(lock)
    os.close(descriptor)
    assert not holders.is_locked(lock)
    again = holders.try_lock(lock)
    assert again is not None
    os.close(again)


def test_we_ourselves_do_not_count(tmp_path: Path) -> None:
    lock = tmp_path / "node.lock"
    descriptor = holders.try_lock(lock)
    assert descriptor is not None
    assert holders.holders(lock) == []
    assert holders.kill(lock, 1.0) == []
    os.close(descriptor)


def test_kill_ends_every_holder_and_nobody_else(tmp_path: Path) -> None:
    with holding(tmp_path / "node.lock") as ours, holding(tmp_path / "other.lock") as other:
        assert holders.kill(tmp_path / "node.lock", 5.0) == []
        assert ours.wait(5) == -signal.SIGKILL
        assert other.poll() is None
        assert holders.is_locked(tmp_path / "other.lock")


def test_kill_without_a_lock_is_harmless(tmp_path: Path) -> None:
    assert holders.kill(tmp_path / "absent.lock", 1.0) == []


def test_an_ordinary_process_is_no_first_one(tmp_path: Path) -> None:
    with holding(tmp_path / "node.lock") as process:
        assert not holders.is_first(process.pid)
    assert not holders.is_first(process.pid)
