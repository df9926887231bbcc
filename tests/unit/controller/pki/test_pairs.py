"""What others made is looked at as they made it: RSA, chains and several authorities too."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from controller.pki import Authority, Leaf
from controller.pki.pairs import look_at_bundle, look_at_pair

NOW = datetime(2026, 11, 1, tzinfo=UTC)
AUTHORITY = Authority.create("core", validity=timedelta(days=100), now=NOW)
PAIR = AUTHORITY.issue(Leaf(cn="root"), validity=timedelta(days=10), now=NOW)


def test_a_good_pair_tells_its_end_and_whose_it_is() -> None:
    looked = look_at_pair(PAIR.cert_pem + AUTHORITY.cert_pem, PAIR.key_pem, NOW)
    assert (looked.problem, looked.end, looked.cn) == ("", NOW + timedelta(days=10), "root")


def test_a_pair_by_rsa_is_one_too_and_a_password_makes_it_none() -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    how = (Encoding.PEM, PrivateFormat.PKCS8)
    assert look_at_pair(certificate, key.private_bytes(*how, NoEncryption()), NOW).problem == ""
    locked = key.private_bytes(*how, BestAvailableEncryption(b"secret"))
    assert "wants a password" in look_at_pair(certificate, locked, NOW).problem


def test_a_pair_that_is_over_and_one_that_is_none() -> None:
    later = NOW + timedelta(days=11)
    assert look_at_pair(PAIR.cert_pem, PAIR.key_pem, later).problem.startswith("ended at ")
    other = AUTHORITY.issue(Leaf(), validity=timedelta(days=10), now=NOW)
    assert (
        look_at_pair(PAIR.cert_pem, other.key_pem, NOW).problem == "has a key that is not its own"
    )
    assert look_at_pair(b"", PAIR.key_pem, NOW).problem == "is no certificate in PEM"


def test_of_several_authorities_one_that_counts_is_enough() -> None:
    old = Authority.create("old", validity=timedelta(days=1), now=NOW - timedelta(days=9))
    both = look_at_bundle(old.cert_pem + AUTHORITY.cert_pem, NOW)
    assert (both.problem, both.end) == ("", NOW + timedelta(days=100))
    assert look_at_bundle(old.cert_pem, NOW).problem.startswith("ended at ")
    assert look_at_bundle(b"\x00", NOW).problem == "is no certificate in PEM"
