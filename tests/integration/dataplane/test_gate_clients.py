"""Which list of clients a gate goes by, as it says itself: none before it lets them in."""

from pathlib import Path

import pytest

from controller.dataplane.gate import CLIENTS_FILE, CLIENTS_PATH, METRICS_PATH, clients_version
from controller.gatecerts import ask
from controller.pki.leaves import client_uri
from hack.dataplane import CoreEtcd, GatePod, answers
from hack.dataplane.gatepod import POD_ADDRESS
from tests.integration.dataplane.certified import Certified, Consumer, lets_in
from tests.integration.dataplane.conftest import MakePod
from tests.support.eventually import eventually

pytestmark = pytest.mark.long

STORAGE = "lists"


def version(*clients: str) -> str:
    return clients_version(tuple(client_uri(STORAGE, "ns", client) for client in clients))


def listed(pod: GatePod) -> str:
    """Return the version that the gate tells; that of no list if it serves nothing yet."""
    found = ask(POD_ADDRESS, pod.gate.ports.probe, STORAGE)
    return found.clients if found else ""


def rejected(pod: GatePod) -> int:
    lines = answers.get(pod.url(METRICS_PATH)).splitlines()
    name = "envoy_sds_clients_update_rejected"
    return sum(int(line.split()[-1]) for line in lines if line.startswith(name))


def test_a_list_is_told_of_when_it_is_taken_and_one_that_is_refused_is_not(
    plain_core: CoreEtcd, make_pod: MakePod, tmp_path: Path
) -> None:
    pod, certified = make_pod(plain_core, STORAGE, tls=True), Certified(STORAGE)
    pod.write_serving(certified.serving("one"))
    eventually(lambda: listed(pod) == version("one"))
    one, another = Consumer(tmp_path / "one"), Consumer(tmp_path / "another")
    one.take(certified.client("one"))
    another.take(certified.client("another"))
    good = certified.serving("one", "another")
    spoilt = good[CLIENTS_FILE].replace(b"-----BEGIN", b"-----")
    pod.write_serving(good | {CLIENTS_FILE: spoilt})
    eventually(lambda: rejected(pod) > 0)
    assert listed(pod) == version("one")
    assert lets_in(pod, one.context())
    assert not lets_in(pod, another.context())
    pod.write_serving(good)
    eventually(lambda: listed(pod) == version("another", "one"))
    eventually(lambda: lets_in(pod, another.context()))
    # Nobody learns there who is let in.
    told = answers.get(pod.url(CLIENTS_PATH))
    assert version("another", "one") in told
    assert "ns" not in told.replace("version", "")
