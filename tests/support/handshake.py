"""TLS handshakes of OpenSSL in memory: who believes whom."""

import ssl
from pathlib import Path


def serving(folder: Path, cert_pem: bytes, key_pem: bytes, clients: bytes = b"") -> ssl.SSLContext:
    """Make a server's context; with `clients`, a bundle, it insists on their certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, folder, cert_pem, key_pem)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.decode())
    return context


def asking(
    folder: Path, servers: bytes = b"", pair: tuple[bytes, bytes] | None = None
) -> ssl.SSLContext:
    """Make a client's context; without `servers`, a bundle, it believes everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if servers:
        context.load_verify_locations(cadata=servers.decode())
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if pair is not None:
        _load(context, folder, *pair)
    return context


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, hostname: str) -> None:
    """Do the whole handshake; raises SSLError where one refuses the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=hostname),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    # Each flight of TLS 1.3 is one turn of one end.
    for end in (*ends, *ends):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue


def _load(context: ssl.SSLContext, folder: Path, cert_pem: bytes, key_pem: bytes) -> None:
    path = folder / "pair.pem"
    path.write_bytes(cert_pem + key_pem)
    context.load_cert_chain(path)
    path.unlink()
