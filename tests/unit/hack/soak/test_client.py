"""What each habit goes on with, read from the handshakes that it makes in memory."""

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.consumers.consumer import BUNDLE, CERT, KEY
from controller.pki import SERVER, Authority, Leaf
from hack.dataplane import projected
from hack.soak.client import MARGIN, Client, Habit, bundle_folder, pair_folder
from tests.support import handshake

MADE = dt.datetime.now(dt.UTC).replace(microsecond=0)
LIFE = dt.timedelta(hours=1)


@dataclass
class Scene:
    """A client by a clock that stands still, what it is given, and whom it meets."""

    folder: Path
    client: Client
    now: dt.datetime = MADE

    def give(self, authority: Authority, bundle: bytes, hours: int = 1) -> None:
        pair = authority.issue(Leaf(uris=("a:b",)), validity=hours * LIFE, now=self.now)
        projected.write(pair_folder(self.folder), {CERT: pair.cert_pem, KEY: pair.key_pem})
        projected.write(bundle_folder(self.folder), {BUNDLE: bundle})

    def meets(self, server: Authority, clients: bytes) -> bool:
        leaf = Leaf(dns=("gate",), usages=(SERVER,))
        pair = server.issue(leaf, validity=LIFE, now=MADE)
        there = handshake.serving(self.folder, pair.cert_pem, pair.key_pem, clients)
        try:
            handshake.shake_hands(there, self.client.context(), "gate")
        except ssl.SSLError:
            return False
        return True


@pytest.fixture
def authorities() -> tuple[Authority, Authority]:
    first, second = (
        Authority.create(name, validity=hours * LIFE, now=MADE)
        for name, hours in (("first", 2), ("second", 9))
    )
    return first, second


def scene(folder: Path, habit: Habit) -> Scene:
    made = Scene(folder, Client(folder, habit))
    made.client.now = lambda: made.now
    return made


def test_who_reloads_has_what_is_there(
    tmp_path: Path, authorities: tuple[Authority, Authority]
) -> None:
    first, second = authorities
    it = scene(tmp_path, Habit.RELOADS)
    it.give(first, first.cert_pem)
    assert it.meets(first, first.cert_pem)
    context = it.client.context()
    assert it.client.context() is context
    it.give(second, second.cert_pem)
    assert it.meets(second, second.cert_pem)
    assert not it.meets(first, second.cert_pem)


def test_who_keeps_the_bundle_reads_the_pair_and_the_bundle_at_its_end(
    tmp_path: Path, authorities: tuple[Authority, Authority]
) -> None:
    first, second = authorities
    it = scene(tmp_path, Habit.KEEPS_BUNDLE)
    it.give(first, first.cert_pem)
    assert it.meets(first, first.cert_pem)
    it.give(second, second.cert_pem, hours=8)
    it.now += 2 * LIFE - MARGIN - dt.timedelta(seconds=1)
    assert it.meets(first, second.cert_pem)
    assert not it.meets(second, second.cert_pem)
    it.now += dt.timedelta(seconds=1)
    assert it.meets(second, second.cert_pem)


def test_who_keeps_both_reads_both_at_the_end_of_the_pair(
    tmp_path: Path, authorities: tuple[Authority, Authority]
) -> None:
    first, second = authorities
    it = scene(tmp_path, Habit.KEEPS_BOTH)
    it.give(first, first.cert_pem)
    assert it.meets(first, first.cert_pem)
    it.give(second, second.cert_pem)
    it.now += LIFE - MARGIN - dt.timedelta(seconds=1)
    assert it.meets(first, first.cert_pem)
    it.now += dt.timedelta(seconds=1)
    assert it.meets(second, second.cert_pem)
    assert [path.name for path in tmp_path.glob("*.pem")] == []
