"""What one gate says of the certificates that it serves with, asked over HTTP.

The address is a pod's, which may be somebody else's by now: nothing that comes back is trusted.
What is asked takes a second and a mebibyte at most, however its bytes trickle in.
"""

import io
import socket
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, cast

import orjson

from controller.dataplane.gate import CERTS_PATH
from controller.dataplane.names import object_name
from controller.resources import SERVICES
from workqueue import REAL_CLOCK

TIMEOUT: Final = 1.0
"""Seconds for one question and its answer; a gate answers in 3 ms."""

SIZE: Final = 1 << 20
"""Bytes of an answer. Envoy's has 300 for each certificate, of which there are ten or so."""

_REQUEST: Final = f"GET {CERTS_PATH} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n".encode()


class NoAnswerError(Exception):
    """Nobody was there, or what came back was no answer of a gate."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a gate shows its clients, and whose it takes."""

    serial: int
    """Of the leaf."""
    not_after: datetime
    bundle_serials: frozenset[int]
    """Of the CAs that clients' certificates may be signed by."""


def ask(host: str, port: int, storage: str) -> Served | None:
    """Return what the gate of `storage` at this address serves; None if it serves no TLS.

    Raises NoAnswerError.
    """
    deadline = REAL_CLOCK.monotonic() + TIMEOUT
    try:
        with socket.create_connection((host, port), TIMEOUT) as connection:
            answer = _exchange(connection, deadline)
        response = HTTPResponse(cast("socket.socket", _Received(answer)))
        response.begin()
        body = response.read()
    except (OSError, HTTPException, ValueError) as error:
        raise NoAnswerError(type(error).__name__) from error
    if response.status != 200:
        raise NoAnswerError(f"HTTP {response.status}")
    return read(body, storage)


def read(body: bytes, storage: str) -> Served | None:
    """Return what the answer of Envoy says of the storage's serving pair; None if nothing.

    The pair towards the core is in it as well: ours names the Service. Raises NoAnswerError.
    """
    service = object_name(SERVICES, storage)
    try:
        for entry in orjson.loads(body)["certificates"]:
            for leaf in entry.get("cert_chain", ()):
                if {"dns": service} in leaf["subject_alt_names"]:
                    return Served(
                        serial=_serial(leaf),
                        not_after=_time(leaf["expiration_time"]),
                        bundle_serials=frozenset(map(_serial, entry["ca_cert"])),
                    )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoAnswerError(f"{type(error).__name__} in what should be JSON") from error
    return None


def _serial(certificate: dict[str, Any]) -> int:
    return int(certificate["serial_number"], 16)


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time of no zone")
    return found


def _exchange(connection: socket.socket, deadline: float) -> bytes:
    """Send the request, and return what comes until the other side hangs up."""
    connection.sendall(_REQUEST)
    received = bytearray()
    while len(received) <= SIZE:
        # 0 would mean: do not wait at all, and negative ones are refused.
        connection.settimeout(max(deadline - REAL_CLOCK.monotonic(), 0.001))
        if not (chunk := connection.recv(65536)):
            return bytes(received)
        received += chunk
    raise ValueError("too long an answer")


class _Received:
    """What `HTTPResponse` takes for a socket: an answer that is all there."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._answer)
