from pathlib import Path

import pytest

from hack.cluster.command import CommandError
from hack.dataplane import Etcdctl


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Stand in for etcdctl: says as JSON how it was called, or fails."""
    path = tmp_path / "etcdctl"
    path.write_text(
        '#!/bin/sh\n[ "$4" = fail ] && { echo denied >&2; exit 1; }\necho "[\\"$*\\"]"\n'
    )
    path.chmod(0o755)
    return path


def test_the_way_to_the_endpoint_comes_first(program: Path) -> None:
    etcdctl = Etcdctl(program, "https://127.0.0.1:1", ("--cacert=ca", "--cert=c", "--key=k"))
    said = etcdctl.json("get", "k")
    # So that a command's own times, which come later, are those that count.
    times = "--dial-timeout=30s --command-timeout=60s"
    endpoint = f"--endpoints=https://127.0.0.1:1 {times}"
    assert said == [f"{endpoint} --cacert=ca --cert=c --key=k get k --write-out=json"]
    assert Etcdctl(program, "http://127.0.0.1:1").run("get") == (
        f'["--endpoints=http://127.0.0.1:1 {times} get"]\n'
    )


def test_what_etcd_says_is_told(program: Path) -> None:
    with pytest.raises(CommandError, match="ended with code 1:\ndenied"):
        Etcdctl(program, "http://127.0.0.1:1").run("fail")
