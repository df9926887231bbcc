"""A core of three members, one of which dies, or stops without a word."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from controller.dataplane.gate import METRICS_PATH, READY_PATH
from hack.dataplane import CoreEtcd, GatePod, answers
from hack.dataplane.gatepod import POD_ADDRESS
from tests.integration.dataplane.conftest import MakeCore, MakePod, Mode
from tests.support.etcdmessages import get, put, watch
from tests.support.etcdrpc import OK, Connection, Endpoint
from tests.support.eventually import eventually

pytestmark = pytest.mark.long

PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"
WATCH = "/etcdserverpb.Watch/Watch"

ROUND = 12
"""Calls of each kind, of which each would meet a member of three by its turn."""


def follower(core: CoreEtcd) -> int:
    """Return the index of a member that does not lead."""
    found = core.etcdctl().json("endpoint", "status")
    statuses = {status["Endpoint"]: status["Status"] for status in found}
    leads = [statuses[url]["header"]["member_id"] == statuses[url]["leader"] for url in core.urls]
    return leads.index(False)


@contextmanager
def silent(core: CoreEtcd, index: int) -> Iterator[None]:
    """Stop a member, which takes connections and answers nothing meanwhile."""
    pid = core.members[index].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def served(pod: GatePod) -> bool:
    """Whether a round of writes, reads and new watches is answered, each within two seconds."""
    key = pod.gate.prefix.encode() + b"k" if pod.gate.direct else b"k"
    try:
        with Connection(Endpoint(pod.gate.ports.ingress, host=POD_ADDRESS)) as connection:
            for _ in range(ROUND):
                assert connection.call(PUT, put(key), deadline=2).code == OK
                assert connection.call(RANGE, get(key), deadline=2).code == OK
                stream = connection.open(WATCH)
                stream.send(watch(key))
                [answer] = stream.receive(deadline=2)
                assert answer
                stream.reset()
    except (AssertionError, OSError, ValueError):
        return False
    return True


def members_in_use(pod: GatePod) -> int:
    found = re.search(
        r'^envoy_cluster_membership_healthy\{envoy_cluster_name="core"\} (\d+)$',
        answers.get(pod.url(METRICS_PATH)),
        re.MULTILINE,
    )
    assert found
    return int(found[1])


def test_no_request_fails_that_a_dead_member_has_not_seen(
    make_core: MakeCore, make_pod: MakePod
) -> None:
    core = make_core(members=3)
    pod = make_pod(core, "members")
    client = pod.etcdctl()
    for number in range(6):
        client.run("put", "k", str(number))
    core.stop_member(follower(core), grace=0)
    # Each would meet it with one chance in three.
    for number in range(12):
        client.run("put", "k", str(number))
        assert client.run("get", "k", "--print-value-only").split() == [str(number)]


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_calls_avoid_a_silent_member_until_it_speaks_again(
    make_core: MakeCore, make_pod: MakePod, mode: Mode
) -> None:
    core = make_core(members=3, auth=mode == "Direct")
    pod = make_pod(core, "silent", mode)
    eventually(lambda: served(pod))
    assert members_in_use(pod) == 3
    with silent(core, follower(core)):
        eventually(lambda: served(pod))
        assert members_in_use(pod) == 2
        # One is enough to be ready.
        answers.get(pod.url(READY_PATH))
    eventually(lambda: members_in_use(pod) == 3)
    eventually(lambda: served(pod))


def test_calls_go_to_silent_members_where_no_other_is_left(
    make_core: MakeCore, make_pod: MakePod
) -> None:
    core = make_core(auth=True)
    pod = make_pod(core, "alone", "Direct")
    with silent(core, 0):
        eventually(lambda: members_in_use(pod) == 0)
        with Connection(Endpoint(pod.gate.ports.ingress, host=POD_ADDRESS)) as connection:
            stream = connection.open(RANGE)
            stream.send(get(b"/alone/k"))
            stream.end()
            with pytest.raises(TimeoutError):
                stream.wait(0.5)
    eventually(lambda: served(pod))
