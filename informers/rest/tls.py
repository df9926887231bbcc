"""The files that TLS connections depend on: the server's CA and our own pair.

urllib3 would read them anew for each connection, so that a file that is half written or empty
for a moment fails a request. Here they become a context once, and again when they have changed
and are whole.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kubernetes.client import Configuration
from urllib3.util.ssl_ import create_urllib3_context


@dataclass(frozen=True, slots=True)
class Tls:
    """What new connections are made with, and the files' content that it comes from."""

    context: ssl.SSLContext
    content: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def read(cls, configuration: Configuration) -> Self:
        """Raises OSError or ValueError if a file is missing or not what it should be."""
        # The content first: should a file change meanwhile, the next look sees a difference.
        content = _content(configuration)
        return cls(_context(configuration), content)

    def reread(self, configuration: Configuration) -> "Tls":
        """This one if the files are the same, else a new one; raises as `read` does."""
        return self if _content(configuration) == self.content else Tls.read(configuration)


class _Socket(ssl.SSLSocket):
    """Closes itself if the server has cut the connection before the handshake could begin.

    `wrap_socket` finds that out by this call. Before Python 3.13 it then forgets the socket, which
    stays open for as long as anybody keeps the exception.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ConnectionError:
            self.close()
            raise


def files(configuration: Configuration) -> tuple[str | None, ...]:
    """The files that count: CA, certificate and key, each None if there is none."""
    return configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file


def _content(configuration: Configuration) -> tuple[bytes, ...]:
    return tuple(Path(path).read_bytes() if path else b"" for path in files(configuration))


def _context(configuration: Configuration) -> ssl.SSLContext:
    if configuration.verify_ssl:
        context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
        if configuration.ssl_ca_cert:
            context.load_verify_locations(cafile=configuration.ssl_ca_cert)
        else:
            context.load_default_certs()
    else:
        context = create_urllib3_context(cert_reqs=ssl.CERT_NONE)
    context.sslsocket_class = _Socket
    if configuration.cert_file:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(configuration.cert_file, configuration.key_file, password="")
    return context
