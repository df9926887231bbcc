"""Authorities, servers and clients with certificates, for TLS on loopback."""

import datetime as dt
import socket
import ssl
from pathlib import Path
from typing import Any

from controller.pki import SERVER, Authority, Leaf, Pair

_DAY = dt.timedelta(days=1)


def authority(cn: str = "test ca") -> Authority:
    return Authority.create(cn, validity=_DAY, now=dt.datetime.now(dt.UTC))


def pair(issuer: Authority, cn: str | None = None, *dns: str) -> Pair:
    """Issue a certificate that is good for a client, and for a server on loopback."""
    leaf = Leaf(cn=cn, dns=dns, ips=("127.0.0.1",), usages=(SERVER, *Leaf().usages))
    return issuer.issue(leaf, validity=_DAY, now=dt.datetime.now(dt.UTC))


def write_pair(folder: Path, made: Pair) -> tuple[Path, Path]:
    """Write certificate and key, over what is there, and return where."""
    paths = folder / "tls.crt", folder / "tls.key"
    for path, content in zip(paths, (made.cert_pem, made.key_pem), strict=True):
        path.write_bytes(content)
    return paths


def server_context(
    folder: Path, issuer: Authority, *dns: str, clients: Authority | None = None
) -> ssl.SSLContext:
    """Make what a server on loopback needs; with `clients` it asks for their certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_pair(folder, pair(issuer, "server", *dns)))
    if clients is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=clients.cert_pem.decode())
    return context


def peer_name(sock: socket.socket) -> str:
    """Read the common name that the client at the other end has shown."""
    assert isinstance(sock, ssl.SSLSocket)
    certificate: Any = sock.getpeercert() or {}
    names = dict(name for (name,) in certificate.get("subject", ()))
    return str(names.get("commonName", ""))
