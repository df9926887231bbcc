"""Certificates and keys in PEM, taken only if they are whole: nothing is half read.

What was read is remembered, as every look at every storage asks for it again.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

Certificate: TypeAlias = x509.Certificate
"""What is read here."""

UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm)
"""What cryptography raises for content it can make nothing of, or not without a password."""

UNTOLD: Final = (
    ValueError,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What it raises for what a certificate may say that none of ours does."""

REMEMBERED: Final = 128
"""Entries of each kind, some kilobytes each: for bursts of looks at a few storages. For a fleet
they would be many megabytes, and without them a look takes a millisecond or two."""


class UnreadableError(ValueError):
    """Content that is not what it should be; says how, and shows nothing of it."""


def dump(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return them in PEM, in this order."""
    return b"".join(map(_dumped, certificates))


@lru_cache(maxsize=REMEMBERED)
def _dumped(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


@lru_cache(maxsize=REMEMBERED)
def read_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Read one certificate or several, and nothing beside them; raises UnreadableError."""
    if not pem.strip():
        raise UnreadableError("is missing or empty")
    try:
        found = tuple(x509.load_pem_x509_certificates(pem))
    except UNREADABLE:
        raise UnreadableError("is no certificate in PEM") from None
    # The parser passes over what it does not know, and over what is cut off at the end.
    if dump(found).split() != pem.split():
        raise UnreadableError("holds more than certificates in PEM, or part of one")
    return found


@lru_cache(maxsize=REMEMBERED)
def is_key_of(key_pem: bytes, certificate: x509.Certificate) -> bool:
    """Whether this is one private key, on the curve P-256, and that of the certificate.

    Raises UnreadableError if it is something else than such a key.
    """
    if not key_pem.strip():
        raise UnreadableError("is missing or empty")
    if key_pem.count(b"-----BEGIN") != 1:
        raise UnreadableError("is no private key in PEM, or holds more than one")
    try:
        key = load_pem_private_key(key_pem, password=None)
        public_key = certificate.public_key()
    except UNREADABLE:
        raise UnreadableError("is no private key in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UnreadableError("is no elliptic curve key on P-256, and all of ours are")
    return key.public_key() == public_key


@lru_cache(maxsize=REMEMBERED)
def is_signed_by(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    """Whether the key of `by` has signed it, under the name of `by`."""
    try:
        certificate.verify_directly_issued_by(by)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True
