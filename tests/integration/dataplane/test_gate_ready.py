"""Readiness is a read through to the core."""

import os
import signal
from http.client import HTTPException

import pytest

from controller.core.identity import user_name
from controller.dataplane.gate import LIVE_PATH, METRICS_PATH, PROXY_LIVE_PATH, READY_PATH
from hack.dataplane import CoreEtcd, GatePod, answers
from tests.integration.dataplane.conftest import MakeCore, MakePod
from tests.support.eventually import eventually

pytestmark = pytest.mark.long


def ready(pod: GatePod) -> bool:
    return answered(pod, READY_PATH)


def answered(pod: GatePod, path: str) -> bool:
    try:
        answers.get(pod.url(path))
    except HTTPException as error:
        assert " 503 " in str(error)  # noqa: PT017 any other answer is a failure of the test
        return False
    return True


def proxy_connections(pod: GatePod) -> float:
    """Return how many the gate has tried to open."""
    try:
        text = answers.get(pod.url(METRICS_PATH))
    except OSError:
        return 0  # its listeners are not open yet
    name = 'envoy_cluster_upstream_cx_total{envoy_cluster_name="proxy"}'
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_a_pod_is_not_ready_before_its_sidecar_is(plain_core: CoreEtcd, make_pod: MakePod) -> None:
    pod = make_pod(plain_core, "sidecar")
    assert pod.proxy is not None
    pod.stop(grace=0)
    pod.envoy.start()
    eventually(lambda: proxy_connections(pod) > 0)
    assert not ready(pod)
    pod.proxy.start()
    eventually(lambda: ready(pod))


def test_a_pod_whose_reads_are_denied_is_not_ready_until_they_are_not(
    make_core: MakeCore, make_pod: MakePod
) -> None:
    core = make_core(auth=True)
    pods = [make_pod(core, "denied", mode) for mode in ("Proxy", "Direct")]
    user = user_name("denied")
    core.etcdctl().run("user", "revoke-role", user, user)
    eventually(lambda: not any(map(ready, pods)))
    core.etcdctl().run("user", "grant-role", user, user)
    eventually(lambda: all(map(ready, pods)))


def test_a_pod_without_a_core_is_alive_and_not_ready_until_it_is_back(
    make_core: MakeCore, make_pod: MakePod
) -> None:
    core = make_core(auth=True)
    pods = [make_pod(core, "alone", mode) for mode in ("Proxy", "Direct")]
    core.stop_member(0, grace=0)
    eventually(lambda: not any(map(ready, pods)))
    for pod in pods:
        answers.get(pod.url(LIVE_PATH))
    # It is not grpc-proxy's fault.
    answers.get(pods[0].url(PROXY_LIVE_PATH))
    core.members[0].start()
    eventually(lambda: all(map(ready, pods)))


def test_a_sidecar_that_hangs_is_told_from_a_core_that_does(
    make_core: MakeCore, make_pod: MakePod
) -> None:
    core = make_core()
    pod = make_pod(core, "hanging")
    assert pod.proxy is not None
    proxy = pod.proxy.pid
    member = core.members[0].pid
    assert proxy is not None
    assert member is not None
    assert answered(pod, PROXY_LIVE_PATH)
    os.kill(proxy, signal.SIGSTOP)
    try:
        eventually(lambda: not answered(pod, PROXY_LIVE_PATH))
        eventually(lambda: not ready(pod))
        os.kill(member, signal.SIGSTOP)
        try:
            eventually(lambda: answered(pod, PROXY_LIVE_PATH))
        finally:
            os.kill(member, signal.SIGCONT)
    finally:
        os.kill(proxy, signal.SIGCONT)
    eventually(lambda: ready(pod))
    assert answered(pod, PROXY_LIVE_PATH)
