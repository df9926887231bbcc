"""The pairs of a storage's TLS: its gates' serving pair, and one for each client's Secret.

Nothing but the Secrets themselves says how long a pair is good. One is kept as long as it is what
is asked for; what is delivered behind its certificate is made anew at every look.
"""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509

from controller.pki.authority import CLIENT, SERVER, Leaf
from controller.pki.lifetime import NONE_YET, life, renewal, whole
from controller.pki.pem import (
    REMEMBERED,
    UNTOLD,
    UnreadableError,
    dump,
    is_key_of,
    read_certificates,
)
from controller.pki.trust import Trust
from controller.pki.trustsecret import CERT, KEY
from controller.secretdata import decoded

SecretData = Mapping[str, str]
"""As in a Secret: what the keys hold is encoded in base64."""


@dataclass(frozen=True, slots=True)
class LeafLook:
    """What a Secret should hold under `tls.crt` and `tls.key`.

    `issued` says why the pair is a new one, "" if it is the one that was there. One that `waits`
    is due and of an authority whose key was lost, and is replaced when the bundle with the new
    one has come to everybody. In `again` seconds it is worth another look.
    """

    data: SecretData = field(repr=False)
    certificate: x509.Certificate
    issued: str
    waits: bool
    again: float


def service_dns(service: str, namespace: str) -> tuple[str, ...]:
    """Return every name by which a Service is found in its cluster."""
    domains = ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")
    return tuple(f"{service}{domain}" for domain in domains)


def client_uri(storage: str, namespace: str, secret: str) -> str:
    """Return who the client with this Secret is."""
    return f"etcdstorage://{storage}/{namespace}/{secret}"


def serving_leaf(dns: tuple[str, ...], ips: tuple[str, ...]) -> Leaf:
    """Return what the serving pair says."""
    return Leaf(dns=dns, ips=ips, usages=(SERVER,))


def client_leaf(uri: str) -> Leaf:
    """Return what a client's pair says: no CN, which BoringSSL would hold against `dns`."""
    return Leaf(uris=(uri,), usages=(CLIENT,))


def addresses_in(present: SecretData | None) -> tuple[str, ...] | None:
    """Return the addresses that the pair in a Secret's data is for; None if it has no pair."""
    try:
        said = _said(_read(present))
    except UnreadableError:
        return None
    return said.ips if said else None


def leaf_pair(
    present: SecretData | None,
    trust: Trust,
    leaf: Leaf,
    validity: timedelta,
    now: datetime,
    *,
    may_switch: bool,
) -> LeafLook:
    """Return the pair in a Secret's data if it may stay, else a new one.

    `may_switch` says that the bundle of `trust` has been seen wherever the pair is shown. One of
    an authority that was lost stays until its own renewal even then: no cross helps those who
    read the bundle only when they start, and so they have that long to start again.
    """
    there = present or {}
    try:
        found = _read(there)
    except UnreadableError as error:
        return _issued(trust, leaf, validity, now, str(error))
    if unfit := _unfit(found, leaf, now):
        return _issued(trust, leaf, validity, now, unfit)
    over = now >= renewal(found)
    if _is_unlinked(found, trust, now) and not (over and may_switch):
        return _unlinked(there, found, now, waits=over)
    if outdated := _outdated(found, trust, validity, now):
        return _issued(trust, leaf, validity, now, outdated)
    return _kept(there, found, trust, now)


def _read(present: SecretData | None) -> x509.Certificate:
    if not present or not (present.get(CERT) or present.get(KEY)):
        raise UnreadableError(NONE_YET)
    try:
        certificate = read_certificates(decoded(present, CERT))[0]
    except UnreadableError as error:
        raise UnreadableError(f"{CERT} {error}") from None
    try:
        own = is_key_of(decoded(present, KEY), certificate)
    except UnreadableError as error:
        raise UnreadableError(f"{KEY} {error}") from None
    if not own:
        raise UnreadableError(f"{KEY} is not the key of {CERT}")
    return certificate


def _unfit(certificate: x509.Certificate, leaf: Leaf, now: datetime) -> str:
    """Why a certificate would not do whoever has signed it."""
    if _said(certificate) != _comparable(leaf):
        return f"{CERT} is for other names or another purpose"
    if now >= certificate.not_valid_after_utc:
        return f"{CERT} has expired"
    if now < certificate.not_valid_before_utc:
        # More than a day away: nobody takes it, whoever has signed it.
        return f"{CERT} begins in the future, as it was made by a clock that was ahead"
    return ""


def _outdated(
    certificate: x509.Certificate, trust: Trust, validity: timedelta, now: datetime
) -> str:
    """Why the signer has to issue another one."""
    signer = trust.signer.certificate
    issuer = trust.issuer_of(certificate)
    if issuer is None:
        return f"another authority has issued {CERT}"
    if issuer != signer:
        return "there is a new authority"
    if now >= renewal(certificate, signer):
        return "most of its life is over"
    ends_with_it = certificate.not_valid_after_utc >= signer.not_valid_after_utc
    if life(certificate) != whole(validity) and not (
        ends_with_it and life(certificate) < validity
    ):
        return f"{CERT} was made with another validity"
    return ""


def _is_unlinked(certificate: x509.Certificate, trust: Trust, now: datetime) -> bool:
    """Whether it is of an authority from which no cross leads to the signer."""
    linked = (trust.signer.certificate, *(former.certificate for former in trust.linked(now)))
    issuer = trust.issuer_of(certificate)
    return issuer is not None and issuer not in linked


def _issued(trust: Trust, leaf: Leaf, validity: timedelta, now: datetime, reason: str) -> LeafLook:
    signer = trust.signer
    left = whole(signer.certificate.not_valid_after_utc - now.replace(microsecond=0))
    pair = signer.authority.issue(leaf, validity=min(whole(validity), left), now=now)
    certificate = read_certificates(pair.cert_pem)[0]
    key = base64.b64encode(pair.key_pem).decode()
    return replace(_kept({KEY: key}, certificate, trust, now), issued=reason)


def _kept(
    present: SecretData, certificate: x509.Certificate, trust: Trust, now: datetime
) -> LeafLook:
    delivered = dump([certificate]) + trust.chain(now)
    data = {CERT: base64.b64encode(delivered).decode(), KEY: present[KEY]}
    again = renewal(certificate, trust.signer.certificate) - now
    return LeafLook(data, certificate, "", waits=False, again=again.total_seconds())


def _unlinked(
    present: SecretData, certificate: x509.Certificate, now: datetime, *, waits: bool
) -> LeafLook:
    # With the chain that it came with: the crosses behind it lead to its own authority.
    again = (certificate.not_valid_after_utc if waits else renewal(certificate)) - now
    data = {key: present[key] for key in (CERT, KEY)}
    return LeafLook(data, certificate, "", waits=waits, again=again.total_seconds())


def _comparable(leaf: Leaf) -> Leaf:
    ips = sorted(str(ipaddress.ip_address(ip)) for ip in leaf.ips)
    dns, uris = tuple(sorted(leaf.dns)), tuple(sorted(leaf.uris))
    return replace(leaf, dns=dns, uris=uris, ips=tuple(ips))


@lru_cache(maxsize=REMEMBERED)
def _said(certificate: x509.Certificate) -> Leaf | None:
    """Return what a certificate says, None if it says what none of ours would."""
    try:
        found = certificate.extensions
        names = found.get_extension_for_class(x509.SubjectAlternativeName).value
        usages = found.get_extension_for_class(x509.ExtendedKeyUsage).value
        named = len(certificate.subject) > 0
    except UNTOLD:
        return None
    if named:
        return None
    leaf = Leaf(
        dns=tuple(names.get_values_for_type(x509.DNSName)),
        ips=tuple(str(ip) for ip in names.get_values_for_type(x509.IPAddress)),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        usages=tuple(usages),
    )
    return _comparable(leaf)
