"""Certificates that others made, and the keys beside them: what is wrong with them, in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from controller.api.times import rfc3339
from controller.pki.pem import UNREADABLE


@dataclass(frozen=True, slots=True)
class Looked:
    """`problem` is '' if there is none, `end` when the first certificate ends."""

    problem: str = ""
    end: datetime | None = None
    cn: str = ""
    """The common name of the first certificate; etcd takes it for a user's."""


def look_at_bundle(pem: bytes, now: datetime) -> Looked:
    """Look at one or several authorities: one that counts is enough."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except UNREADABLE:
        return Looked("is no certificate in PEM")
    good = [one for one in found if not _out_of_time(one, now)]
    if not good:
        return Looked(_out_of_time(found[0], now), _first_end(found), _cn(found[0]))
    return Looked("", _first_end(good), _cn(good[0]))


def look_at_pair(cert_pem: bytes, key_pem: bytes, now: datetime) -> Looked:
    """Look at a certificate, perhaps with those that signed it behind it, and its key."""
    try:
        chain = x509.load_pem_x509_certificates(cert_pem)
        public = chain[0].public_key()
    except UNREADABLE:
        return Looked("is no certificate in PEM")
    told = Looked("", _first_end(chain[:1]), _cn(chain[0]))
    try:
        key = load_pem_private_key(key_pem, password=None)
    except UNREADABLE:
        return Looked("has a key that is none in PEM, or wants a password", told.end, told.cn)
    if key.public_key() != public:
        return Looked("has a key that is not its own", told.end, told.cn)
    return Looked(_out_of_time(chain[0], now), told.end, told.cn)


def leaf_end(cert_pem: bytes) -> datetime | None:
    """Return when a certificate ends, whoever stands behind it; None if there is none."""
    try:
        return x509.load_pem_x509_certificates(cert_pem)[0].not_valid_after_utc
    except UNREADABLE:
        return None


def _out_of_time(certificate: x509.Certificate, now: datetime) -> str:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= end:
        return f"ended at {rfc3339(end)}"
    return f"is not good before {rfc3339(begin)}" if now < begin else ""


def _first_end(certificates: Iterable[x509.Certificate]) -> datetime:
    return min(one.not_valid_after_utc for one in certificates)


def _cn(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""
