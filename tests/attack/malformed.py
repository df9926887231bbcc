"""Attacks by messages that no client library makes: malformed, giant, deep, in pieces."""

import gzip
from collections.abc import Iterator
from typing import Any

from tests.attack.keys import PUT, RANGE, TXN, WATCH
from tests.attack.scene import Scene, blind, refused
from tests.support.etcdmessages import field, varint
from tests.support.etcdrpc import OK, UNIMPLEMENTED, Answer, Connection, Endpoint, frame

LARGEST = 2 * 2**20
"""Bytes. etcd takes requests of 1.5 MiB and a little more."""

_GARBAGE = (b"\xff" * 64, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a", b"\x07\x00", bytes(range(256)))


def garbage(scene: Scene) -> None:
    """Bytes that are no message, to every method that is let through."""
    with scene.connect() as connection:
        for path in (RANGE, PUT, TXN, WATCH):
            for content in _GARBAGE:
                refused(_answer(connection, path, frame(content)))


def giants(scene: Scene) -> None:
    """Values above what etcd takes, sent whole."""
    for size in (LARGEST, 4 * LARGEST, 16 * LARGEST):
        message = scene.make("PutRequest", key=scene.key(b"giant"), value=bytes(size))
        refused(_alone(scene.tenant, PUT, frame(message)))


def giant_prefixes(scene: Scene) -> None:
    """Lengths announced of up to 4 GiB, with next to nothing after them."""
    for size in (2**24, 2**31 - 1, 2**31, 2**32 - 1):
        refused(_alone(scene.tenant, PUT, b"\0" + size.to_bytes(4, "big") + b"\x0a\x01k"))


def compressed(scene: Scene) -> None:
    """Compression that is not there, not known, or blows up to 64 MiB."""
    message = scene.make("RangeRequest", key=b"\0", range_end=b"\0")
    bomb = frame(gzip.compress(bytes(64 * 2**20), 9), compressed=1)
    zipped = frame(gzip.compress(message), compressed=1)
    for encoding, body in (
        *(("gzip", frame(message, compressed=1)), ("gzip", frame(message, compressed=7))),
        *(("identity", zipped), ("snappy", zipped), ("zstd", frame(message)), ("gzip", bomb)),
    ):
        with scene.connect() as connection:
            blind(_answer(connection, RANGE, body, ("grpc-encoding", encoding)).body)
    refused(_alone(scene.tenant, PUT, bomb, ("grpc-encoding", "gzip")))


def pieces(scene: Scene) -> None:
    """No message, half a message, several where one is due."""
    message = scene.make("RangeRequest", key=b"\0", range_end=b"\0")
    with scene.connect() as connection:
        for body in (b"", b"\0", frame(message)[:-1], frame(message) * 3, frame(message) + b"x"):
            blind(_answer(connection, RANGE, body).body)


def deep_transactions(scene: Scene) -> None:
    """Transactions inside a transaction, up to ten thousand deep."""
    for depth in (2, 3, 100, 1_000, 10_000):
        refused(scene.attempt(TXN, nested(depth)))


def reading_transactions(scene: Scene) -> None:
    """Transactions of a few kilobytes that read a large value very often.

    Smaller than they could be: the answers would not be less than the core's memory.
    """
    key = scene.key(b"large")
    assert scene.call(PUT, key=key, value=bytes(100_000)).code == OK
    read = {"request_range": {"key": key}}
    listing = {"request_range": {"key": key, "range_end": key + b"\0"}}
    many = {"request_txn": {"success": [read] * 8}}
    compare = {"key": key, "range_end": key + b"\0", "result": 3, "target": 0, "version": 0}
    attempts: tuple[dict[str, Any], ...] = (
        *({"success": [many] * 8}, {"success": [read] * 100}, {"success": [listing] * 10}),
        {"compare": [compare] * 10, "success": [read] * 17},
        {"failure": [read] * 17},
        {"success": [{"request_txn": {"compare": [compare], "success": [read]}}]},
    )
    bodies = [frame(scene.make("TxnRequest", **fields)) for fields in attempts]
    ranges = b"".join(field(2, field(1, field(1, key))) for _ in range(64))
    with scene.connect() as connection:
        for body in (*bodies, *_disguised(ranges)):
            for headers in ((), (("grpc-encoding", "gzip"),)):
                refused(_answer(connection, TXN, body, *headers))
    scene.clear()


def _disguised(message: bytes) -> Iterator[bytes]:
    """Yield bodies that a careless guard takes for an innocent transaction."""
    yield frame(gzip.compress(message), compressed=1)
    yield frame(message, compressed=1)
    yield frame(b"") + frame(message)
    yield frame(message.replace(b"\x12", b"\x92\x80\x00", 1))
    yield frame(field(9, b"unknown") + message)
    yield frame(field(9, 2**63) + message)
    yield frame(b"\x4b" + message + b"\x4c")
    yield frame(b"\x49" + bytes(8) + b"\x4d" + bytes(4) + message)


def broad_transactions(scene: Scene) -> None:
    """More operations than etcd takes in a transaction."""
    put = {"request_put": {"key": scene.key(b"broad"), "value": b"v"}}
    refused(scene.call(TXN, success=[put] * 10_000))


def empty_operation(scene: Scene) -> None:
    """A transaction with an operation that is none, which would end a grpc-proxy."""
    for branch in ("success", "failure"):
        message = scene.make("TxnRequest", **{branch: [{}]})
        refused(scene.attempt(TXN, message), UNIMPLEMENTED)


def nested(depth: int) -> bytes:
    """Return a TxnRequest with so many others inside, each in the branch for success."""
    # Lengths first, from the inside out, as copying 10,000 growing messages would take a minute.
    heads: list[bytes] = []
    size = 0
    for _ in range(depth):
        operation = b"\x22" + varint(size)
        size += len(operation)
        success = b"\x12" + varint(size)
        size += len(success)
        heads.append(success + operation)
    return b"".join(reversed(heads))


def _answer(connection: Connection, path: str, body: bytes, *headers: tuple[str, str]) -> Answer:
    return connection.exchange(path, body, headers=headers)


def _alone(endpoint: Endpoint, path: str, body: bytes, *headers: tuple[str, str]) -> Answer:
    with Connection(endpoint) as connection:
        return _answer(connection, path, body, *headers)
