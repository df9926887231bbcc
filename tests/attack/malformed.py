"""Attacks by messages that no client library makes: malformed, giant, deep, in pieces."""

import gzip

from tests.attack.keys import PUT, RANGE, TXN, WATCH
from tests.attack.scene import Scene, blind, refused
from tests.support.etcdrpc import Answer, Connection, Endpoint, frame

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
    """Transactions nested a thousand and ten thousand times."""
    for depth in (100, 1_000, 10_000):
        scene.attempt(TXN, nested(depth))


def broad_transactions(scene: Scene) -> None:
    """More operations than etcd takes in a transaction."""
    put = {"request_put": {"key": scene.key(b"broad"), "value": b"v"}}
    refused(scene.call(TXN, success=[put] * 10_000))


def empty_operation(scene: Scene) -> None:
    """A transaction with an operation that is none, which ends a grpc-proxy: the tenant's own."""
    for branch in ("success", "failure"):
        message = scene.make("TxnRequest", **{branch: [{}]})
        refused(scene.attempt(TXN, message))
        scene.restart()


def nested(depth: int) -> bytes:
    """Return a TxnRequest with so many others inside, each in the branch for success."""
    # Lengths first, from the inside out, as copying 10,000 growing messages would take a minute.
    heads: list[bytes] = []
    size = 0
    for _ in range(depth):
        operation = b"\x22" + _varint(size)
        size += len(operation)
        success = b"\x12" + _varint(size)
        size += len(success)
        heads.append(success + operation)
    return b"".join(reversed(heads))


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def _answer(connection: Connection, path: str, body: bytes, *headers: tuple[str, str]) -> Answer:
    return connection.exchange(path, body, headers=headers)


def _alone(endpoint: Endpoint, path: str, body: bytes, *headers: tuple[str, str]) -> Answer:
    with Connection(endpoint) as connection:
        return _answer(connection, path, body, *headers)
