"""A storage's clients, who read what they were given anew: always, in part, or as late as can be.

Their folders are filled as the kubelet fills them, bundle and pair each in its own time.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

from cryptography import x509

from controller.consumers.consumer import BUNDLE, CERT, KEY

MARGIN = timedelta(seconds=2)
"""How long before the end something kept is read anew: a handshake takes its time."""

_TRIES = 100


class Habit(Enum):
    """What a client goes on with."""

    RELOADS = "reloads both"
    KEEPS_BUNDLE = "keeps the bundle"
    """To the end of its first authority, as Go's etcd client, which reads the pair each time."""
    KEEPS_BOTH = "keeps both"
    """The pair to its end, and the bundle as long as the pair."""


@dataclass
class Client:
    """For one thread at a time."""

    folder: Path
    habit: Habit
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _bundle: "_Kept" = field(init=False, repr=False)
    _pair: "_Kept" = field(init=False, repr=False)
    _context: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._bundle = _Kept(bundle_folder(self.folder), (BUNDLE,), BUNDLE)
        self._pair = _Kept(pair_folder(self.folder), (CERT, KEY), CERT)

    def context(self) -> ssl.SSLContext:
        """Return what the next connection is made with."""
        now = self.now()
        pair = self._pair.refresh(now, keeps=self.habit is Habit.KEEPS_BOTH)
        if self.habit is Habit.KEEPS_BOTH:
            bundle = pair and self._bundle.refresh(now, keeps=False)
        else:
            bundle = self._bundle.refresh(now, keeps=self.habit is Habit.KEEPS_BUNDLE)
        if self._context is None or pair or bundle:
            self._context = self._made()
        return self._context

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["h2"])
        context.load_verify_locations(cadata=self._bundle.files[BUNDLE].decode())
        own = self.folder / f"{self.habit.name.lower()}.pem"
        own.write_bytes(self._pair.files[CERT] + self._pair.files[KEY])
        context.load_cert_chain(own)
        own.unlink()
        return context


def bundle_folder(folder: Path) -> Path:
    return folder / "bundle"


def pair_folder(folder: Path) -> Path:
    return folder / "pair"


@dataclass
class _Kept:
    """Files of one volume, as they were when they were read."""

    folder: Path
    names: tuple[str, ...]
    first: str
    """The file whose first certificate says how long they are good."""
    files: dict[str, bytes] = field(default_factory=dict)
    _version: str = ""
    _end: datetime | None = None

    def refresh(self, now: datetime, *, keeps: bool) -> bool:
        """Read them if they changed, or, of one who `keeps` them, at their end.

        Returns whether they are others than before.
        """
        if keeps and self._end and now < self._end - MARGIN:
            return False
        for _ in range(_TRIES):
            version = str((self.folder / "..data").readlink())
            if version == self._version:
                return False
            try:
                files = {name: (self.folder / version / name).read_bytes() for name in self.names}
            except FileNotFoundError:
                continue  # Another version came meanwhile.
            self.files, self._version = files, version
            self._end = x509.load_pem_x509_certificates(files[self.first])[0].not_valid_after_utc
            return True
        raise FileNotFoundError(f"{self.folder} has changed {_TRIES} times at once")
