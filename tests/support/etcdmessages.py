"""Messages of etcd as bytes on the wire, for tests that send some no library would."""


def varint(value: int) -> bytes:
    """Return a number in groups of seven bits."""
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def field(number: int, content: bytes | int) -> bytes:
    """Return a field of a message: a number, or what has a length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def put(key: bytes, value: bytes = b"v") -> bytes:
    """Return a PutRequest."""
    return field(1, key) + field(2, value)


def get(key: bytes, end: bytes = b"") -> bytes:
    """Return a RangeRequest."""
    return field(1, key) + (field(2, end) if end else b"")


def watch(key: bytes, start: int = 0) -> bytes:
    """Return a WatchRequest that creates a watch, of what was written since `start` if given."""
    return field(1, field(1, key) + (field(3, start) if start else b""))


def revoke(lease: int) -> bytes:
    """Return a LeaseRevokeRequest."""
    return field(1, lease)
