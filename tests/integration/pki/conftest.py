"""What two sides of TLS show each other in the life of a storage, and who should believe it."""

import base64
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from controller.pki import CLIENT, SERVER, Leaf, Pair
from controller.pki.leaves import client_leaf, client_uri, leaf_pair, serving_leaf
from controller.pki.pem import dump
from controller.pki.rotation import Terms
from controller.pki.trust import Trust
from hack.dataplane import programs
from hack.dataplane.programs import Programs
from tests.support.pkiworld import HOUR, NAME, settled

HOST = "localhost"
TERMS = Terms(NAME, ("etcd-name", "etcd-name.ns.svc", HOST), 2000 * HOUR, 300 * HOUR)
SERVERS = serving_leaf(TERMS.dns, ("127.0.0.1",))
CLIENTS = client_leaf(client_uri(NAME, "ns", "secret"))


@dataclass(frozen=True)
class Case:
    """A pair that is shown to who believes the bundle of this name."""

    pair: Pair
    bundle: str
    accepted: bool


@dataclass(frozen=True)
class Cases:
    """Bundles by name, and by name what servers and what clients show."""

    bundles: Mapping[str, bytes]
    servers: Mapping[str, Case]
    clients: Mapping[str, Case]


@pytest.fixture(scope="session")
def data_plane() -> Programs:
    return programs.ensure()


@pytest.fixture(scope="session")
def cases() -> Cases:
    history = History(dt.datetime.now(dt.UTC))
    servers, clients = (dict(history.cases(leaf)) for leaf in (SERVERS, CLIENTS))
    return Cases(history.bundles(), servers, clients)


class History:
    """Three authorities, each linked to the one before; and one whose former has expired."""

    def __init__(self, now: dt.datetime) -> None:
        self.now = now
        self.a, present = settled(TERMS, now - 502 * HOUR)
        self.b, present = self._next(TERMS, now - 2 * HOUR, present, self.a)
        self.c, _ = self._next(replace(TERMS, token="again"), now, present, self.b)
        short = replace(TERMS, signing=100 * HOUR, leaf=50 * HOUR)
        self.over, present = settled(short, now - 120 * HOUR)
        self.late, _ = self._next(TERMS, now - 50 * HOUR, present, self.over)
        self.foreign, _ = settled(replace(TERMS, storage="foreign"), now)

    def _next(
        self, terms: Terms, at: dt.datetime, present: dict[str, object], before: Trust
    ) -> tuple[Trust, dict[str, object]]:
        terms = replace(terms, token=f"{terms.token} and now")
        return settled(terms, at, present, before.bundle(at))

    def bundles(self) -> dict[str, bytes]:
        a, b, c, late, over = (
            trust.signer.certificate for trust in (self.a, self.b, self.c, self.late, self.over)
        )
        return {
            "a": dump([a]),
            "b": dump([b]),
            "c": dump([c]),
            "b and a": self.b.bundle(self.now),
            "all": self.c.bundle(self.now),
            "late": dump([late]),
            "over": dump([over]),
            "late and over": dump([late, over]),
            "over and late": dump([over, late]),
        }

    def cases(self, leaf: Leaf) -> Iterator[tuple[str, Case]]:
        shown = {name: self._pair(getattr(self, name), leaf) for name in ("a", "b", "c", "late")}
        believed = {
            "a": {"a": True, "b": False, "all": True},
            "b": {"a": True, "b": True, "c": False, "b and a": True, "all": True},
            "c": {"a": True, "b": True, "c": True, "b and a": True, "all": True},
            "late": {"late": True, "late and over": True, "over and late": True, "over": False},
        }
        for name, bundles in believed.items():
            for bundle, accepted in bundles.items():
                yield f"{name} to {bundle}", Case(shown[name], bundle, accepted)
        for what, pair in self._refused(leaf):
            yield what, Case(pair, "a", accepted=False)

    def _refused(self, leaf: Leaf) -> Iterator[tuple[str, Pair]]:
        bare = self._pair(replace(self.b, formers=()), leaf)
        yield "without a cross", bare
        yield "foreign", self._pair(self.foreign, leaf)
        yield "expired", self._issue(leaf, self.now - 400 * HOUR)
        other = CLIENT if leaf.usages == (SERVER,) else SERVER
        yield "another purpose", self._issue(replace(leaf, usages=(other,)))
        yield "a name too many", self._issue(replace(leaf, dns=(*leaf.dns, "elsewhere.example")))
        if leaf.dns:
            yield "another name", self._issue(Leaf(dns=TERMS.dns[:2], usages=leaf.usages))

    def _issue(self, leaf: Leaf, at: dt.datetime | None = None) -> Pair:
        return self.a.signer.authority.issue(leaf, validity=TERMS.leaf, now=at or self.now)

    def _pair(self, trust: Trust, leaf: Leaf) -> Pair:
        found = leaf_pair(None, trust, leaf, TERMS.leaf, self.now, may_switch=False)
        return Pair(*(base64.b64decode(found.data[key]) for key in ("tls.crt", "tls.key")))
