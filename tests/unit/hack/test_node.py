import os
from pathlib import Path

import pytest

from hack.cluster import holders, needs
from hack.cluster.node import Node, NodeError
from hack.cluster.preflight import PreflightError
from hack.cluster.supervisor import READY, Plan


def test_none_runs(tmp_path: Path) -> None:
    absent = Node(tmp_path / "node")
    assert not absent.running
    with pytest.raises(NodeError, match="not up; start it: sudo make demo"):
        absent.kubectl("get", "pods")
    with pytest.raises(NodeError, match="not up; start it: sudo make demo"):
        absent.exec(["true"])
    with pytest.raises(NodeError, match="not up; start it: sudo make demo"):
        absent.seen(Path("/etc/hosts"))


def test_a_ready_file_alone_is_no_node(tmp_path: Path) -> None:
    crashed = Node(tmp_path / "node")
    crashed.folder.mkdir()
    (crashed.folder / READY).touch()
    assert not crashed.running


def test_up_is_locked_and_ready(tmp_path: Path) -> None:
    starting = Node(tmp_path / "node")
    starting.folder.mkdir()
    descriptor = holders.try_lock(tmp_path / "node.lock")
    assert descriptor is not None
    seen = [starting.running]
    (starting.folder / READY).touch()
    seen.append(starting.running)
    os.close(descriptor)
    seen.append(starting.running)
    assert seen == [False, True, False]


def test_the_lock_outlives_the_folder_that_down_removes(tmp_path: Path) -> None:
    assert Node(tmp_path / "node")._lock == tmp_path / "node.lock"


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan({"kubectl": "/bin/kubectl"}, ["/images/etcd.tar"])
    plan.write(tmp_path)
    assert Plan.read(tmp_path) == plan


def test_down_needs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PreflightError, match=r"needs root: .* sudo make demo"):
        Node(tmp_path / "node").down()


@pytest.mark.parametrize("place", ["/run/x", "/var/run/x", "/var/lib/ci/.cache", "/var/log/x"])
def test_a_folder_that_the_node_could_not_see(place: str) -> None:
    complaint = needs.place(Path(place))
    assert complaint is not None
    assert complaint.endswith("export ETCDPROXY_CACHE=/a/folder/elsewhere")


@pytest.mark.parametrize("place", ["/srv/.cache", "/opt/me/.cache", "/running", "/var/library"])
def test_a_folder_that_the_node_sees(place: str) -> None:
    assert needs.place(Path(place)) is None
