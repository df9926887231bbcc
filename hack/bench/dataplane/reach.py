"""What a tenant reaches of the core that is not its own."""

from collections.abc import Callable
from pathlib import Path

from hack.bench.dataplane.ways import Way
from hack.cluster.command import CommandError

OTHERS = "a value of another tenant"
_TARGET = "/other/written-by-a-stranger"


def snapshot(way: Way, file: Path) -> str:
    """Say what a snapshot holds."""
    way.core.etcdctl().run("put", "/other/secret", OTHERS)
    way.storage.run("snapshot", "save", str(file))
    return "whole core" if OTHERS.encode() in file.read_bytes() else "its own"


def members(way: Way) -> str:
    way.storage.run("member", "list")
    return "answered"


def foreign_write(way: Way) -> str:
    """Say where a write with another tenant's prefix ends."""
    way.storage.run("put", _TARGET, "")
    root = way.core.etcdctl()
    if root.run("get", "--keys-only", f"{way.prefix}{_TARGET}").strip():
        return "prefixed"
    root.run("del", _TARGET)
    return "written"


def outcome(attempt: Callable[[], str]) -> str:
    """Return what came of it, or how etcd or the gate put it that it did not."""
    try:
        return attempt()
    except CommandError as error:
        return refusal(str(error))


def refusal(message: str) -> str:
    """Shorten etcdctl's message."""
    for known, short in (("Unimplemented", "Unimplemented"), ("permission denied", "denied")):
        if known in message:
            return short
    return message.strip().splitlines()[-1]
