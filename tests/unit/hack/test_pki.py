import datetime as dt
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification

from hack.cluster.pki import CLIENT, SERVER, Authority, Pair, write_secret


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("test-ca")


def policy(authority: Authority) -> verification.PolicyBuilder:
    store = verification.Store([x509.load_pem_x509_certificate(authority.cert_pem)])
    return verification.PolicyBuilder().store(store)


def leaf(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.cert_pem)


def names(pair: Pair, oid: x509.ObjectIdentifier) -> list[str | bytes]:
    return [attribute.value for attribute in leaf(pair).subject.get_attributes_for_oid(oid)]


def test_a_server_is_verified_by_each_of_its_names(authority: Authority) -> None:
    pair = authority.issue("server", dns=["a.test", "b.test"], ips=["10.0.0.1"], usages=(SERVER,))
    for subject in (x509.DNSName("b.test"), x509.IPAddress(ip_address("10.0.0.1"))):
        policy(authority).build_server_verifier(subject).verify(leaf(pair), [])
    with pytest.raises(verification.VerificationError):
        policy(authority).build_server_verifier(x509.DNSName("c.test")).verify(leaf(pair), [])


def test_another_authority_of_the_same_name_is_not_believed(authority: Authority) -> None:
    pair = Authority.create("test-ca").issue("server", dns=["a.test"], usages=(SERVER,))
    with pytest.raises(verification.VerificationError):
        policy(authority).build_server_verifier(x509.DNSName("a.test")).verify(leaf(pair), [])


def test_a_server_is_no_client(authority: Authority) -> None:
    server = authority.issue("x", dns=["a.test"], usages=(SERVER,))
    both = authority.issue("x", dns=["a.test"], usages=(SERVER, CLIENT))
    verifier = policy(authority).build_client_verifier()
    assert verifier.verify(leaf(both), []).subjects == [x509.DNSName("a.test")]
    with pytest.raises(verification.VerificationError):
        verifier.verify(leaf(server), [])


def test_a_client_is_user_and_groups(authority: Authority) -> None:
    pair = authority.issue("jane", ["readers", "writers"])
    assert names(pair, x509.NameOID.COMMON_NAME) == ["jane"]
    assert names(pair, x509.NameOID.ORGANIZATION_NAME) == ["readers", "writers"]


def test_a_leaf_is_valid_now_and_signs_nothing(authority: Authority) -> None:
    certificate = leaf(authority.issue("x"))
    now = dt.datetime.now(dt.UTC)
    assert certificate.not_valid_before_utc < now < certificate.not_valid_after_utc
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca


def test_pairs_are_written_and_read(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("x")
    pair.write(tmp_path / "pki", "x")
    assert Pair.read(tmp_path / "pki", "x") == pair
    assert (tmp_path / "pki" / "x.key").stat().st_mode & 0o777 == 0o600
    # The TLS library of the system takes them, and checks that they belong together.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(tmp_path / "pki" / "x.crt", tmp_path / "pki" / "x.key")


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"an older one, longer than the new")
    path.chmod(0o644)
    write_secret(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
