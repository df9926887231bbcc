"""Throw-away certificates in files, from the controller's own kind of authority."""

import datetime as dt
import os
from pathlib import Path

from controller.pki import Authority, Leaf, Pair

VALIDITY = dt.timedelta(days=365)
"""Longer than anybody keeps a cluster of this kind."""


def create(cn: str) -> Authority:
    """Make an authority that is good from now on."""
    return Authority.create(cn, validity=VALIDITY, now=dt.datetime.now(dt.UTC))


def issue(authority: Authority, leaf: Leaf) -> Pair:
    """Sign a leaf that is good from now on."""
    return authority.issue(leaf, validity=VALIDITY, now=dt.datetime.now(dt.UTC))


def write(pair: Pair, folder: Path, name: str) -> None:
    """Write `name`.crt and `name`.key, the latter for the owner's eyes only."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.crt").write_bytes(pair.cert_pem)
    write_secret(folder / f"{name}.key", pair.key_pem)


def read(folder: Path, name: str) -> Pair:
    """Read what `write` wrote."""
    return Pair((folder / f"{name}.crt").read_bytes(), (folder / f"{name}.key").read_bytes())


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
