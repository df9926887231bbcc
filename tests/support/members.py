"""A core's members, each with a bundle of its own, and authorities that are names."""

from collections.abc import Callable
from dataclasses import dataclass, field

from controller.core import Access, Candidate
from controller.core.errors import ClosedError
from controller.pki import Pair

ROOT = b"root's"


def candidate(name: str) -> Candidate:
    return Candidate(name.encode(), lambda: Pair(name.encode(), b"key"))


def access(*urls: str, root: bytes = ROOT) -> Access:
    return Access(urls, b"ca", root, b"key")


@dataclass
class Members:
    """What each member trusts, by its URL; one without a bundle is away."""

    bundles: dict[str, set[str]]
    asked: list[tuple[str, str]] = field(default_factory=list)
    """By URL, whose pair was shown."""
    open: int = 0
    on_ask: Callable[[], object] = lambda: None

    def connect(self, to: Access) -> "_Client":
        self.open += 1
        (url,) = to.urls
        assert to.cert_pem is not None
        return _Client(self, url, to.cert_pem)


class _Client:
    def __init__(self, members: Members, url: str, shown: bytes) -> None:
        self._members = members
        self._url = url
        self._shown = shown
        self._closed = False

    def answers(self) -> bool:
        members, bundle = self._members, self._members.bundles.get(self._url)
        members.asked.append((self._url, self._shown.decode()))
        members.on_ask()
        if self._closed:
            raise ClosedError("closed")
        return bundle is not None and (self._shown == ROOT or self._shown.decode() in bundle)

    def close(self) -> None:
        self._members.open -= not self._closed
        self._closed = True
