"""What a tenant has under way waits in its own gate, and only some of it in the core."""

import itertools
import re
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from controller.dataplane.gate import METRICS_PATH, limits
from hack.dataplane import CoreEtcd, GatePod, answers
from hack.dataplane.gatepod import POD_ADDRESS
from hack.dataplane.keyvalue import MESSAGES
from tests.integration.dataplane.conftest import MakeCore, MakePod, Mode
from tests.integration.dataplane.test_gate_members import follower
from tests.support.etcdmessages import field, get, put, revoke, watch
from tests.support.etcdrpc import OK, Connection, Endpoint, Stream
from tests.support.eventually import eventually

pytestmark = pytest.mark.long

PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"
REVOKE = "/etcdserverpb.Lease/LeaseRevoke"
WATCH = "/etcdserverpb.Watch/Watch"

ASK_PROGRESS = field(3, b"")
"""A WatchRequest."""

MORE = 10
"""Calls than go on at once."""
MODES: tuple[Mode, ...] = ("Proxy", "Direct")


@contextmanager
def connected(pod: GatePod) -> Iterator[Connection]:
    with Connection(Endpoint(pod.gate.ports.ingress, host=POD_ADDRESS)) as connection:
        yield connection


def prefix(pod: GatePod) -> bytes:
    return pod.gate.prefix.encode() if pod.gate.direct else b""


def under_way(core: CoreEtcd, method: str, member: int = 0) -> int:
    """Return how many calls a member of the core has begun and not answered."""
    counted = re.findall(
        rf'^grpc_server_(started|handled)_total\{{.*grpc_method="{method}".* (\S+)$',
        core.metrics(member),
        re.MULTILINE,
    )
    signs = {"started": 1, "handled": -1}
    return sum(signs[which] * int(float(number)) for which, number in counted)


def waiting(pod: GatePod, queue: str) -> int:
    series = f'envoy_cluster_upstream_rq_pending_active{{envoy_cluster_name="{queue}"}}'
    found = re.search(rf"^{re.escape(series)} (\d+)$", metrics(pod), re.MULTILINE)
    assert found, series
    return int(found[1])


def metrics(pod: GatePod) -> str:
    return answers.get(pod.url(METRICS_PATH))


def opened(connection: Connection, path: str, messages: Iterable[bytes]) -> list[Stream]:
    streams = []
    for message in messages:
        stream = connection.open(path)
        stream.send(message)
        stream.end()
        streams.append(stream)
    return streams


@pytest.mark.parametrize("mode", MODES)
def test_the_core_sees_a_few_at_once_and_watches_do_not_wait(
    make_core: MakeCore, make_pod: MakePod, mode: Mode
) -> None:
    # Without its fellow a member takes calls, and answers none that has to be agreed on.
    core = make_core(members=2, auth=mode == "Direct")
    pod = make_pod(core, "crowd", mode)
    key = prefix(pod) + b"k"
    core.stop_member(1, grace=0)
    with connected(pod) as connection:
        puts = opened(connection, PUT, [put(key)] * (limits.WRITES + MORE))
        eventually(lambda: under_way(core, "Put") == limits.WRITES, what="as many as go at once")
        gets = opened(connection, RANGE, [get(key)] * (limits.READS + MORE))
        eventually(lambda: under_way(core, "Range") >= limits.READS, what="reads beside writes")
        stream = connection.open(WATCH)
        stream.send(watch(key))
        [answer] = stream.receive()
        assert answer
        assert under_way(core, "Put") == limits.WRITES
        # The gate's own health check does not wait behind them.
        assert under_way(core, "Range") <= limits.READS + 1
        eventually(lambda: (waiting(pod, "writes"), waiting(pod, "reads")) == (MORE, MORE))
        core.members[1].start()
        for stream in (*puts, *gets):
            stream.wait(60)


def test_revokes_wait_with_the_writes(make_core: MakeCore, make_pod: MakePod) -> None:
    core = make_core(members=2, auth=True)
    pod = make_pod(core, "revoker", "Direct")
    core.stop_member(1, grace=0)
    with connected(pod) as connection:
        revokes = opened(connection, REVOKE, [revoke(7)] * (limits.WRITES + MORE))
        eventually(
            lambda: under_way(core, "LeaseRevoke") == limits.WRITES, what="as many as go at once"
        )
        puts = opened(connection, PUT, [put(prefix(pod) + b"k")] * MORE)
        eventually(lambda: waiting(pod, "writes") == 2 * MORE, what="puts behind revokes")
        assert (under_way(core, "LeaseRevoke"), under_way(core, "Put")) == (limits.WRITES, 0)
        core.members[1].start()
        for stream in (*revokes, *puts):
            stream.wait(60)


@pytest.mark.parametrize("mode", MODES)
def test_a_list_that_is_held_back_is_whole(
    make_core: MakeCore, make_pod: MakePod, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    # So slow that any client waits for it.
    monkeypatch.setattr(limits, "LISTED_KIB", 1 << 10)
    core = make_core(auth=mode == "Direct")
    pod = make_pod(core, "big", mode)
    keys = [b"%s%02d" % (prefix(pod), number) for number in range(3)]
    value = bytes(1 << 20)
    with connected(pod) as connection:
        for key in keys:
            assert connection.call(PUT, put(key, value)).code == OK
        answer = connection.call(RANGE, get(keys[0], keys[-1] + b"\0"), deadline=60)
    assert answer.code == OK
    [listed] = answer.messages()
    found = MESSAGES["RangeResponse"].FromString(listed).kvs
    assert [each.value == value for each in found] == [True] * len(keys)
    held = r"^envoy_lists_http_bandwidth_limit_response_enforced\S* (\d+)$"
    [count] = re.findall(held, metrics(pod), re.MULTILINE)
    assert int(count) > 0


@pytest.mark.parametrize("mode", MODES)
def test_who_talks_without_end_on_a_stream_is_held_back(
    make_core: MakeCore, make_pod: MakePod, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    monkeypatch.setattr(limits, "STREAMED_KIB", 1)
    core = make_core(auth=mode == "Direct")
    pod = make_pod(core, "talker", mode)
    key = prefix(pod) + b"k"
    held = r"^envoy_lists_http_bandwidth_limit_request_enforced\S* (\d+)$"
    with connected(pod) as connection:
        stream = connection.open(WATCH)
        for _ in range(200):
            stream.send(ASK_PROGRESS)
        eventually(
            lambda: any(int(count) for count in re.findall(held, metrics(pod), re.MULTILINE)),
            what="it is held back",
        )
        # What was said is neither lost nor torn.
        stream.send(watch(key))
        stream.receive(deadline=30)
        assert connection.call(PUT, put(key, b"seen")).code == OK
        connection.pump(lambda: b"seen" in stream.answer.body, 30)


def test_what_waits_outlives_a_member_of_the_core(make_core: MakeCore, make_pod: MakePod) -> None:
    core = make_core(members=3, auth=True)
    pod = make_pod(core, "queue", "Direct")
    many = 20 * limits.WRITES
    with (
        grpc.insecure_channel(f"{POD_ADDRESS}:{pod.gate.ports.ingress}") as channel,
        ThreadPoolExecutor(many) as threads,
    ):
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PUT)

        over, written = threading.Event(), itertools.count()

        def write(number: int) -> str:
            codes = set()
            while not over.is_set():
                try:
                    call(put(b"/queue/%d" % number), timeout=60)
                    next(written)
                except grpc.RpcError as error:
                    codes.add(str(error))
            return "".join(codes)

        futures: list[Future[str]] = [threads.submit(write, number) for number in range(many)]
        try:
            eventually(lambda: waiting(pod, "writes") > limits.WRITES)
            core.stop_member(follower(core), grace=0)
            enough = next(written) + 2 * many
            eventually(lambda: next(written) > enough, every=0.1)
        finally:
            over.set()
        failures = [failure for future in futures if (failure := future.result())]
    # Those alone that the member may have seen have no certain end.
    assert len(failures) <= limits.WRITES
    assert core.etcdctl().run("get", "/queue/", "--prefix", "--keys-only").split()
