"""Certificates as others read them."""

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from controller.pki import CLIENT, SERVER, Authority, Leaf, Pair

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("test ca", validity=10 * DAY, now=NOW)


def load(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.cert_pem)


def test_a_server_is_believed_under_its_names_and_no_other(authority: Authority) -> None:
    leaf = Leaf(dns=("etcd.a.svc",), ips=("127.0.0.1",), usages=(SERVER,))
    pair = authority.issue(leaf, validity=DAY, now=NOW)

    def verify(subject: x509.DNSName, by: Authority, at: dt.datetime) -> None:
        store = verification.Store([load(by.pair)])
        builder = verification.PolicyBuilder().store(store).time(at)
        builder.build_server_verifier(subject).verify(load(pair), [])

    name = x509.DNSName("etcd.a.svc")
    verify(name, authority, NOW)
    verify(name, authority, NOW - DAY)
    stranger = Authority.create("test ca", validity=10 * DAY, now=NOW)
    for subject, by, at in (
        (x509.DNSName("etcd.b.svc"), authority, NOW),
        (name, stranger, NOW),
        (name, authority, NOW + 2 * DAY),
        (name, authority, NOW - 2 * DAY),
    ):
        with pytest.raises(verification.VerificationError):
            verify(subject, by, at)
    names = load(pair).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_a_client_has_no_name_unless_it_is_given_one(authority: Authority) -> None:
    nameless = load(authority.issue(Leaf(organizations=("us",)), validity=DAY, now=NOW))
    assert nameless.subject.get_attributes_for_oid(NameOID.COMMON_NAME) == []
    assert nameless.subject.rfc4514_string() == "O=us"
    with pytest.raises(x509.ExtensionNotFound):
        nameless.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    named = load(authority.issue(Leaf(cn="root"), validity=DAY, now=NOW))
    assert named.subject.rfc4514_string() == "CN=root"


@pytest.mark.parametrize("usages", [(CLIENT,), (SERVER,), (SERVER, CLIENT)])
def test_usages_are_those_asked_for(
    authority: Authority, usages: tuple[x509.ObjectIdentifier, ...]
) -> None:
    pair = authority.issue(Leaf(cn="a", usages=usages), validity=DAY, now=NOW)
    found = load(pair).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert tuple(found) == usages


def test_an_authority_signs_leaves_and_leaves_sign_nothing(authority: Authority) -> None:
    root = load(authority.pair)
    leaf = load(authority.issue(Leaf(cn="a"), validity=DAY, now=NOW))
    for certificate, is_authority in ((root, True), (leaf, False)):
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert (basic.critical, basic.value.ca) == (True, is_authority)
        assert (usage.critical, usage.value.key_cert_sign) == (True, is_authority)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    leaf.verify_directly_issued_by(root)


def test_one_for_some_names_alone_may_sign_who_succeeds_it() -> None:
    names = ("etcd.a.svc", "etcd")
    bound, successor = (
        Authority.create(cn, validity=10 * DAY, now=NOW, permitted_dns=names) for cn in ("a", "b")
    )
    root, next_ = load(bound.pair), load(successor.pair)
    cross = bound.cross_sign(next_, until=root.not_valid_after_utc + DAY)
    for certificate in (root, cross):
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        assert constraints.critical
        assert constraints.value.excluded_subtrees is None
        assert constraints.value.permitted_subtrees == [x509.DNSName(name) for name in names]
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert basic.path_length is None
    cross.verify_directly_issued_by(root)
    load(successor.issue(Leaf(), validity=DAY, now=NOW)).verify_directly_issued_by(cross)
    assert cross.not_valid_after_utc == root.not_valid_after_utc + DAY


def test_validity_begins_a_little_before_now(authority: Authority) -> None:
    leaf = load(authority.issue(Leaf(cn="a"), validity=DAY, now=NOW))
    assert leaf.not_valid_before_utc == NOW - dt.timedelta(hours=25)
    assert leaf.not_valid_after_utc == NOW + DAY
    assert load(authority.pair).not_valid_after_utc == NOW + 10 * DAY


def test_the_key_fits_the_certificate_and_is_of_the_promised_kind(authority: Authority) -> None:
    pair = authority.issue(Leaf(cn="a"), validity=DAY, now=NOW)
    key = serialization.load_pem_private_key(pair.key_pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert key.public_key() == load(pair).public_key()


def test_every_pair_is_a_new_one(authority: Authority) -> None:
    pairs = [authority.issue(Leaf(cn="a"), validity=DAY, now=NOW) for _ in range(3)]
    assert len({pair.key_pem for pair in pairs}) == 3
    assert len({load(pair).serial_number for pair in pairs}) == 3


def test_an_authority_read_back_from_pem_issues_as_before(authority: Authority) -> None:
    again = Authority(Pair(authority.pair.cert_pem, authority.pair.key_pem))
    leaf = load(again.issue(Leaf(cn="a"), validity=DAY, now=NOW))
    leaf.verify_directly_issued_by(load(authority.pair))


def test_openssl_takes_the_pair(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue(Leaf(cn="a"), validity=DAY, now=NOW)
    (tmp_path / "cert").write_bytes(pair.cert_pem)
    (tmp_path / "key").write_bytes(pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    context.load_verify_locations(cadata=authority.cert_pem.decode())
    assert len(context.get_ca_certs()) == 1


def test_no_representation_shows_a_key(authority: Authority) -> None:
    secret = authority.pair.key_pem.decode().split("\n")[1]
    for shown in (repr(authority), str(authority), repr(authority.pair)):
        assert secret not in shown
        assert "key_pem" not in shown


def test_only_its_own_kind_of_key_is_taken(authority: Authority) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - the odd one

    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(TypeError, match="elliptic curve"):
        Authority(Pair(authority.pair.cert_pem, other)).issue(Leaf(), validity=DAY, now=NOW)
