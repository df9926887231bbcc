"""One connection to a gate: the handshake, and one read through it.

In TLS 1.3 a client is done before the server has looked at its certificate: only an answer tells
that both sides accept each other.
"""

import socket
import ssl

import h2.config
import h2.connection
import h2.events

from controller.dataplane.pods import PORTS

TIMEOUT = 20.0
"""Seconds: a busy machine is no failed handshake."""

_GRPC = (("te", "trailers"), ("content-type", "application/grpc"))
_RANGE = "/etcdserverpb.KV/Range"


class RefusedError(OSError):
    """The gate or the core has answered something else than OK."""


def read(address: str, context: ssl.SSLContext, server: str, key: str) -> None:
    """Connect to the gate that should be called `server`, and read `key`; raises OSError."""
    where = (address, PORTS.ingress)
    with (
        socket.create_connection(where, TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=server) as connection,
    ):
        status = _status(connection, server, key)
    if status != "0":
        raise RefusedError(f"grpc-status {status}")


def _status(connection: ssl.SSLSocket, server: str, key: str) -> str:
    http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    http.initiate_connection()
    head = ((":method", "POST"), (":scheme", "https"), (":path", _RANGE), (":authority", server))
    http.send_headers(1, [*head, *_GRPC])
    encoded = key.encode()
    # RangeRequest.key, in the frame of gRPC: not compressed, and the length.
    message = bytes((0x0A, len(encoded))) + encoded
    http.send_data(1, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)
    connection.sendall(http.data_to_send())
    while received := connection.recv(65536):
        for event in http.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                headers = {str(name): str(value) for name, value in event.headers or ()}
                if "grpc-status" in headers:
                    return headers["grpc-status"]
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                raise RefusedError(repr(event))
    raise RefusedError("the connection was closed before the answer")
