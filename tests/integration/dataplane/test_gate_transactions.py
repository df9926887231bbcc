"""The body of a Txn, as the gate reads it and as etcd does."""

import random
from collections.abc import Iterator

import pytest

from controller.dataplane.gate import limits
from controller.dataplane.gate.transactions import REFUSAL
from hack.dataplane import CoreEtcd, GatePod
from hack.dataplane.gatepod import POD_ADDRESS
from tests.integration.dataplane.conftest import MakePod
from tests.support.etcdmessages import field, get, put
from tests.support.etcdrpc import OK, UNIMPLEMENTED, Answer, Connection, Endpoint, frame

TXN = "/etcdserverpb.KV/Txn"
KEY = b"/txn/k"

ONE = field(1, get(KEY))
"""RequestOps."""
SEVERAL = field(1, get(KEY, b"/txn/l"))
PUT = field(2, put(KEY))
DELETE = field(3, get(KEY) + field(3, 1))
UNCHANGED = field(1, field(2, 2) + field(3, KEY) + field(6, 0))
"""A Compare of the key's revision, as a field of the transaction."""
OVER_SEVERAL = field(1, field(2, 0) + field(3, KEY) + field(4, 0) + field(64, b"/txn/l"))


def then(*operations: bytes) -> bytes:
    return b"".join(field(2, operation) for operation in operations)


def otherwise(*operations: bytes) -> bytes:
    return b"".join(field(3, operation) for operation in operations)


LONG_TAG = b"\x92\x80\x00"
"""Of field 2, with a length."""
UNKNOWN = field(99, b"later") + field(100, 7) + b"\xa9\x06" + bytes(8) + b"\xad\x06" + bytes(4)

LAWFUL = {
    "nothing": b"",
    "an API server's write": UNCHANGED + then(PUT) + otherwise(ONE),
    "an API server's write, backwards": otherwise(ONE) + then(PUT) + UNCHANGED,
    "a deletion": UNCHANGED + then(DELETE) + otherwise(ONE),
    "etcd's mutex": UNCHANGED + then(PUT, SEVERAL) + otherwise(ONE, SEVERAL),
    "reads": then(*[ONE] * (limits.TXN_READS - 1)) + otherwise(ONE),
    "many puts": then(*(field(2, put(KEY + b"%d" % n)) for n in range(128))),
    "many comparisons": UNCHANGED * 128,
    "comparisons of several keys": OVER_SEVERAL * limits.TXN_LISTS,
    "a long length": b"\x12" + bytes((len(PUT) | 0x80, 0x80, 0x80, 0)) + PUT,
    "long tags": LONG_TAG + then(PUT)[1:],
    "unknown fields": UNKNOWN + then(PUT) + UNKNOWN,
}
UNLAWFUL = {
    "no frame": b"",
    "half a frame": frame(then(PUT))[:4],
    "compressed": frame(then(PUT), compressed=1),
    "a second message": frame(then(PUT)) + frame(then(PUT)),
    "a byte more": frame(then(PUT)) + b"\0",
    "a byte less": frame(then(PUT))[:-1],
    "a giant length": b"\0\xff\xff\xff\xff" + then(PUT),
    "a transaction inside": frame(then(field(4, then(PUT)))),
    "an empty one inside": frame(otherwise(field(4, b""))),
    "one inside, as a number": frame(then(field(4, 0))),
    "one inside, after a put": frame(then(PUT + field(4, then(PUT)))),
    "one inside, by a long tag": frame(then(b"\xa2\x80\x80\x00\x00")),
    "one inside, by a tag that is cut to 32 bits": frame(
        then(PUT) + b"\x92\x80\x80\x80\x80\x01" + field(4, b"")
    ),
    "a read too many": frame(then(*[ONE] * limits.TXN_READS) + otherwise(ONE)),
    "a read too many in one operation": frame(then(ONE * (limits.TXN_READS + 1))),
    "a list too many": frame(then(*[SEVERAL] * (limits.TXN_LISTS + 1))),
    "a comparison of several keys too many": frame(OVER_SEVERAL * (limits.TXN_LISTS + 1)),
    "very many comparisons": frame(field(1, b"") * (limits.TXN_FIELDS + 1)),
    "an operation that is none": frame(then(b"")),
    "an operation that is unknown": frame(then(field(5, b""))),
    "a field that is cut off": frame(then(PUT)[:-1]),
    "a field without its length": frame(b"\x12"),
    "a group": frame(b"\x13\x14"),
    "a number without an end": frame(b"\x08" + b"\xff" * 11),
}


@pytest.fixture(scope="module")
def pod(auth_core: CoreEtcd, keep_pod: MakePod) -> GatePod:
    return keep_pod(auth_core, "txn", "Direct")


@pytest.fixture
def connection(pod: GatePod) -> Iterator[Connection]:
    with Connection(Endpoint(pod.gate.ports.ingress, host=POD_ADDRESS)) as connection:
        yield connection


def sent(connection: Connection, body: bytes, piece: int) -> Answer:
    stream = connection.open(TXN)
    for start in range(0, len(body), piece):
        stream.send_raw(body[start : start + piece])
    stream.end()
    return stream.wait()


def passes(answer: Answer) -> bool:
    refused = (answer.code, answer.text) == (UNIMPLEMENTED, REFUSAL)
    assert refused == (answer.code == UNIMPLEMENTED), answer
    return not refused


@pytest.mark.parametrize("message", LAWFUL.values(), ids=LAWFUL)
@pytest.mark.parametrize("piece", [1 << 16, 7])
def test_what_clients_send_passes(connection: Connection, message: bytes, piece: int) -> None:
    answer = sent(connection, frame(message), piece)
    assert answer.code == OK, answer


@pytest.mark.parametrize("body", UNLAWFUL.values(), ids=UNLAWFUL)
@pytest.mark.parametrize("piece", [1 << 16, 7])
def test_nothing_else_passes(connection: Connection, body: bytes, piece: int) -> None:
    assert not passes(sent(connection, body, piece))


def test_the_largest_that_etcd_takes_passes(connection: Connection) -> None:
    large = then(field(2, put(KEY, bytes(3 << 19)[:-200])))
    assert connection.exchange(TXN, frame(large)).code == OK


def test_a_giant_is_refused_before_it_is_whole(connection: Connection) -> None:
    stream = connection.open(TXN)
    # It never ends: whoever waits for the rest does not answer.
    stream.send_raw(b"\0\x40\0\0\0" + bytes(limits.TXN_BYTES + (1 << 16)))
    answer = stream.wait()
    assert answer.code not in {OK, None} or answer.reset is not None
    assert connection.exchange(TXN, frame(then(PUT))).code == OK


def test_what_is_made_at_random_is_decided_on_as_it_was_made(connection: Connection) -> None:
    dice = random.Random(20)
    decisions = []
    for _ in range(400):
        message, lawful = transaction(dice)
        assert passes(connection.exchange(TXN, frame(message))) == lawful, message
        decisions.append(lawful)
    assert 100 < sum(decisions) < 300


def transaction(dice: random.Random) -> tuple[bytes, bool]:
    """Return a TxnRequest, and whether it is to pass."""
    # What adds one to: reads, lists, what is unlawful by itself.
    kinds = {
        ONE: (1, 0, 0),
        SEVERAL: (1, 1, 0),
        DELETE: (0, 0, 0),
        field(4, then(ONE)): (0, 0, 1),
        b"": (0, 0, 1),
    }
    weights = (60, 4, 30, 1, 1)
    operations = dice.choices(list(kinds), weights, k=dice.randrange(24))
    comparisons = dice.choices((UNCHANGED, OVER_SEVERAL), (20, 1), k=dice.randrange(8))
    parts = [field(dice.choice((2, 3)), operation) for operation in operations]
    parts += [*comparisons, *dice.choices((UNKNOWN, b""), k=3)]
    dice.shuffle(parts)
    reads, lists, wrong = (sum(kinds[each][n] for each in operations) for n in range(3))
    lists += comparisons.count(OVER_SEVERAL)
    lawful = reads <= limits.TXN_READS and lists <= limits.TXN_LISTS and not wrong
    return b"".join(parts), lawful


def test_cut_and_spoilt_ones_do_no_harm(connection: Connection) -> None:
    dice = random.Random(21)
    for _ in range(400):
        message = bytearray(transaction(dice)[0] + b"\0")
        message[dice.randrange(len(message))] = dice.randrange(256)
        connection.exchange(TXN, frame(bytes(message[: dice.randrange(len(message))])))
    assert connection.exchange(TXN, frame(then(PUT))).code == OK
