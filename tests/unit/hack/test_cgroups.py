from pathlib import Path

import pytest

from hack.cluster import cgroups

MOUNTS = """\
proc /proc proc rw 0 0
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
/dev/vda / ext4 rw 0 0
"""


def test_hierarchies_of_both_versions() -> None:
    found = cgroups.hierarchies(MOUNTS)
    assert found == [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup/unified")]


def test_every_node_has_a_name_of_its_own() -> None:
    assert cgroups.name(Path("/a")) == cgroups.name(Path("/a"))
    assert cgroups.name(Path("/a")) != cgroups.name(Path("/b"))
    assert cgroups.name(Path("/a")).startswith("/etcdproxy-")


def test_it_is_made_and_removed_in_every_hierarchy(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in ("memory", "cpu")]
    for root in roots:
        (root / "system.slice").mkdir(parents=True)
    cgroups.make("/ours", roots)
    cgroups.make("/ours", roots)
    (roots[0] / "ours/kubepods/burstable/pod1/container").mkdir(parents=True)
    (roots[0] / "ours/kubepods/burstable-2").mkdir()

    assert cgroups.remove("/ours", roots) == []

    assert [sorted(p.name for p in root.iterdir()) for root in roots] == [["system.slice"]] * 2
    assert cgroups.remove("/ours", roots) == []


def test_version_2_gets_the_controllers_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
    cgroups.make("/ours", [tmp_path])
    assert (tmp_path / "ours").is_dir()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"


def test_a_busy_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "REMOVAL_TIMEOUT", 0.0)
    (tmp_path / "ours").mkdir()
    # A file keeps a plain folder from being removed, as processes keep a cgroup.
    (tmp_path / "ours" / "process").touch()
    assert cgroups.remove("/ours", [tmp_path]) == [tmp_path / "ours"]
