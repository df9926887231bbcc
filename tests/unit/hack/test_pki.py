import datetime as dt
import ssl
from pathlib import Path

from cryptography import x509

from controller.pki import Leaf
from hack.cluster import pki


def test_a_leaf_is_valid_now_and_longer_than_a_cluster_lives() -> None:
    pair = pki.issue(pki.create("ca"), Leaf("x"))
    certificate = x509.load_pem_x509_certificate(pair.cert_pem)
    now = dt.datetime.now(dt.UTC)
    assert certificate.not_valid_before_utc < now
    assert certificate.not_valid_after_utc > now + dt.timedelta(days=300)


def test_pairs_are_written_and_read(tmp_path: Path) -> None:
    pair = pki.issue(pki.create("ca"), Leaf("x"))
    pki.write(pair, tmp_path / "pki", "x")
    assert pki.read(tmp_path / "pki", "x") == pair
    assert (tmp_path / "pki" / "x.key").stat().st_mode & 0o777 == 0o600
    # The TLS library of the system takes them, and checks that they belong together.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(tmp_path / "pki" / "x.crt", tmp_path / "pki" / "x.key")


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"an older one, longer than the new")
    path.chmod(0o644)
    pki.write_secret(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
