"""Files that become a context, and what does not replace one that is good."""

import ssl
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from informers.rest.tls import Tls
from tests.support.tls import authority, pair, write_pair


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """A CA file and the files of a pair."""
    ca = authority()
    made = Configuration()
    made.ssl_ca_cert = str(tmp_path / "ca.crt")
    Path(made.ssl_ca_cert).write_bytes(ca.cert_pem)
    made.cert_file, made.key_file = map(str, write_pair(tmp_path, pair(ca, "me")))
    return made


def test_server_and_name_are_checked(configuration: Configuration) -> None:
    context = Tls.read(configuration).context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_nothing_is_checked_if_that_is_wanted(configuration: Configuration) -> None:
    configuration.verify_ssl = False
    context = Tls.read(configuration).context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_without_a_ca_the_systems_are_trusted() -> None:
    ours = Tls.read(Configuration()).context
    assert ours.get_ca_certs() == ssl.create_default_context().get_ca_certs()
    assert ours.verify_mode == ssl.CERT_REQUIRED


def test_the_same_content_is_no_change(configuration: Configuration) -> None:
    tls = Tls.read(configuration)
    path = Path(str(configuration.ssl_ca_cert))
    path.write_bytes(path.read_bytes())
    assert tls.reread(configuration) is tls


def test_another_ca_is_one(configuration: Configuration) -> None:
    tls = Tls.read(configuration)
    new = authority("new ca")
    Path(str(configuration.ssl_ca_cert)).write_bytes(new.cert_pem)
    (trusted,) = tls.reread(configuration).context.get_ca_certs()
    assert "new ca" in str(trusted["subject"])


BAD = [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nhalf of", None]


@pytest.mark.parametrize("name", ["ssl_ca_cert", "cert_file", "key_file"])
@pytest.mark.parametrize("content", BAD)
def test_files_that_are_no_good_are_not_taken(
    configuration: Configuration, name: str, content: bytes | None
) -> None:
    tls = Tls.read(configuration)
    path = Path(getattr(configuration, name))
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    for read in (tls.reread, Tls.read):
        with pytest.raises(OSError):  # noqa: PT011 - whatever the system or OpenSSL says
            read(configuration)


def test_a_pair_counts_once_both_halves_are_there(
    configuration: Configuration, tmp_path: Path
) -> None:
    tls = Tls.read(configuration)
    new = pair(authority(), "new")
    Path(str(configuration.cert_file)).write_bytes(new.cert_pem)
    with pytest.raises(OSError, match="KEY_VALUES_MISMATCH"):
        tls.reread(configuration)
    Path(str(configuration.key_file)).write_bytes(new.key_pem)
    assert tls.reread(configuration) is not tls


def test_the_key_is_never_shown(configuration: Configuration) -> None:
    assert "PRIVATE" not in repr(Tls.read(configuration))
