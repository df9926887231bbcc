"""Attacks on others' keys: ranges, watches and transactions over the prefix's ends."""

import secrets
from collections.abc import Iterator
from typing import Any

from tests.attack.scene import MARK, NEIGHBOURS, PULSE, Scene, blind, describe
from tests.support.etcdrpc import OK, Answer, Connection, Stream

RANGE = "/etcdserverpb.KV/Range"
RANGE_STREAM = "/etcdserverpb.KV/RangeStream"
PUT = "/etcdserverpb.KV/Put"
DELETE = "/etcdserverpb.KV/DeleteRange"
TXN = "/etcdserverpb.KV/Txn"
WATCH = "/etcdserverpb.Watch/Watch"

ENDS = (
    # Everything, in all ways to say so.
    *((b"", b""), (b"", b"\0"), (b"\0", b""), (b"\0", b"\0"), (b"\0" * 9, b"\0")),
    *((b"/", b"\0"), (b"/", b"0"), (b"!", b"~"), (b"\0", b"\xff" * 32)),
    # Across this tenant's own ends.
    *((b"/a/", b"\0"), (b"/a/", b"/a0\0"), (b"/a/", b"/b"), (b"/a", b"/a0"), (b"/a/", b"/aa0")),
    *((b"/a/\xff", b"\0"), (b"/a/k", b"\0"), (b"/a/\xff\xff", b"/b0"), (b"/a0", b"/a1")),
    *((b"/a", b""), (b"/a", b"\0"), (b"/A/", b"/b/")),
    # The neighbours, and names that something might put in order.
    *((f"/{name}/secret".encode(), b"") for name in NEIGHBOURS),
    *((b"/aa/", b"/aa0"), (b"/a-b/", b"/a-b0"), (b"secret", b"")),
    *((b"/registry/", b"/registry0"), (b"/registry/secret", b"")),
    *((b"../aa/secret", b""), (b"/../aa/secret", b""), (b"/a/../aa/secret", b"")),
    *((b"/a/../aa/", b"/a/../aa0"), (b"//aa/secret", b""), (b"/a//../aa/secret", b"")),
    *((b"%2Faa%2Fsecret", b""), (b"/a%2F..%2Faa%2Fsecret", b""), (b"/a/\0/aa/secret", b"")),
    # What is next to nothing, and what comes after everything.
    *((b"\xff", b"\0"), (b"\xff" * 8, b"\xff" * 9), (b"z", b"a"), (b"/b/", b"/a/")),
)
"""Keys and ends of ranges, as bytes on the wire, that reach for more than `/a/` holds."""

FOREIGN = (*(f"/{name}/secret".encode() for name in NEIGHBOURS), b"secret")
"""Keys of others that exist."""


def reads(scene: Scene) -> None:
    """Ranges over every end, in every form that a range has."""
    forms: tuple[dict[str, Any], ...] = (
        {},
        {"serializable": True},
        {"revision": 2},
        {"limit": 1, "sort_order": 2, "sort_target": 4},
        {"min_mod_revision": 1, "sort_order": 1, "sort_target": 3},
    )
    with scene.connect() as connection:
        for message in _ranges(scene, forms):
            blind(connection.call(RANGE, message).body)
            blind(connection.call(RANGE_STREAM, message).body)


def counts(scene: Scene) -> None:
    """How many keys the others have, and what they are called."""
    own = len(scene.core.call(RANGE, key=scene.prefix, range_end=scene.prefix[:-1] + b"0").kvs)
    forms: tuple[dict[str, Any], ...] = ({"count_only": True}, {"keys_only": True}, {"limit": 1})
    with scene.connect() as connection:
        for message in _ranges(scene, forms):
            answer = connection.call(RANGE, message)
            assert b"secret" not in answer.body, message
            if answer.code == OK:
                assert scene.read(RANGE, answer).count <= own, message


def writes(scene: Scene) -> None:
    """Puts on others' keys, with the old value asked for."""
    with scene.connect() as connection:
        for key, _ in ENDS:
            for form in ({"value": b"mine"}, {"ignore_value": True}, {"ignore_lease": True}):
                message = scene.make("PutRequest", key=key, prev_kv=True, **form)
                blind(connection.call(PUT, message).body)


def deletes(scene: Scene) -> None:
    """Deletes over every end."""
    with scene.connect() as connection:
        for key, end in ENDS:
            message = scene.make("DeleteRangeRequest", key=key, range_end=end, prev_kv=True)
            blind(connection.call(DELETE, message).body)


def transactions(scene: Scene) -> None:
    """Every operation in a transaction: plain, nested, and in the branch not expected."""
    with scene.connect() as connection:
        for key, end in ENDS:
            for operation in _operations(key, end):
                for fields in _wrapped(scene, operation):
                    answer = connection.call(TXN, scene.make("TxnRequest", **fields))
                    blind(answer.body)


def comparisons(scene: Scene) -> None:
    """Comparisons as an oracle: what is true of another's key must not be found true."""
    scene.clear()
    with scene.connect() as connection:
        for compare in _comparisons():
            nested = {"request_txn": {"compare": [compare], "success": [_range(b"\0", b"")]}}
            for fields in ({"compare": [compare]}, {"success": [nested]}, {"failure": [nested]}):
                answer = connection.call(TXN, scene.make("TxnRequest", **fields))
                blind(answer.body)
                if answer.code == OK:
                    read = scene.read(TXN, answer)
                    inner = [r.response_txn.succeeded for r in read.responses]
                    outer = [read.succeeded] if "compare" in fields else []
                    assert not any([*inner, *outer]), fields


def watches(scene: Scene) -> None:
    """Watches over every end, of the past and of what another tenant writes now."""
    forms: tuple[dict[str, Any], ...] = (
        {"start_revision": 1, "prev_kv": True},
        {"prev_kv": True, "fragment": True, "progress_notify": True},
    )
    with scene.connect() as connection:
        stream = connection.open(WATCH)
        wanted = [{"key": k, "range_end": e, **form} for k, e in ENDS for form in forms]
        for number, create in enumerate(wanted, start=1):
            create_request = {"watch_id": number, **create}
            stream.send(scene.make("WatchRequest", create_request=create_request))
        _fence(scene, connection, stream)


def watch_identities(scene: Scene) -> None:
    """Watches with odd numbers, cancelled ones and requests for progress."""
    everything = {"key": b"\0", "range_end": b"\0", "prev_kv": True}
    requests: tuple[dict[str, Any], ...] = (
        *({"cancel_request": {"watch_id": number}} for number in (-2, 0, 1, 2**62)),
        *({"create_request": {**everything, "watch_id": n}} for n in (-1, 2**62, 2**62, 1)),
        *({"create_request": {"key": b"/aa/", "range_end": b"/aa0"}} for _ in range(2)),
        {"progress_request": {}},
        {},
    )
    with scene.connect() as connection:
        stream = connection.open(WATCH)
        for request in requests:
            stream.send(scene.make("WatchRequest", **request))
        _fence(scene, connection, stream)


def _fence(scene: Scene, connection: Connection, stream: Stream) -> None:
    """Let another tenant write once all watches are there, and wait for what is written last."""
    # Unlike any before, as watches show previous values too.
    there, last = (secrets.token_hex(8).encode() for _ in range(2))
    own = scene.key(b"fence")
    stream.send(scene.make("WatchRequest", create_request={"key": own}))
    _until_seen(scene, connection, stream.answer, own, there)
    scene.core.put(PULSE, MARK)
    _until_seen(scene, connection, stream.answer, own, last)
    blind(stream.answer.body)
    stream.reset()


def _until_seen(
    scene: Scene, connection: Connection, answer: Answer, key: bytes, value: bytes
) -> None:
    """Write an own key until its watch has shown it."""
    with scene.connect() as writer:
        for _ in range(50):
            put = writer.call(PUT, scene.make("PutRequest", key=key, value=value))
            assert put.code == OK, describe(put)
            try:
                connection.pump(lambda: answer.ended or value in answer.body, 0.2)
            except TimeoutError:
                continue
            break
    assert value in answer.body, describe(answer)


def _ranges(scene: Scene, forms: tuple[dict[str, Any], ...]) -> Iterator[bytes]:
    for key, end in ENDS:
        for form in forms:
            yield scene.make("RangeRequest", key=key, range_end=end, **form)


def _range(key: bytes, end: bytes) -> dict[str, Any]:
    return {"request_range": {"key": key, "range_end": end}}


def _operations(key: bytes, end: bytes) -> tuple[dict[str, Any], ...]:
    return (
        _range(key, end),
        {"request_delete_range": {"key": key, "range_end": end, "prev_kv": True}},
        {"request_put": {"key": key, "value": b"mine", "prev_kv": True}},
    )


def _wrapped(scene: Scene, operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    never = {"key": scene.key(b"absent"), "target": 0, "result": 1, "version": 0}
    nested = {"request_txn": {"success": [operation]}}
    otherwise = {"request_txn": {"compare": [never], "failure": [operation]}}
    yield {"success": [operation]}
    yield {"compare": [never], "failure": [operation]}
    yield {"success": [nested]}
    yield {"success": [{"request_txn": {"success": [otherwise]}}]}


def _comparisons() -> Iterator[dict[str, Any]]:
    """Yield what is true in the core of others' keys, and false of keys that do not exist."""
    ranges = ((b"/aa/", b"/aa0"), (b"/aa/secret", b"\0"), (b"secret", b"secreu"))
    for key, end in [*((key, b"") for key in FOREIGN), *ranges]:
        base = {"key": key, "range_end": end, "result": 1}
        yield {**base, "target": 0, "version": 0}
        yield {**base, "target": 1, "create_revision": 0}
        yield {**base, "target": 2, "mod_revision": 0}
        yield {**base, "target": 3, "value": MARK[:-1]}
