"""How many watches a tenant may have, and what becomes of a client with one too many."""

import random
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.core.messages import define
from controller.dataplane.gate import limits
from controller.dataplane.gate.watches import REFUSAL
from hack.dataplane import CoreEtcd, GatePod
from hack.dataplane.gatepod import POD_ADDRESS
from tests.integration.dataplane.conftest import MakePod, Mode
from tests.support.etcdmessages import field, put, watch
from tests.support.etcdrpc import (
    OK,
    UNAVAILABLE,
    Answer,
    Connection,
    Endpoint,
    Stream,
    frame,
)
from tests.support.eventually import eventually

PUT = "/etcdserverpb.KV/Put"
WATCH = "/etcdserverpb.Watch/Watch"

ASK_PROGRESS = field(3, b"")
CANCEL = field(2, field(1, 7))
NOTHING = watch(b"k", start=2**64 - 1)
"""A WatchRequest of before all revisions: answered at once, in both modes, and no watch."""
ALL = limits.STREAM_WATCHES

WATCH_RESPONSE = define({"WatchResponse": ("bool created 3",)})["WatchResponse"]
"""What is used of it, with etcd's own field number."""


@contextmanager
def connected(pod: GatePod) -> Iterator[Connection]:
    with Connection(Endpoint(pod.gate.ports.ingress, host=POD_ADDRESS)) as connection:
        yield connection


def created(stream: Stream) -> int:
    """Return how many requests for watches have been answered."""
    answers = map(WATCH_RESPONSE.FromString, stream.answer.messages())
    return sum(answer.created for answer in answers)


def filled(connection: Connection, count: int = ALL, message: bytes = NOTHING) -> Stream:
    """Return a stream that carries so many new watches; etcd has answered each."""
    stream = connection.open(WATCH)
    stream.send_raw(frame(message) * count)
    assert len(stream.receive(count)) == count
    assert not stream.answer.ended
    return stream


def one_too_many(answer: Answer) -> bool:
    return (answer.code, answer.text) == (UNAVAILABLE, REFUSAL)


@pytest.fixture(scope="module")
def pod(auth_core: CoreEtcd, keep_pod: MakePod) -> GatePod:
    return keep_pod(auth_core, "watches", "Direct")


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_a_stream_ends_with_the_first_one_too_many_and_another_goes_on(
    auth_core: CoreEtcd, make_pod: MakePod, mode: Mode
) -> None:
    pod = make_pod(auth_core, "stream", mode)
    key = b"/stream/k" if pod.gate.direct else b"k"
    with connected(pod) as connection:
        other = filled(connection, 1, watch(key))
        full = filled(connection)
        full.send(NOTHING)
        assert one_too_many(full.wait())
        assert connection.call(PUT, put(key)).code == OK
        assert len(other.receive(2)) == 2
        filled(connection).reset()
    assert pod.envoy.tail() == ""


def test_what_creates_no_watch_does_not_count(pod: GatePod) -> None:
    with connected(pod) as connection:
        # Those few count that are cut at their beginning.
        stream = filled(connection, ALL - 100)
        stream.send_raw((frame(CANCEL) + frame(ASK_PROGRESS)) * 1000 + frame(NOTHING))
        connection.pump(lambda: stream.answer.ended or created(stream) == ALL - 99)
        assert not stream.answer.ended


DISGUISED = {
    "nothing": b"",
    "an unknown field first": field(9, b"unknown") + NOTHING,
    "progress first": ASK_PROGRESS + NOTHING,
    "a cancellation first": CANCEL + NOTHING,
    "a long tag": b"\x8a\x80\x00" + NOTHING[1:],
    "a long length": b"\x1a\x80\x00" + NOTHING,
    "a length that is also that of the rest": b"\x1a" + bytes((3 + 128 - 1,)) + b"\x00" * 128,
    "one byte": b"\x1a",
}


@pytest.mark.parametrize("message", DISGUISED.values(), ids=DISGUISED)
def test_what_may_create_a_watch_counts(pod: GatePod, message: bytes) -> None:
    with connected(pod) as connection:
        stream = filled(connection)
        stream.send(message)
        assert one_too_many(stream.wait())


def test_what_is_compressed_counts(pod: GatePod) -> None:
    with connected(pod) as connection:
        stream = filled(connection)
        stream.send_raw(frame(ASK_PROGRESS, compressed=1))
        assert one_too_many(stream.wait())


def test_what_the_core_has_to_keep_more_of_counts_for_several(pod: GatePod) -> None:
    with connected(pod) as connection:
        stream = filled(connection, ALL - 9)
        for size in (8, 9):
            assert not stream.answer.ended
            stream.send(watch(b"k" * limits.WATCH_BYTES * size))
        assert one_too_many(stream.wait())


def test_pieces_of_any_size_are_one_stream(pod: GatePod) -> None:
    rng = random.Random(0)
    keys = [b"/watches/" + b"k" * rng.choice((1, 100, 200, 2000)) for _ in range(100)]
    body = b"".join(frame(watch(key)) for key in keys)
    cost = sum(1 + len(watch(key)) // limits.WATCH_BYTES for key in keys)
    body += frame(NOTHING) * (ALL - cost)
    with connected(pod) as connection:
        stream = connection.open(WATCH)
        while body:
            size = rng.choice((1, 2, 3, 5, 8, 13, 1000))
            piece, body = body[:size], body[size:]
            stream.send_raw(piece)
        connection.pump(lambda: created(stream) == ALL - cost + len(keys))
        assert not stream.answer.ended
        stream.send(NOTHING)
        assert one_too_many(stream.wait())


@pytest.mark.parametrize("cut", range(1, 7))
def test_one_too_many_may_come_in_pieces(pod: GatePod, cut: int) -> None:
    with connected(pod) as connection:
        stream = filled(connection)
        stream.send_raw(frame(NOTHING)[:cut])
        assert connection.call(PUT, put(b"/watches/k")).code == OK
        stream.send_raw(frame(NOTHING)[cut:])
        assert one_too_many(stream.wait())


def test_all_streams_together_are_bounded_and_give_back_what_they_had(pod: GatePod) -> None:
    with connected(pod) as connection:
        streams = [filled(connection) for _ in range(limits.WATCHES // ALL)]
        for stream in streams:
            # The core keeps the watches.
            stream.end()
        assert one_too_many(connection.open(WATCH).wait())
        streams[0].reset()
        eventually(lambda: has_room(connection))


def has_room(connection: Connection) -> bool:
    stream = connection.open(WATCH)
    stream.send(NOTHING)
    answered = stream.receive()
    if not stream.answer.ended:
        stream.reset()
    return bool(answered)


def test_streams_are_bounded(pod: GatePod) -> None:
    with connected(pod) as first, connected(pod) as second:
        streams = [first.open(WATCH) for _ in range(limits.WATCH_STREAMS - 1)]
        filled(second, 1)
        assert one_too_many(second.open(WATCH).wait())
        streams[0].reset()
        eventually(lambda: has_room(second))


# grpc-proxy asks the core before it makes a watch, which takes its time.
@pytest.mark.parametrize(("mode", "count"), [("Proxy", 200), ("Direct", 1000)])
def test_etcds_client_resumes_and_misses_nothing(
    auth_core: CoreEtcd, make_pod: MakePod, tmp_path: Path, mode: Mode, count: int
) -> None:
    pod = make_pod(auth_core, "resumed", mode)
    keys = [f"/resumed/{number}" for number in range(count)]
    written: list[str] = []
    with watching(pod, tmp_path / "seen") as client, connected(pod) as connection:

        def write(count: int) -> None:
            for _ in range(count):
                value = f"value-{len(written)}"
                key = keys[len(written) * 7 % len(keys)].encode()
                assert connection.call(PUT, put(key, value.encode())).code == OK
                written.append(value)

        client.watch(*keys)
        eventually(lambda: watchers(auth_core) >= len(keys))
        write(100)
        eventually(lambda: client.seen() == Counter(written))
        streams = [filled(connection) for _ in range(limits.WATCHES // ALL - 1)]
        # With its next one the other client has no stream any more.
        streams.append(filled(connection, ALL - len(keys)))
        client.watch("/resumed/another")
        eventually(lambda: watchers(auth_core) < len(keys))
        write(100)
        for stream in streams:
            stream.reset()
        write(100)
        keys = ["/resumed/another"]
        write(1)
        eventually(lambda: client.seen() == Counter(written))


def watchers(core: CoreEtcd) -> int:
    found = re.search(r"^etcd_debugging_mvcc_watcher_total (\S+)$", core.metrics(0), re.MULTILINE)
    assert found
    return int(float(found[1]))


class WatchingClient:
    """An `etcdctl watch --interactive`; all its watches are on one stream."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._process = process
        self._output = output

    def watch(self, *keys: str) -> None:
        assert self._process.stdin
        self._process.stdin.write("".join(f"watch {key}\n" for key in keys).encode())
        self._process.stdin.flush()

    def seen(self) -> Counter[str]:
        """Return how often each value was seen."""
        lines = self._output.read_text().splitlines()
        return Counter(line for line in lines if line.startswith("value-"))


@contextmanager
def watching(pod: GatePod, output: Path) -> Iterator[WatchingClient]:
    etcdctl = pod.etcdctl()
    endpoint = f"--endpoints={etcdctl.endpoint}"
    argv = [str(etcdctl.program), endpoint, "watch", "--interactive"]
    with (
        output.open("wb") as file,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=file) as process,
    ):
        try:
            yield WatchingClient(process, output)
        finally:
            process.kill()
