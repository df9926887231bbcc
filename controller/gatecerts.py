"""What one gate says of the certificates that it serves with, asked over HTTP.

The address is a pod's, which may be somebody else's by now: nothing that comes back is trusted.
What is asked takes a second and a mebibyte at most, however its bytes trickle in.
"""

import io
import re
import socket
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, cast

import orjson

from controller.dataplane.gate import CERTS_PATH, CLIENTS_PATH
from controller.dataplane.names import object_name
from controller.resources import SERVICES
from workqueue import REAL_CLOCK

TIMEOUT: Final = 1.0
"""Seconds for what is asked of one gate; it answers in 3 ms."""

SIZE: Final = 1 << 20
"""Bytes of an answer. Envoy's has 300 for each certificate, of which there are ten or so."""

_VERSION: Final = re.compile(rb'sds\.clients\.version_text: "(\w*)"')


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
    clients: str
    """The version of the list of those who are let in; '' if it has taken none."""


def ask(host: str, port: int, storage: str) -> Served | None:
    """Return what the gate of `storage` at this address serves; None if it serves no TLS.

    Raises NoAnswerError.
    """
    deadline = REAL_CLOCK.monotonic() + TIMEOUT
    certs, clients = (_get(host, port, path, deadline) for path in (CERTS_PATH, CLIENTS_PATH))
    return read(certs, clients, storage)


def read(certs: bytes, clients: bytes, storage: str) -> Served | None:
    """Return what the answers of Envoy say of the storage's serving pair; None if nothing.

    The pair towards the core is in it as well: ours names the Service. Raises NoAnswerError.
    """
    service = object_name(SERVICES, storage)
    try:
        for entry in orjson.loads(certs)["certificates"]:
            for leaf in entry.get("cert_chain", ()):
                if {"dns": service} in leaf["subject_alt_names"]:
                    return Served(
                        serial=_serial(leaf),
                        not_after=_time(leaf["expiration_time"]),
                        bundle_serials=frozenset(map(_serial, entry["ca_cert"])),
                        clients=_version(clients),
                    )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoAnswerError(f"{type(error).__name__} in what should be JSON") from error
    return None


def _version(answer: bytes) -> str:
    if (found := _VERSION.fullmatch(answer.strip())) is None:
        raise ValueError("another figure than the one asked for")
    return found[1].decode()


def _serial(certificate: dict[str, Any]) -> int:
    return int(certificate["serial_number"], 16)


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time of no zone")
    return found


def _get(host: str, port: int, path: str, deadline: float) -> bytes:
    try:
        left = max(deadline - REAL_CLOCK.monotonic(), 0.001)
        with socket.create_connection((host, port), left) as connection:
            answer = _exchange(connection, path, deadline)
        response = HTTPResponse(cast("socket.socket", _Received(answer)))
        response.begin()
        body = response.read()
    except (OSError, HTTPException, ValueError) as error:
        raise NoAnswerError(type(error).__name__) from error
    if response.status != 200:
        raise NoAnswerError(f"HTTP {response.status}")
    return body


def _exchange(connection: socket.socket, path: str, deadline: float) -> bytes:
    """Send the request, and return what comes until the other side hangs up."""
    request = f"GET {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n"
    connection.sendall(request.encode())
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
