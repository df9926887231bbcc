"""Certificates of both sides change while the gate runs, and only the listed clients get in."""

import shutil
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from controller.dataplane.gate import (
    CERTS_PATH,
    CLIENTS_FILE,
    LIVE_PATH,
    METRICS_PATH,
    PAIR_FILE,
    READY_PATH,
    Gate,
    clients_file,
    limits,
    pair_file,
)
from controller.pki import Pair
from controller.pki.pem import read_certificates
from hack.cluster import pki
from hack.cluster.command import CommandError
from hack.dataplane import CoreEtcd, GatePod, Tenant, answers
from hack.dataplane.certificates import CoreCertificates, serving_files
from hack.dataplane.gatepod import POD_ADDRESS
from hack.dataplane.programs import Programs
from tests.integration.dataplane import certified
from tests.integration.dataplane.certified import RANGE, Load, certificates
from tests.integration.dataplane.conftest import MakeCore, MakePod, Mode, core_files
from tests.support.etcdrpc import Connection, Endpoint
from tests.support.eventually import eventually

pytestmark = pytest.mark.long

STRANGER = "urn:etcdproxy:another"

UNAVAILABLE = 14
UNAUTHENTICATED = 16
"""Codes of gRPC."""


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
        with Connection(Endpoint(pod.gate.ports.ingress, host=POD_ADDRESS)) as connection:
            answer = connection.call(RANGE, b"\x0a\x07/swap/k")
        assert answer.code in {UNAVAILABLE, UNAUTHENTICATED}, answer
        pod.write_core(right)
        answers.await_answer(pod.url(READY_PATH), [pod.envoy])
        pod.etcdctl().run("get", "/swap/k")
    finally:
        pod.stop(grace=0)


CORE_DAMAGE: dict[str, dict[str, Callable[[bytes], bytes]]] = {
    "an empty certificate": {"tls.crt": lambda _: b""},
    "an empty key": {"tls.key": lambda _: b""},
    "half a certificate": {"tls.crt": lambda content: content[: len(content) // 2]},
    "the key of another": {"tls.key": lambda _: CoreCertificates(Path()).root.key_pem},
    "an empty CA": {"ca.pem": lambda _: b""},
    "half a CA": {"ca.pem": lambda content: content[: len(content) // 2]},
}


def test_the_last_good_pair_and_ca_go_on_towards_the_core(
    make_core: MakeCore, make_pod: MakePod
) -> None:
    core = make_core(auth=True)
    pod = make_pod(core, "damaged", "Direct")
    for number, (what, damage) in enumerate(CORE_DAMAGE.items()):
        # What comes after damage has to differ from what was before it, see the gate's tls.py.
        good = core_files(core, "damaged")
        assert good is not None
        pod.write_core(good)
        eventually(partial(uses_pair, pod, good["tls.crt"]), what="the pair is in use")
        pod.write_core(good | {name: do(good[name]) for name, do in damage.items()})
        eventually(partial(refused, pod, number), what=f"{what} is refused")
        # Only a new connection needs any of it.
        core.stop_member(0, grace=0)
        core.members[0].start()
        core.await_ready()
        eventually(partial(reads, pod, "/damaged/k"), what=f"reads in spite of {what}")


def refused(pod: GatePod, before: int) -> bool:
    """Whether the gate has refused more changes towards the core than these."""
    names = [f"envoy_sds_core_{what}_key_rotation_failed{{}}" for what in ("pair", "ca")]
    lines = answers.get(pod.url(METRICS_PATH)).splitlines()
    counts = [line.rpartition(" ")[2] for line in lines if line.startswith(tuple(names))]
    return sum(map(int, counts)) > before


def uses_pair(pod: GatePod, pem: bytes) -> bool:
    serial = x509.load_pem_x509_certificate(pem).serial_number
    # Envoy writes whole bytes.
    text = serial.to_bytes(20).hex().lstrip("0")
    return f'{text}"' in answers.get(pod.url(CERTS_PATH))


def reads(pod: GatePod, key: str) -> bool:
    try:
        pod.etcdctl().run("get", key, "--command-timeout=2s")
    except CommandError:
        return False
    return True


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_nothing_fails_while_pair_and_ca_towards_the_core_change(
    make_core: MakeCore, make_pod: MakePod, data_plane: Programs, tmp_path: Path, mode: Mode
) -> None:
    core = make_core(auth=True)
    pod = make_pod(core, "moved", mode)
    first, second = core.certificates, CoreCertificates(tmp_path / "pki")
    load = Load("load", tmp_path, pod)
    second.write()
    with load.working():
        both = first.authority.cert_pem + second.authority.cert_pem
        for bundle in (both, second.authority.cert_pem):
            files = first.files(first.user("etcdstorage:moved")) | {"ca.pem": bundle}
            pod.write_core(files)
            eventually(partial(uses_pair, pod, files["tls.crt"]), what="the pair is in use")
            # etcd reads its own at every handshake.
            for name in ("server.crt", "server.key"):
                shutil.copy(second.folder / name, first.folder / name)
    # What connects now has to use both.
    core.stop_member(0, grace=0)
    core.members[0].start()
    core.await_ready()
    eventually(partial(reads, pod, "/moved/k" if pod.gate.direct else "k"))


def test_what_the_probe_tells_of_certificates_is_no_secret(
    auth_core: CoreEtcd, make_pod: MakePod
) -> None:
    pod = make_pod(auth_core, "told", "Direct", tls=True)
    told = answers.get(pod.url(CERTS_PATH))
    assert "etcd-told.kube-apiserver-storage.svc" in told
    assert "PRIVATE" not in told
    assert "BEGIN" not in told
    for another in ("closed", "direct", "swap"):
        assert another not in told


@pytest.fixture
def pod(plain_core: CoreEtcd, make_pod: MakePod) -> GatePod:
    return make_pod(plain_core, "tls", tls=True)


def lets_in(pod: GatePod, pair: Pair) -> bool:
    return certified.lets_in(pod, context_of(pod, pair))


def test_only_the_listed_client_gets_in(pod: GatePod, tmp_path: Path) -> None:
    another = Tenant(tmp_path, names=("localhost",), ips=())
    assert lets_in(pod, pod.tenant.client())
    assert not lets_in(pod, pod.tenant.client(STRANGER))
    assert not lets_in(pod, another.client())
    # Its own serving pair, which the same authority signed.
    assert not lets_in(pod, pod.tenant.serving())


def test_who_does_not_shake_hands_makes_room(
    plain_core: CoreEtcd, make_pod: MakePod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE", 1)
    monkeypatch.setattr(limits, "CONNECTIONS", 3)
    pod = make_pod(plain_core, "mute", tls=True)
    address = (POD_ADDRESS, pod.gate.ports.ingress)
    with ExitStack() as strangers:
        for _ in range(limits.CONNECTIONS):
            strangers.enter_context(socket.create_connection(address))
        client = pod.tenant.client()
        eventually(lambda: lets_in(pod, client), what="the tenant finds room")


def test_a_bundle_of_clients_is_taken_as_it_comes(pod: GatePod, tmp_path: Path) -> None:
    old, new = pod.tenant, Tenant(tmp_path, names=("localhost",), ips=())
    pair, bundle = old.serving(), old.authority.cert_pem
    assert not lets_in(pod, new.client())
    pod.write_serving(serving_files(pair, bundle + new.authority.cert_pem, Tenant.URI))
    eventually(lambda: lets_in(pod, new.client()))
    assert lets_in(pod, old.client())
    pod.write_serving(serving_files(pair, new.authority.cert_pem, Tenant.URI))
    eventually(lambda: not lets_in(pod, old.client()))
    assert lets_in(pod, new.client())


def test_a_serving_pair_is_taken_as_it_comes(pod: GatePod) -> None:
    client = pod.tenant.client()
    before = served(pod, client)
    pod.write_serving(pod.tenant.files())
    eventually(lambda: served(pod, client) != before)


SERVING_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "an empty file": lambda _: b"",
    "an empty pair": lambda _: pair_file(b"", b""),
    "half a file": lambda content: content[: len(content) // 2],
    "rubbish": lambda _: b"rubbish",
}


@pytest.mark.parametrize("what", SERVING_DAMAGE)
def test_the_last_good_pair_goes_on_and_comes_again(pod: GatePod, what: str) -> None:
    good = pod.tenant.files()
    client = pod.tenant.client()
    pod.write_serving(good)
    own = read_certificates(certificates(good[PAIR_FILE]))[0].public_bytes(Encoding.DER)
    eventually(lambda: served(pod, client) == own)
    damaged = SERVING_DAMAGE[what](good[PAIR_FILE])
    pod.write_serving(good | {PAIR_FILE: damaged})
    eventually(lambda: not_taken(pod, "serving_pair"), what=f"{what} is refused")
    assert served(pod, client) == own
    pod.write_serving(good)
    # A change of the list makes Envoy use the pair that it has now.
    listed = good | {CLIENTS_FILE: pod.tenant.files(Tenant.URI, STRANGER)[CLIENTS_FILE]}
    pod.write_serving(listed)
    eventually(lambda: lets_in(pod, pod.tenant.client(STRANGER)))
    assert served(pod, client) == own
    assert "PRIVATE KEY" not in pod.envoy.log.read_text()


LIST_DAMAGE = {
    "an empty file": b"",
    "no list": b"{}",
    "rubbish": b'{"resources": [',
    "a bundle of nobody": clients_file((Tenant.URI,), b""),
    "a bundle of rubbish": clients_file((Tenant.URI,), b"rubbish"),
}


@pytest.mark.parametrize("what", LIST_DAMAGE)
def test_the_last_good_list_of_clients_goes_on(pod: GatePod, what: str) -> None:
    good = pod.tenant.files()
    pod.write_serving(good)
    pod.write_serving(good | {CLIENTS_FILE: LIST_DAMAGE[what]})
    eventually(lambda: not_taken(pod, "clients"), what=f"{what} is refused")
    assert lets_in(pod, pod.tenant.client())
    assert not lets_in(pod, pod.tenant.client(STRANGER))
    pod.write_serving(pod.tenant.files(STRANGER))
    eventually(lambda: lets_in(pod, pod.tenant.client(STRANGER)))
    assert not lets_in(pod, pod.tenant.client())


def not_taken(pod: GatePod, secret: str) -> bool:
    names = [f"envoy_sds_{secret}_update_{how}{{}}" for how in ("failure", "rejected")]
    lines = answers.get(pod.url(METRICS_PATH)).splitlines()
    return any(line.startswith(tuple(names)) and not line.endswith(" 0") for line in lines)


def test_a_gate_that_finds_no_certificates_yet_serves_when_they_come(
    plain_core: CoreEtcd, data_plane: Programs, tmp_path: Path
) -> None:
    gate = Gate("late", "Proxy", False, plain_core.urls, "token", tls=True)
    pod = GatePod(tmp_path, data_plane, gate)
    good = pod.tenant.files()
    pod.tenant.files = lambda *_: {PAIR_FILE: b"", CLIENTS_FILE: b""}  # type: ignore[method-assign]
    try:
        pod.start()
        answers.await_answer(pod.url(LIVE_PATH), [pod.envoy])
        assert not lets_in(pod, pod.tenant.client())
        pod.write_serving(good)
        eventually(lambda: lets_in(pod, pod.tenant.client()))
    finally:
        pod.stop(grace=0)


def served(pod: GatePod, client: Pair) -> bytes:
    """Return the certificate that a client is shown, in DER."""
    with certified.endpoint(pod, context_of(pod, client)).dial() as secured:
        assert isinstance(secured, ssl.SSLSocket)
        return secured.getpeercert(binary_form=True) or b""


def context_of(pod: GatePod, client: Pair) -> ssl.SSLContext:
    """Return what a client with this pair needs, that trusts the tenant's authority."""
    pki.write(client, pod.folder, "client")
    context = ssl.create_default_context(cadata=pod.tenant.authority.cert_pem.decode())
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(pod.folder / "client.crt", pod.folder / "client.key")
    return context
