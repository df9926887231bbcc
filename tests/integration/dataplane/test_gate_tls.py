"""Certificates of both sides change while the gate runs, and only the listed clients get in."""

import socket
import ssl
from pathlib import Path

import pytest

from controller.dataplane.gate import LIVE_PATH, READY_PATH, Gate
from controller.pki import Pair
from hack.cluster import pki
from hack.cluster.command import CommandError
from hack.dataplane import CoreEtcd, GatePod, Tenant, answers
from hack.dataplane.certificates import CoreCertificates
from hack.dataplane.gatepod import POD_ADDRESS
from hack.dataplane.programs import Programs
from tests.integration.dataplane.conftest import MakePod, core_files
from tests.support.eventually import eventually

STRANGER = "urn:etcdproxy:another"


@pytest.mark.parametrize("stale", ["pair", "ca"])
def test_a_pair_and_a_ca_towards_the_core_are_taken_as_they_come(
    auth_core: CoreEtcd, data_plane: Programs, tmp_path: Path, stale: str
) -> None:
    right = core_files(auth_core, "swap")
    assert right is not None
    other = CoreCertificates(tmp_path / "pki")
    wrong = other.files(other.user("etcdstorage:swap"))
    parts = {"ca.pem"} if stale == "ca" else {"tls.crt", "tls.key"}
    gate = Gate("swap", "Direct", True, auth_core.urls, "token")
    first = right | {name: wrong[name] for name in parts}
    pod = GatePod(tmp_path / "pod", data_plane, gate, core=first)
    try:
        pod.start()
        answers.await_answer(pod.url(LIVE_PATH), [pod.envoy])
        with pytest.raises(CommandError, match=r"Unavailable|TLS|authentication"):
            pod.etcdctl().run("get", "/swap/k", "--command-timeout=1s")
        pod.write_core(right)
        answers.await_answer(pod.url(READY_PATH), [pod.envoy])
        pod.etcdctl().run("get", "/swap/k")
    finally:
        pod.stop(grace=0)


@pytest.fixture
def pod(plain_core: CoreEtcd, make_pod: MakePod) -> GatePod:
    return make_pod(plain_core, "tls", tls=True)


def lets_in(pod: GatePod, pair: Pair) -> bool:
    try:
        pod.etcdctl(pair).run("get", "k", "--command-timeout=2s", "--dial-timeout=2s")
    except CommandError:
        return False
    return True


def test_only_the_listed_client_gets_in(pod: GatePod, tmp_path: Path) -> None:
    another = Tenant(tmp_path, names=("localhost",), ips=())
    assert lets_in(pod, pod.tenant.client())
    assert not lets_in(pod, pod.tenant.client(STRANGER))
    assert not lets_in(pod, another.client())
    # Its own serving pair, which the same authority signed.
    assert not lets_in(pod, pod.tenant.serving())


def test_a_bundle_of_clients_is_taken_as_it_comes(pod: GatePod, tmp_path: Path) -> None:
    old, new = pod.tenant, Tenant(tmp_path, names=("localhost",), ips=())
    files = old.files()
    both = files["ca.crt"] + new.authority.cert_pem
    assert not lets_in(pod, new.client())
    pod.write_serving(files | {"ca.crt": both})
    eventually(lambda: lets_in(pod, new.client()))
    assert lets_in(pod, old.client())
    pod.write_serving(files | {"ca.crt": new.authority.cert_pem})
    eventually(lambda: not lets_in(pod, old.client()))
    assert lets_in(pod, new.client())


def test_a_serving_pair_is_taken_as_it_comes(pod: GatePod) -> None:
    client = pod.tenant.client()
    before = served(pod, client)
    pod.write_serving(pod.tenant.files())
    eventually(lambda: served(pod, client) != before)


def served(pod: GatePod, client: Pair) -> bytes:
    """Return the certificate that a client is shown, in DER."""
    pki.write(client, pod.folder, "client")
    context = ssl.create_default_context(cadata=pod.tenant.authority.cert_pem.decode())
    context.load_cert_chain(pod.folder / "client.crt", pod.folder / "client.key")
    address = (POD_ADDRESS, pod.gate.ports.ingress)
    with (
        socket.create_connection(address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""
