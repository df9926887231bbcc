"""Attacks on others' leases, and by leases."""

from collections.abc import Iterator
from contextlib import suppress

from tests.attack.scene import Scene, describe, refused
from tests.support.etcdmessages import varint
from tests.support.etcdrpc import OK, frame

GRANT = "/etcdserverpb.Lease/LeaseGrant"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
REVOKE = "/etcdserverpb.Lease/LeaseRevoke"
TIME_TO_LIVE = "/etcdserverpb.Lease/LeaseTimeToLive"
LEASES = "/etcdserverpb.Lease/LeaseLeases"
PUT = "/etcdserverpb.KV/Put"

LONGEST = 30 * 86_400
"""Seconds: no tenant's lease may be granted for longer than a month."""

CHOSEN = 7_777_777
"""A number that etcd gives to no lease by itself."""


def revoke(scene: Scene) -> None:
    """Revoke another's lease, and with it its keys."""
    refused(scene.call(REVOKE, ID=scene.leases["held"]))


def revoke_by_gateway(scene: Scene) -> None:
    """The same by the paths of the JSON gateway, old and new."""
    body = f'{{"ID": "{scene.leases["held"]}"}}'.encode()
    headers = (("content-type", "application/json"),)
    with scene.connect() as connection:
        for path in ("/v3/lease/revoke", "/v3/kv/lease/revoke", "/v3beta/kv/lease/revoke"):
            refused(connection.exchange(path, body, headers=headers))


def keep_alive(scene: Scene) -> None:
    """Keep another's keys alive."""
    before = scene.core.expiry(scene.leases["held"])
    with scene.connect() as connection:
        stream = connection.open(KEEP_ALIVE)
        stream.send(scene.make("LeaseKeepAliveRequest", ID=scene.leases["held"]))
        # grpc-proxy says nothing where the core refuses.
        with suppress(TimeoutError):
            stream.receive(deadline=2.0)
        assert not stream.answer.messages(), describe(stream.answer)
    # Seconds are whole: only a real extension is more than one.
    assert scene.core.expiry(scene.leases["held"]) <= before + 1


def look_up(scene: Scene) -> None:
    """Ask for the keys of another's lease."""
    answer = scene.call(TIME_TO_LIVE, ID=scene.leases["held"], keys=True)
    refused(answer)
    assert b"secret" not in answer.body


def listing(scene: Scene) -> None:
    """List everybody's leases."""
    refused(scene.call(LEASES))


def chosen_numbers(scene: Scene) -> None:
    """Grant leases of chosen numbers: those that the core would give to others next."""
    before = set(scene.core.leases())
    ahead = max(before)
    with scene.connect() as connection:
        for number in (1, -1, CHOSEN, 2**62, *(ahead + step for step in range(2, 32))):
            refused(connection.call(GRANT, scene.make("LeaseGrantRequest", TTL=60, ID=number)))
    assert set(scene.core.leases()) == before


def oracle(scene: Scene) -> None:
    """Grant a lease of another's number: the error would say that it exists."""
    with scene.connect() as connection:
        taken, free = (
            connection.call(GRANT, scene.make("LeaseGrantRequest", TTL=60, ID=number))
            for number in (scene.leases["held"], CHOSEN)
        )
    refused(taken)
    refused(free)
    assert (taken.code, taken.text) == (free.code, free.text)


def long_lives(scene: Scene) -> None:
    """Grant leases for 285 years, and for lives that are none."""
    before = set(scene.core.leases())
    with scene.connect() as connection:
        for seconds in (9_000_000_000, 2**62, LONGEST + 1, -1, -(2**63)):
            refused(connection.call(GRANT, scene.make("LeaseGrantRequest", TTL=seconds)))
    assert set(scene.core.leases()) == before


def disguised_grants(scene: Scene) -> None:
    """The same in all the ways that protobuf and gRPC can say it."""
    before = set(scene.core.leases())
    with scene.connect() as connection:
        for name, body in _disguises():
            answer = connection.exchange(GRANT, body)
            assert not answer.messages(), f"{name}: {describe(answer)}"
    assert set(scene.core.leases()) == before


def disguised_path(scene: Scene) -> None:
    """A grant by paths that are almost the method's."""
    before = set(scene.core.leases())
    message = scene.make("LeaseGrantRequest", TTL=60, ID=CHOSEN)
    with scene.connect() as connection:
        for path in (f"{GRANT}?", f"{GRANT}?x=1", f"{GRANT}/", f"{GRANT}#", f"/{GRANT}"):
            refused(connection.call(path, message))
    assert set(scene.core.leases()) == before


def grants_in_pieces(scene: Scene) -> None:
    """A grant that is sent byte by byte, and one that says more after its end."""
    before = set(scene.core.leases())
    message = scene.make("LeaseGrantRequest", TTL=60, ID=CHOSEN)
    with scene.connect() as connection:
        stream = connection.open(GRANT)
        for byte in frame(message):
            stream.send_raw(bytes([byte]))
        stream.end()
        refused(stream.wait())
        stream = connection.open(GRANT)
        stream.send(scene.make("LeaseGrantRequest", TTL=60))
        stream.send(message)
        stream.end()
        refused(stream.wait())
    assert CHOSEN not in set(scene.core.leases()) - before


def many(scene: Scene) -> None:
    """Grant as many leases as a connection carries: there is a rate for it."""
    before = len(scene.core.leases())
    with scene.connect() as connection:
        message = scene.make("LeaseGrantRequest", TTL=30)
        codes = [connection.call(GRANT, message).code for _ in range(600)]
    assert any(code != OK for code in codes)
    assert len(scene.core.leases()) - before < len(codes)


def attach(scene: Scene) -> None:
    """Put an own key on a lease that holds another's."""
    refused(scene.call(PUT, key=scene.key(b"attached"), lease=scene.leases["held"]))


def _disguises() -> Iterator[tuple[str, bytes]]:
    """Yield bodies that a careless guard takes for a short lease without a number."""
    chosen = varint(1 << 3) + b"\x3c" + varint(2 << 3) + varint(CHOSEN)
    yield "number first", frame(varint(2 << 3) + varint(CHOSEN) + b"\x08\x3c")
    yield "number by a long tag", frame(b"\x08\x3c\x90\x80\x00" + varint(CHOSEN))
    yield "life by a long tag", frame(b"\x88\x80\x00\xff\xff\xff\xff\x7f")
    yield "life twice", frame(b"\x08\x3c\x08" + varint(9_000_000_000))
    yield "overlong life", frame(b"\x08" + b"\xbc" + b"\x80" * 8 + b"\x00\x10" + varint(CHOSEN))
    yield "number after an unknown field", frame(b"\x08\x3c\x1a\x01x" + chosen)
    yield "number after a group", frame(b"\x08\x3c\x1b\x1c" + chosen)
    yield "packed number", frame(b"\x08\x3c\x12" + b"\x04" + varint(CHOSEN))
    yield "compressed flag", frame(chosen, compressed=1)
    yield "odd flag", frame(chosen, compressed=0xFF)
    yield "short length", b"\0\0\0\0\x02" + chosen
    yield "two messages", frame(b"\x08\x3c") + frame(chosen)
    yield "empty message first", frame(b"") + frame(chosen)
    yield "giant", frame(b"\x08\x3c" + b"\x1a" + varint(2**20) + bytes(2**20))
    yield "giant length", b"\0\xff\xff\xff\xff\x08\x3c"
    yield "half a message", frame(chosen)[:-1]
    yield "no message", b""
    yield "nothing but a prefix", b"\0\0\0"
