"""The body of a LeaseGrant, byte by byte."""

from collections.abc import Iterator

import pytest

from controller.dataplane.gate import limits
from controller.dataplane.gate.leases import REFUSAL
from hack.dataplane import CoreEtcd, GatePod
from hack.dataplane.gatepod import POD_ADDRESS
from tests.integration.dataplane.conftest import MakePod
from tests.support.etcdrpc import OK, PERMISSION_DENIED, Connection, Endpoint, frame

UNAVAILABLE = 14
"""The code of gRPC on which clients try again."""

GRANT = "/etcdserverpb.Lease/LeaseGrant"
TEN_MINUTES = b"\x08\xd8\x04"
CHOSEN = b"\x10\xad\xbd\xb7\x05"
"""An ID of one's own."""

LAWFUL = {
    "10 minutes": TEN_MINUTES,
    "1 second": b"\x08\x01",
    "2 days": b"\x08\x80\xc6\x0a",
    "longer than it needs": b"\x08\xd8\x84\x00",
}
UNLAWFUL = {
    "no frame": b"",
    "half a frame": frame(TEN_MINUTES)[:4],
    "a second more than 2 days": frame(b"\x08\x81\xc6\x0a"),
    "all that three bytes hold": frame(b"\x08\xff\xff\x7f"),
    "a number of four bytes": frame(b"\x08\x80\x80\x80\x01"),
    "285 years": frame(b"\x08\x80\xf4\xf4\xc3\x21"),
    "less than nothing": frame(b"\x08" + b"\xff" * 9 + b"\x01"),
    "a chosen ID": frame(TEN_MINUTES + CHOSEN),
    "a chosen ID alone": frame(CHOSEN),
    "a chosen ID first": frame(CHOSEN + TEN_MINUTES),
    "a short ID": frame(b"\x10\x05"),
    "an ID of zero": frame(b"\x08\x01\x10\x00"),
    "two times": frame(b"\x08\x01\x08\x01"),
    "a field that is cut off": frame(b"\x08"),
    "a number that is cut off": frame(b"\x08\xd8\x84"),
    "an unknown field": frame(b"\x1a\x01x"),
    "compressed": frame(TEN_MINUTES, compressed=1),
    "a second message": frame(TEN_MINUTES) + frame(CHOSEN),
    "a byte more": frame(TEN_MINUTES) + b"\x00",
    "a byte less": frame(TEN_MINUTES)[:-1],
    "a long length": b"\x00\x01\x00\x00\x03" + TEN_MINUTES,
}


@pytest.fixture(scope="module")
def pod(auth_core: CoreEtcd, keep_pod: MakePod) -> GatePod:
    return keep_pod(auth_core, "leases", "Direct")


@pytest.fixture
def connection(pod: GatePod) -> Iterator[Connection]:
    with Connection(Endpoint(pod.gate.ports.ingress, host=POD_ADDRESS)) as connection:
        yield connection


def leases(core: CoreEtcd) -> set[str]:
    return set(core.etcdctl().run("lease", "list").splitlines()[1:])


@pytest.mark.parametrize("message", LAWFUL.values(), ids=LAWFUL)
@pytest.mark.parametrize("piece", [100, 1])
def test_a_time_to_live_passes(connection: Connection, message: bytes, piece: int) -> None:
    stream = connection.open(GRANT)
    body = frame(message)
    for start in range(0, len(body), piece):
        stream.send_raw(body[start : start + piece])
    stream.end()
    assert stream.wait().code == OK


@pytest.mark.parametrize("body", UNLAWFUL.values(), ids=UNLAWFUL)
@pytest.mark.parametrize("piece", [100, 1])
def test_nothing_else_passes(
    connection: Connection, auth_core: CoreEtcd, body: bytes, piece: int
) -> None:
    before = leases(auth_core)
    stream = connection.open(GRANT)
    for start in range(0, len(body), piece):
        stream.send_raw(body[start : start + piece])
    stream.end()
    answer = stream.wait()
    assert (answer.code, answer.text) == (PERMISSION_DENIED, REFUSAL)
    # Short ones of before may have ended.
    assert leases(auth_core) <= before


def test_a_giant_is_refused_before_it_is_whole(connection: Connection, pod: GatePod) -> None:
    stream = connection.open(GRANT)
    # It never ends: whoever waits for the rest does not answer.
    stream.send_raw(bytes(1 << 14))
    answer = stream.wait()
    assert answer.code not in {OK, None} or answer.reset is not None
    assert connection.exchange(GRANT, frame(TEN_MINUTES)).code == OK


def test_too_many_are_answered_so_that_clients_try_again(
    auth_core: CoreEtcd, make_pod: MakePod
) -> None:
    pod = make_pod(auth_core, "many", "Direct")
    many = 2 * limits.LEASE_GRANTS_BURST
    with Connection(Endpoint(pod.gate.ports.ingress, host=POD_ADDRESS)) as connection:
        codes = [connection.exchange(GRANT, frame(TEN_MINUTES)).code for _ in range(many)]
    assert set(codes) == {OK, UNAVAILABLE}
    # etcd's own client hides the wait from its user.
    assert "granted" in pod.etcdctl().run("lease", "grant", "600")
