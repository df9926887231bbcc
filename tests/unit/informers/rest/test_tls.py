"""Files that become a context, and what does not replace one that is good."""

import os
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from informers.rest.tls import Tls
from tests.support.eventually import eventually
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


@pytest.fixture
def reset() -> Iterator[socket.socket]:
    """The near end of a connection that the far end has cut, as the death of a server does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
    with near:
        eventually(lambda: not has_peer(near))
        yield near


def has_peer(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def test_a_connection_lost_before_the_handshake_is_closed(reset: socket.socket) -> None:
    context = Tls.read(Configuration()).context
    descriptor = reset.fileno()
    with pytest.raises(ConnectionResetError) as caught:
        context.wrap_socket(reset, server_hostname="127.0.0.1")
    # Looked at while the exception is kept, and with it whatever its frames hold.
    assert caught.value.__traceback__
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
