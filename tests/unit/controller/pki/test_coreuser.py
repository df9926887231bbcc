"""The pair of a storage's core user: when it is replaced, and by which authorities."""

import base64
import datetime as dt
import functools
from collections.abc import Callable
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from controller.pki import CLIENT, SERVER, Authority, Leaf
from controller.pki.coreuser import (
    OTHER_AUTHORITY,
    VALIDITY,
    AuthorityLook,
    ClientAuthority,
    UserPair,
    issue,
    kept,
    needs_pair,
    read_authority,
    throwaway,
)

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
CN = "etcdstorage:name"
SECRET = "etcd-core-client-ca"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

FORMATS: Final = {
    "PKCS8": serialization.PrivateFormat.PKCS8,
    "PKCS1 or SEC1": serialization.PrivateFormat.TraditionalOpenSSL,
}


@functools.cache
def key(kind: str = "P-256") -> Key:
    match kind:
        case "RSA":
            return rsa.generate_private_key(65537, 2048)
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    signer: Key, *extensions: x509.ExtensionType, days: int = 1000, cn: str = "clients' ca"
) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + days * DAY)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer, algorithm).public_bytes(serialization.Encoding.PEM)


def key_pem(
    signer: Key,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    password: bytes | None = None,
) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    return signer.private_bytes(serialization.Encoding.PEM, form, encryption)


def secret(cert: bytes, private: bytes, names: tuple[str, str] = ("ca.pem", "ca-key.pem")) -> Any:
    values = (base64.b64encode(pem).decode() for pem in (cert, private))
    return dict(zip(names, values, strict=True))


def ca(*, is_ca: bool = True) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=is_ca, path_length=None)


def usage(*, signs: bool) -> x509.KeyUsage:
    others = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs, **others)


def authority(days: int = 1000, **changes: Any) -> ClientAuthority:
    return usable(secret(certificate(key(), ca(), days=days, **changes), key_pem(key())))


def usable(data: Any) -> ClientAuthority:
    by = read(data).by
    assert by is not None
    return by


def read(data: Any, now: dt.datetime = NOW) -> AuthorityLook:
    return read_authority(data, SECRET, now)


def said(look: AuthorityLook) -> tuple[str, str]:
    """Return reason and message of the problem that there has to be."""
    assert look.problem is not None
    return look.problem.reason, look.problem.message


def load(pair: UserPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(pair.data["tls.crt"]))


def later(by: ClientAuthority, pair: UserPair, now: dt.datetime, cn: str = CN) -> str | None:
    return needs_pair(pair.data, by, cn, now)


# The pair.


def test_a_new_pair_is_the_users_and_for_clients_only() -> None:
    by = authority()
    assert needs_pair(None, by, CN, NOW) == "there is none yet"
    pair = issue(by, CN, NOW)
    made = load(pair)
    assert made.subject.rfc4514_string() == f"CN={CN}"
    usages = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [*usages] == [CLIENT]
    made.verify_directly_issued_by(by.certificate)
    assert made.not_valid_after_utc == NOW + VALIDITY
    private = serialization.load_pem_private_key(base64.b64decode(pair.data["tls.key"]), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, ec.SECP256R1)
    assert private.public_key() == made.public_key()


def test_a_pair_that_is_good_is_kept_to_the_byte() -> None:
    by = authority()
    first = issue(by, CN, NOW)
    assert later(by, first, NOW + 100 * DAY) is None
    second = kept({**first.data, "more": "x"}, by, NOW + 100 * DAY)
    assert second.data == first.data
    assert first.again - second.again == pytest.approx((100 * DAY).total_seconds())


def test_it_is_replaced_after_two_thirds_and_a_little_and_the_look_is_right_then() -> None:
    by = authority()
    shares = set()
    for _ in range(8):
        pair = issue(by, CN, NOW)
        due = NOW + dt.timedelta(seconds=pair.again)
        assert later(by, pair, due - dt.timedelta(seconds=1)) is None
        assert later(by, pair, due) == "most of its life is over"
        shares.add(pair.again / VALIDITY.total_seconds())
    assert all(0.66 < share < 0.76 for share in shares), shares
    assert len(shares) > 1, "a fleet would be renewed at once"


def test_a_pair_ends_with_its_authority_and_is_then_kept_to_the_end() -> None:
    """Or it would be made anew ever more often, and each time for nothing."""
    by = authority(days=30)
    pair = issue(by, CN, NOW)
    assert load(pair).not_valid_after_utc == by.certificate.not_valid_after_utc
    assert later(by, pair, NOW + 30 * DAY - dt.timedelta(seconds=1)) is None
    assert pair.again == (30 * DAY).total_seconds()
    longer = authority(days=300)
    assert later(longer, pair, NOW + 29 * DAY) == "most of its life is over"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda _: None, "there is none yet"),
        (lambda _: {}, "cannot be read"),
        (lambda data: {**data, "tls.key": ""}, "cannot be read"),
        (lambda data: {**data, "tls.crt": "bm9uc2Vuc2U="}, "cannot be read"),
        (lambda data: {**data, "tls.crt": "a"}, "cannot be read"),
        (
            lambda data: {**data, "tls.key": base64.b64encode(key_pem(key())).decode()},
            "is not the key of tls.crt",
        ),
    ],
)
def test_what_is_spoilt_is_replaced(spoil: Callable[[Any], Any], says: str) -> None:
    by = authority()
    data = spoil(issue(by, CN, NOW).data)
    assert says in (needs_pair(data, by, CN, NOW) or "")


@pytest.mark.parametrize(
    "leaf",
    [
        Leaf(cn="etcdstorage:other"),
        Leaf(),
        Leaf(cn=CN, usages=(SERVER,)),
        Leaf(cn=CN, usages=(CLIENT, SERVER)),
    ],
)
def test_a_pair_that_says_something_else_is_replaced(leaf: Leaf) -> None:
    by = authority()
    pair = by.authority.issue(leaf, validity=DAY, now=NOW)
    data = secret(pair.cert_pem, pair.key_pem, ("tls.crt", "tls.key"))
    assert needs_pair(data, by, CN, NOW) == f"tls.crt is not of the client {CN}"


def test_a_certificate_without_any_usage_is_replaced() -> None:
    by = authority()
    data = secret(certificate(key(), cn=CN), key_pem(key()), ("tls.crt", "tls.key"))
    assert needs_pair(data, by, CN, NOW) == f"tls.crt is not of the client {CN}"


def test_the_pair_of_another_authority_is_replaced() -> None:
    """By its key, and not by its name alone."""
    by = authority()
    same_name = Authority.create("clients' ca", validity=DAY, now=NOW)
    other_name = Authority.create("another", validity=DAY, now=NOW)
    for other in (same_name, other_name):
        pair = other.issue(Leaf(cn=CN), validity=DAY, now=NOW)
        data = secret(pair.cert_pem, pair.key_pem, ("tls.crt", "tls.key"))
        assert needs_pair(data, by, CN, NOW) == OTHER_AUTHORITY


def test_a_renewed_authority_of_the_same_key_leaves_pairs_alone() -> None:
    pair = issue(authority(days=500), CN, NOW)
    assert later(authority(days=900), pair, NOW) is None


def test_a_pair_out_of_its_time_is_replaced() -> None:
    by = authority()
    pair = issue(by, CN, NOW)
    assert "has expired" in (later(by, pair, NOW + VALIDITY) or "")
    assert "is not valid before" in (later(by, pair, NOW - dt.timedelta(hours=26)) or "")
    assert later(by, pair, NOW - dt.timedelta(minutes=4)) is None


# The authority.


@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA"])
@pytest.mark.parametrize("form", FORMATS)
def test_an_authority_of_any_usual_kind_signs(kind: str, form: str) -> None:
    signer = key(kind)
    made = certificate(signer, ca(), usage(signs=True))
    by = usable(secret(made, key_pem(signer, FORMATS[form])))
    pair = issue(by, CN, NOW)
    load(pair).verify_directly_issued_by(by.certificate)
    assert later(by, pair, NOW) is None


def test_the_issuers_key_is_named_as_the_issuer_names_it() -> None:
    """Not everybody hashes keys in the way of RFC 5280, and OpenSSL compares."""
    odd = x509.SubjectKeyIdentifier(b"an odd identifier")
    by = usable(secret(certificate(key(), ca(), odd), key_pem(key())))
    made = load(issue(by, CN, NOW))
    named = made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert named.key_identifier == b"an odd identifier"


GOOD: Final = certificate(key(), ca())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "is missing"),
        ({}, "it has no key ca.pem, or it is empty"),
        (secret(GOOD, b" "), "it has no key ca-key.pem, or it is empty"),
        ({**secret(GOOD, key_pem(key())), "ca.pem": "a"}, "it has no key ca.pem"),
        (secret(b"nonsense", key_pem(key())), "ca.pem is no certificate in PEM"),
        (secret(GOOD, b"nonsense"), "ca-key.pem is no RSA or elliptic curve key"),
        (secret(GOOD, key_pem(key(), password=b"secret")), "without a password"),
        (secret(GOOD, key_pem(key("Ed25519"))), "ca-key.pem is no RSA or elliptic curve key"),
        (secret(GOOD, key_pem(key("RSA"))), "ca-key.pem is not the key of ca.pem"),
        (secret(certificate(key()), key_pem(key())), "do not say CA"),
        (secret(certificate(key(), ca(is_ca=False)), key_pem(key())), "do not say CA"),
        (
            secret(certificate(key(), ca(), usage(signs=False)), key_pem(key())),
            "leaves out keyCertSign",
        ),
        (
            secret(certificate(key(), ca(), x509.ExtendedKeyUsage([SERVER])), key_pem(key())),
            "leaves out clientAuth",
        ),
    ],
)
def test_an_authority_that_cannot_sign_is_named(data: Any, says: str) -> None:
    look = read(data)
    reason, message = said(look)
    assert (look.by, reason) == (None, "CoreClientCAUnusable")
    assert message.startswith(f"Secret {SECRET}")
    assert says in message
    assert look.again is None


def test_an_authority_out_of_its_time_is_named() -> None:
    data = secret(GOOD, key_pem(key()))
    for now, says, again in (
        (NOW + 1000 * DAY, "ca.pem has expired: it was good until 2028-09-28T03:04:05Z", None),
        (NOW - 2 * DAY, "ca.pem is not valid before 2026-01-01T03:04:05Z", 86400.0),
    ):
        look = read(data, now)
        assert (look.by, look.again) == (None, again)
        assert says in said(look)[1]


@pytest.mark.parametrize(("days", "before"), [(1000, 30 * DAY), (89, 30 * DAY), (29, 10 * DAY)])
def test_the_end_of_an_authority_is_announced_in_time_in_the_same_words(
    days: int, before: dt.timedelta
) -> None:
    data, end = secret(certificate(key(), ca(), days=days), key_pem(key())), NOW + days * DAY
    early = read(data)
    assert early.problem is None
    assert early.again == (end - before - NOW).total_seconds()
    at_once = read(data, NOW + dt.timedelta(seconds=early.again))
    reason, message = said(at_once)
    assert reason == "CoreClientCAExpiring"
    assert f"Secret {SECRET} ends at {end:%Y-%m-%d}T03:04:05Z" in message
    for now in (end - before / 2, end - DAY, end - dt.timedelta(milliseconds=1)):
        look = read(data, now)
        assert look.by is not None, "it goes on signing"
        assert look.problem == at_once.problem
        assert look.again == max(1, (end - now).total_seconds())


def test_the_wait_for_what_time_brings_ends_after_it_not_before() -> None:
    data, now = secret(GOOD, key_pem(key())), NOW - 2 * DAY
    reasons = []
    while (look := read(data, now)).again is not None:
        reasons.append(look.problem and look.problem.reason)
        now += dt.timedelta(seconds=look.again)
    assert reasons == ["CoreClientCAUnusable", None, "CoreClientCAExpiring"]
    assert "has expired" in said(look)[1]


def test_a_pair_to_throw_away_is_signed_for_minutes_and_of_nobody() -> None:
    by = authority()
    # Also when the authority has ended meanwhile: the core is to say what it makes of that.
    for now in (NOW, NOW + 2000 * DAY):
        made = x509.load_pem_x509_certificate(throwaway(by, now).cert_pem)
        made.verify_directly_issued_by(by.certificate)
        assert made.not_valid_after_utc == now + dt.timedelta(minutes=10)
        assert made.subject.rfc4514_string() == "CN=etcdstorage:(nobody)"


def test_two_authorities_have_two_fingerprints() -> None:
    """Of one key as well: the core may know the one by the other's name and not its end."""
    data = secret(GOOD, key_pem(key()))
    assert usable(data).fingerprint == usable({**data, "more": ""}).fingerprint
    assert usable(data).fingerprint != authority(days=900).fingerprint


def test_no_problem_and_no_representation_shows_a_key() -> None:
    pem = key_pem(key())
    by = read(secret(GOOD, pem))
    shown = repr(by) + repr(read(secret(GOOD, key_pem(key("RSA")))))
    shown += repr(issue(authority(), CN, NOW)) + repr(throwaway(authority(), NOW))
    assert pem.decode().split("\n")[1] not in shown
    assert "PRIVATE" not in shown
    assert base64.b64encode(b"-----BEGIN PRIVATE")[:16].decode() not in shown
