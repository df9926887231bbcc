"""What the core has too many or too few, as the real one tells."""

from pathlib import Path

import pytest

from hack.chaos.core import Core

pytestmark = pytest.mark.long


def test_keys_and_users_are_told_that_are_lost_or_left(tmp_path: Path) -> None:
    with Core(tmp_path) as core:
        for storage in ("a", "ab"):
            core.made(storage)
        etcdctl = core.etcd.etcdctl()
        etcdctl.run("user", "add", "etcdstorage:a", "--no-password")
        etcdctl.run("role", "add", "etcdstorage:a")
        core.restart()
        assert core.faults(["a"]) == []
        core.purged("a")
        assert core.faults([]) == [
            "user etcdstorage:a should be gone",
            "role etcdstorage:a should be gone",
            "key /a/1 should be gone",
        ]
        etcdctl.run("del", "/ab/2")
        assert "key /ab/2 is lost" in core.faults(["a"])
