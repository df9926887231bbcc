"""What a storage's certificates live through.

A controller may stop anywhere, its clock is not always right, and whoever is given something
takes it when they like.
"""

import base64
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography import x509

from controller.pki.leaves import LeafLook, client_leaf, client_uri, leaf_pair, serving_leaf
from controller.pki.pem import is_signed_by, read_certificates
from controller.pki.rotation import Terms, TrustLook, look
from controller.pki.trust import Trust

HOUR = dt.timedelta(hours=1)
NAME = "name"
DNS = "etcd-name.ns.svc"
CLIENTS = ("one", "two")


@dataclass(frozen=True)
class Shown:
    """A leaf with its chain, and its key, as some Secret held it."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)
    era: int
    forced: bool
    """Whether it had to be issued although the peers' bundles might not be ready for it."""

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        return read_certificates(self.cert_pem)


@dataclass(frozen=True)
class Bundle:
    """What some object held as bundle."""

    pem: bytes
    era: int

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        return read_certificates(self.pem)

    @property
    def signer(self) -> x509.Certificate:
        return self.certificates[0]


@dataclass
class Side:
    """One side of TLS: what was ever delivered to it, and what it has loaded of that."""

    pairs: list[Shown] = field(default_factory=list)
    bundles: list[Bundle] = field(default_factory=list)
    pair: Shown | None = None
    bundle: Bundle | None = None

    def load(self, what: str) -> None:
        if what != "pair" and self.bundles:
            self.bundle = self.bundles[-1]
        if what != "bundle" and self.pairs:
            self.pair = self.pairs[-1]


@dataclass
class World:
    """All of it; `now` is the true time, `ahead` by how much the controller's clock is wrong.

    The controller sees what the ConfigMaps hold and what the gates have loaded, and not what the
    clients have. When an authority was lost they keep what they promised: they are started again
    as soon as every ConfigMap has the new bundle. Otherwise they load what they like when they
    like.
    """

    now: dt.datetime
    terms: Terms = field(
        default_factory=lambda: Terms(NAME, (DNS, "etcd-name"), 2000 * HOUR, 300 * HOUR)
    )
    ahead: dt.timedelta = dt.timedelta(0)
    secret: dict[str, Any] | None = None
    backups: list[dict[str, Any]] = field(default_factory=list)
    server: Side = field(default_factory=Side)
    clients: dict[str, Side] = field(default_factory=lambda: {name: Side() for name in CLIENTS})
    era: int = 0
    """How often the way from those before to the present authority was cut."""
    longest: dt.timedelta | None = None
    """The longest life of a leaf, as it stands beside what is served."""
    everywhere: x509.Certificate | None = None
    """The authority whose bundle was seen in every ConfigMap; a controller that stops forgets."""
    restored: int = 0
    """That of these that an old Secret began, which no bundle before was made for."""

    @property
    def clock(self) -> dt.datetime:
        return self.now + self.ahead

    @property
    def served(self) -> bytes:
        return self.server.bundles[-1].pem if self.server.bundles else b""

    def look(self) -> TrustLook:
        return look(self.secret, self.served, self.terms, self.clock, self.longest)

    def reconcile(self, writes: int = 99, order: Iterable[str] = CLIENTS) -> TrustLook:
        """Do what the controller does, and stop after so many writes."""
        found = self.look()
        for left, _ in zip(range(writes, 0, -1), self._writes(found, order), strict=False):
            assert left
        return found

    def _writes(self, found: TrustLook, order: Iterable[str]) -> Iterator[None]:
        """Write one object for each step."""
        if found.trust is None or found.data is None or found.annotations is None:
            return
        wanted = secret(found.data, found.annotations, self.secret)
        if found.made and self.secret is None:
            self.era += 1
        if wanted != self.secret:
            self.secret = wanted
            self.backups.append(wanted)
            yield
        signer = found.trust.signer.certificate
        everywhere, self.everywhere = self.everywhere, None
        taken = self.server.bundle is not None and signer in self.server.bundle.certificates
        bundle = Bundle(found.trust.bundle(self.clock), self.era)
        yield from self._serve(found.trust, bundle, may_switch=everywhere == signer)
        for name in order:
            side = self.clients[name]
            if bundle.pem not in [each.pem for each in side.bundles[-1:]]:
                side.bundles.append(bundle)
                yield
            leaf = client_leaf(client_uri(NAME, "ns", name))
            pair = self._pair(side, found.trust, leaf, may_switch=taken)
            if pair not in side.pairs[-1:]:
                side.pairs.append(pair)
                yield
        self.everywhere = signer
        for side in self.clients.values():
            if side.bundle is None or side.bundle.era < self.era:
                side.load("bundle")

    def _serve(self, trust: Trust, bundle: Bundle, *, may_switch: bool) -> Iterator[None]:
        """Pair and bundle are in one Secret."""
        leaf = serving_leaf(self.terms.dns, ("10.0.0.1",))
        pair = self._pair(self.server, trust, leaf, may_switch=may_switch)
        served = self.server.pairs[-1:], self.served, self.longest
        if served != ([pair], bundle.pem, trust.longest):
            self.server.pairs.append(pair)
            self.server.bundles.append(bundle)
            self.longest = trust.longest
            yield

    def _pair(self, side: Side, trust: Trust, leaf: Any, *, may_switch: bool) -> Shown:
        last = side.pairs[-1] if side.pairs else None
        data = None if last is None else encoded(last)
        found = leaf_pair(data, trust, leaf, self.terms.leaf, self.clock, may_switch=may_switch)
        if last is not None and not found.issued:
            return shown(found, last.era, forced=last.forced)
        over = last is None or self.clock >= last.certificates[0].not_valid_after_utc
        forced = not may_switch and (over or (last is not None and last.forced))
        return shown(found, self.era, forced=forced)

    def meetings(self, *, loaded: bool) -> Iterator[tuple[Shown, Bundle, str]]:
        """Yield who shows what to whom, and as what: of what was loaded, or of all delivered.

        What a side may show next counts as loaded.
        """
        for side in self.clients.values():
            for prover, verifier, what in ((self.server, side, "server"), (side, self.server, "")):
                pairs = [prover.pair, *prover.pairs[-1:]] if loaded else prover.pairs
                bundles = [verifier.bundle] if loaded else verifier.bundles
                for pair in {p.cert_pem: p for p in pairs if p is not None}.values():
                    for bundle in {b.pem: b for b in bundles if b is not None}.values():
                        if self._promised(pair, bundle, loaded=loaded):
                            yield pair, bundle, what

    def _promised(self, pair: Shown, bundle: Bundle, *, loaded: bool) -> bool:
        in_time = pair.certificates[0].not_valid_after_utc > self.now
        in_time = in_time and bundle.signer.not_valid_after_utc > self.now
        waited = loaded and not pair.forced and bundle.era >= self.restored
        return in_time and (pair.era <= bundle.era or waited)


def secret(
    data: Mapping[str, str],
    annotations: Mapping[str, str],
    present: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the Secret after it was written: what is not said anew stays as it is."""
    old = present or {"metadata": {"annotations": {}}, "data": {}}
    kept = {**old["metadata"]["annotations"], **annotations}
    return {"metadata": {"annotations": kept}, "data": {**old["data"], **data}}


def encoded(pair: Shown) -> dict[str, str]:
    values = {"tls.crt": pair.cert_pem, "tls.key": pair.key_pem}
    return {key: base64.b64encode(value).decode() for key, value in values.items()}


def shown(found: LeafLook, era: int, *, forced: bool = False) -> Shown:
    cert_pem, key_pem = (base64.b64decode(found.data[key]) for key in ("tls.crt", "tls.key"))
    return Shown(cert_pem, key_pem, era, forced)


def believed(pair: Shown, bundle: Bundle, now: dt.datetime) -> bool:
    """Whether a way leads from the leaf to the bundle, as verifiers look for one."""
    leaf, *crosses = pair.certificates
    roots = [root for root in read_certificates(bundle.pem) if _counts(root, now)]
    reached, news = {leaf}, {leaf}
    while news:
        if any(is_signed_by(each, root) for each in news for root in roots):
            return _counts(leaf, now)
        issuers = {by for by in crosses for each in news if is_signed_by(each, by)}
        news = {by for by in issuers if _counts(by, now)} - reached
        reached |= news
    return False


def _counts(certificate: x509.Certificate, now: dt.datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def advance(share: float, number: int) -> dt.timedelta:
    """Mostly about a renewal or two; seldom over all that lives."""
    return (2500 if number % 10 == 0 else 250) * share * HOUR


STEPS = ("reconcile", "advance", "clock", "rotate", "load", "lose", "restore", "terms")


def step(world: World, what: str, share: float, number: int) -> None:
    """Let one thing happen; `share` of 0 to 1 and `number` say how."""
    sides = (world.server, *world.clients.values())
    match what:
        case "reconcile":
            order = CLIENTS if number % 2 else tuple(reversed(CLIENTS))
            world.reconcile(number % 8 or 99, order)
        case "advance":
            world.now += advance(share, number)
        case "clock":
            world.ahead = (2 * share - 1) * dt.timedelta(days=1)
        case "rotate":
            world.terms = replace(world.terms, token=str(number))
        case "load":
            sides[number % len(sides)].load(("pair", "bundle", "both")[number % 3])
        case "lose":
            world.secret = None
        case "restore" if not world.restored:
            # A second one may bring back a Secret by which who signed since the first is over.
            backup = world.backups[-1 - number % len(world.backups)] if world.backups else None
            # What an old one does not know cannot be linked to what it will sign.
            if backup != world.secret:
                world.era += 1
                world.restored = world.era
            world.secret = backup
        case "terms":
            signing = (2000, 500, 4000)[number % 3]
            world.terms = replace(
                world.terms, signing=signing * HOUR, leaf=(30 + 470 * share) * HOUR
            )


def settled(
    terms: Terms, now: dt.datetime, present: dict[str, Any] | None = None, bundle: bytes = b""
) -> tuple[Trust, dict[str, Any]]:
    """Return the trust that a look makes of what is there, and its Secret then."""
    found = look(present, bundle, terms, now)
    assert found.trust is not None
    return found.trust, secret(found.data or {}, found.annotations or {}, present)


def rotated(terms: Terms, now: dt.datetime, *spans: dt.timedelta) -> tuple[Trust, dict[str, Any]]:
    """Return what is there after rotations, so long one after the other; the last is `now`."""
    at = now - sum(spans, dt.timedelta(0))
    trust, present = settled(terms, at)
    for number, span in enumerate(spans):
        at += span
        terms = replace(terms, token=f"{terms.token}{number}")
        trust, present = settled(terms, at, present, trust.bundle(at))
    return trust, present
