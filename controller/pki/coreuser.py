"""The pair by which a storage's gate is known to the core etcd, from its making to its renewal.

The certificate's CN is the name of the storage's etcd user, and the operator's authority for
clients of the core signs it. Nothing but the Secrets themselves says how long a pair is good: it
is kept as long as `needs_pair` has nothing against it.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.api.conditions import Problem
from controller.api.times import rfc3339
from controller.pki.authority import CLIENT, Authority, Leaf, Pair, load_signer
from controller.pki.lifetime import renewal
from controller.secretdata import decoded

AUTHORITY_CERT: Final = "ca.pem"
AUTHORITY_KEY: Final = "ca-key.pem"
CERT: Final = "tls.crt"
KEY: Final = "tls.key"

VALIDITY: Final = timedelta(days=365)
"""Of a new pair, unless the authority ends before."""

UNUSABLE: Final = "CoreClientCAUnusable"
EXPIRING: Final = "CoreClientCAExpiring"

OTHER_AUTHORITY: Final = f"another authority has issued {CERT}"
"""Why a pair has to be replaced that may well be good until it is."""

SecretData = Mapping[str, str]
"""As in a Secret: what the keys hold is encoded in base64."""

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm)
"""What cryptography raises for content it can make nothing of, or not without a password."""

_THROWAWAY: Final = timedelta(minutes=10)
_NOBODY: Final = "etcdstorage:(nobody)"
"""The common name of a throw-away pair: no storage is called so."""

_WARNED_BEFORE: Final = timedelta(days=30)
"""The end of the authority is announced so long before it, or when a third of its life is left if
that is later: time to have each member of the core restarted."""


@dataclass(frozen=True, slots=True)
class ClientAuthority:
    """An authority that has been found fit to sign."""

    authority: Authority
    certificate: x509.Certificate

    @property
    def fingerprint(self) -> bytes:
        """The certificate's, which no other has."""
        return self.certificate.fingerprint(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class AuthorityLook:
    """The operator's authority, None while it cannot sign.

    `problem` says why it cannot, or that its end is near; in `again` seconds something of this is
    another by time alone.
    """

    by: ClientAuthority | None
    problem: Problem | None = None
    again: float | None = None


@dataclass(frozen=True, slots=True)
class UserPair:
    """What the Secret of a storage should hold; in `again` seconds it is worth another look."""

    data: SecretData = field(repr=False)
    again: float


def read_authority(data: SecretData | None, secret_name: str, now: datetime) -> AuthorityLook:
    """Read the operator's authority from its Secret's data, None if there is no such Secret."""
    if data is None:
        return _unusable(
            f"Secret {secret_name} is missing: create it in the controller's namespace with"
            f" {AUTHORITY_CERT} and {AUTHORITY_KEY}, an authority that the core etcd trusts"
        )
    pair = Pair(decoded(data, AUTHORITY_CERT), decoded(data, AUTHORITY_KEY))
    found = _examined(pair.cert_pem, pair.key_pem)
    if isinstance(found, str):
        return _unusable(f"Secret {secret_name}: {found}")
    if trouble := _out_of_time(found, now):
        begin = found.not_valid_before_utc
        return _unusable(
            f"Secret {secret_name}: {AUTHORITY_CERT} {trouble}",
            again=_seconds(begin - now) if now < begin else None,
        )
    by = ClientAuthority(Authority(pair), found)
    end, warned = found.not_valid_after_utc, _warned_from(found)
    if now < warned:
        return AuthorityLook(by, again=_seconds(warned - now))
    return AuthorityLook(by, _expiring(secret_name, end), _seconds(end - now))


def throwaway(by: ClientAuthority, now: datetime) -> Pair:
    """Sign a pair that nobody can do anything with but show that it is signed."""
    # It may outlive the authority by minutes: who checks it checks both.
    return by.authority.issue(Leaf(cn=_NOBODY, usages=(CLIENT,)), validity=_THROWAWAY, now=now)


def kept(data: SecretData, by: ClientAuthority, now: datetime) -> UserPair:
    """Return the pair in a Secret's data, which has no need of another."""
    return UserPair({CERT: data[CERT], KEY: data[KEY]}, _again(_load(data), by, now))


def issue(by: ClientAuthority, cn: str, now: datetime) -> UserPair:
    """Make a new pair for `cn`, which ends with its authority at the latest."""
    validity = min(VALIDITY, by.certificate.not_valid_after_utc - now)
    pair = by.authority.issue(Leaf(cn=cn, usages=(CLIENT,)), validity=validity, now=now)
    fresh = {
        name: base64.b64encode(pem).decode()
        for name, pem in ((CERT, pair.cert_pem), (KEY, pair.key_pem))
    }
    return UserPair(fresh, _again(_load(fresh), by, now))


def needs_pair(data: SecretData | None, by: ClientAuthority, cn: str, now: datetime) -> str | None:
    """Say why the pair in a Secret's data has to be replaced; None if it may stay."""
    if data is None:
        return "there is none yet"
    try:
        certificate = _load(data)
        key = serialization.load_pem_private_key(decoded(data, KEY), password=None)
        reason = _unfit(certificate, by, cn)
        own = key.public_key() == certificate.public_key()
    except _UNREADABLE:
        return f"{CERT} or {KEY} cannot be read"
    if not own:
        return f"{KEY} is not the key of {CERT}"
    if trouble := _out_of_time(certificate, now):
        return f"{CERT} {trouble}"
    over = now >= renewal(certificate, by.certificate)
    return reason or ("most of its life is over" if over else None)


def is_signed_by(data: SecretData | None, by: ClientAuthority) -> bool:
    """Whether the certificate in a Secret's data is of this authority, be it good or not."""
    try:
        return data is not None and _is_signed_by(_load(data), by)
    except _UNREADABLE:
        return False


def described(data: SecretData) -> dict[str, str]:
    """Return what a status tells of the certificate in a Secret's data; {} if it is none.

    `serial` is hexadecimal, and `signedBy` the identifier of the authority's key as OpenSSL prints
    it: unlike its name, no other authority has it.
    """
    try:
        certificate = _load(data)
        named = _extension(certificate.extensions, x509.AuthorityKeyIdentifier)
    except _UNREADABLE:
        return {}
    told = {
        "serial": f"{certificate.serial_number:x}",
        "notAfter": rfc3339(certificate.not_valid_after_utc),
    }
    if named and named.key_identifier:
        told["signedBy"] = named.key_identifier.hex(":").upper()
    return told


def _unfit(certificate: x509.Certificate, by: ClientAuthority, cn: str) -> str | None:
    """Why a certificate would not do at any time."""
    named = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    purposes = _extension(certificate.extensions, x509.ExtendedKeyUsage)
    if [name.value for name in named] != [cn] or purposes is None or [*purposes] != [CLIENT]:
        return f"{CERT} is not of the client {cn}"
    return None if _is_signed_by(certificate, by) else OTHER_AUTHORITY


def _is_signed_by(certificate: x509.Certificate, by: ClientAuthority) -> bool:
    try:
        certificate.verify_directly_issued_by(by.certificate)
    except (*_UNREADABLE, InvalidSignature):
        return False
    return True


@lru_cache(maxsize=4)
def _examined(cert_pem: bytes, key_pem: bytes) -> x509.Certificate | str:
    """Return the certificate of an authority that can sign, or what keeps it from that.

    Remembered, since every look at every storage asks, and reading an RSA key takes milliseconds.
    """
    for name, pem in ((AUTHORITY_CERT, cert_pem), (AUTHORITY_KEY, key_pem)):
        if not pem.strip():
            return f"it has no key {name}, or it is empty"
    try:
        certificate = x509.load_pem_x509_certificate(cert_pem)
        trouble = _not_an_authority(certificate.extensions)
    except _UNREADABLE:
        return f"{AUTHORITY_CERT} is no certificate in PEM"
    try:
        own = load_signer(key_pem).public_key() == certificate.public_key()
    except _UNREADABLE:
        kind = "RSA or elliptic curve key in PEM without a password"
        return f"{AUTHORITY_KEY} is no {kind}"
    if not own:
        return f"{AUTHORITY_KEY} is not the key of {AUTHORITY_CERT}"
    return trouble or certificate


def _not_an_authority(extensions: x509.Extensions) -> str:
    """What RFC 5280 asks of an authority for clients, and is not there."""
    constraints = _extension(extensions, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return f"{AUTHORITY_CERT} is no authority: its basicConstraints do not say CA"
    usage = _extension(extensions, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return f"{AUTHORITY_CERT} may not sign: its keyUsage leaves out keyCertSign"
    purposes = _extension(extensions, x509.ExtendedKeyUsage)
    any_purpose = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
    if purposes is not None and CLIENT not in purposes and any_purpose not in purposes:
        return f"{AUTHORITY_CERT} is not for clients: its extendedKeyUsage leaves out clientAuth"
    return ""


def _extension(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _out_of_time(certificate: x509.Certificate, now: datetime) -> str:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= end:
        return f"has expired: it was good until {rfc3339(end)}"
    if now < begin:
        return f"is not valid before {rfc3339(begin)}"
    return ""


def _unusable(message: str, again: float | None = None) -> AuthorityLook:
    return AuthorityLook(None, Problem(UNUSABLE, message), again)


def _expiring(secret_name: str, end: datetime) -> Problem:
    return Problem(
        EXPIRING,
        f"the authority in Secret {secret_name} ends at {rfc3339(end)}, and every"
        " storage's pair for the core with it: let all members of the core trust another one as"
        f" well (--trusted-ca-file), then put that into the Secret, under {AUTHORITY_CERT} and"
        f" {AUTHORITY_KEY}",
    )


def _warned_from(certificate: x509.Certificate) -> datetime:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return end - min((end - begin) / 3, _WARNED_BEFORE)


def _seconds(wait: timedelta) -> float:
    return max(1.0, wait.total_seconds())


def _again(certificate: x509.Certificate, by: ClientAuthority, now: datetime) -> float:
    return _seconds(renewal(certificate, by.certificate) - now)


def _load(data: SecretData) -> x509.Certificate:
    return x509.load_pem_x509_certificate(decoded(data, CERT))
