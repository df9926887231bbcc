import os
from pathlib import Path

import pytest

from hack.cluster import needs
from hack.cluster.preflight import PreflightError


def test_root() -> None:
    assert needs.root(0) is None
    assert needs.root(1000) == "a node needs root: run it with sudo, as in: sudo make demo"


def test_packages_are_named_in_one_command() -> None:
    assert needs.packages([]) is None
    assert needs.packages(["containerd", "runc"]) == (
        "missing: containerd, runc; as root: "
        "apt-get install -y --no-install-recommends containerd runc"
    )


def test_each_package_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runc").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(needs, "_ADMINISTRATION", ())
    wanted: needs.Programs = {
        "ctr": "containerd",
        "containerd": "containerd",
        "runc": "runc",
        tmp_path / "plugins" / "ptp": "containernetworking-plugins",
    }
    assert needs.missing(wanted) == ["containerd", "containernetworking-plugins"]


def test_a_program_where_only_root_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "iptables").touch(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(needs, "_ADMINISTRATION", (str(tmp_path),))
    assert needs.missing({"iptables": "iptables"}) == []


def test_busybox_must_be_the_static_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "busybox"
    monkeypatch.setattr(needs, "BUSYBOX", program)
    assert needs.missing({program: "busybox-static"}) == ["busybox-static"]
    program.write_bytes(b"\x7fELF /lib64/ld-linux-x86-64.so.2 ")
    assert needs.missing({program: "busybox-static"}) == ["busybox-static"]
    program.write_bytes(b"\x7fELF")
    assert needs.missing({program: "busybox-static"}) == []


def test_everything_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(needs, "_ADMINISTRATION", ())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PreflightError) as caught:
        needs.check()
    root, packages = str(caught.value).splitlines()
    assert root.endswith("sudo make demo")
    for name in ("containerd", "runc", "iptables", "conntrack", "util-linux"):
        assert f" {name}" in packages
