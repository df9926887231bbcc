"""Sockets that outlive their test are connections that nobody closes."""

from collections.abc import Iterator
from pathlib import Path

from tests.support.eventually import eventually


def no_stray_sockets() -> Iterator[None]:
    """The body of a fixture: no socket may be open that was not before."""
    before = _open()
    yield
    left = _open() - before
    assert not left, f"still open: {sorted(left)}"


def sockets_soon_closed() -> Iterator[None]:
    """The same where gRPC is used, which closes its sockets in threads of its own."""
    before = _open()
    yield
    eventually(lambda: not _open() - before, what="sockets closed")


def _open() -> set[str]:
    """This process's sockets, each by the name that Linux gives it."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue  # the one by which the folder is read, or one just closed
    return {name for name in found if name.startswith("socket:")}
