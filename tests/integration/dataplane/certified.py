"""A storage's certificates as the controller has them made, and clients that use them."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.dataplane.gate import CLIENTS_FILE, PAIR_FILE, clients_file, pair_file
from controller.gatecerts import Served, ask
from controller.pki.authority import Leaf
from controller.pki.leaves import client_leaf, client_uri, leaf_pair, service_dns, serving_leaf
from controller.pki.pem import read_certificates
from controller.pki.rotation import Terms, look
from controller.pki.trust import Trust
from hack.cluster import binaries
from hack.cluster.process import Process
from hack.dataplane import Etcdctl, GatePod, projected
from hack.dataplane.gatepod import POD_ADDRESS
from tests.support.etcdrpc import OK, Connection, Endpoint
from tests.support.eventually import eventually

Files = Mapping[str, bytes]

RANGE = "/etcdserverpb.KV/Range"
RANGE_OF_K = b"\x0a\x01k"
"""A RangeRequest of the key k."""


class Certified:
    """What is delivered, newly made at every call; nothing but the authorities is remembered."""

    def __init__(self, storage: str) -> None:
        self.storage = storage
        dns = ("localhost", *service_dns(f"etcd-{storage}", "ns"))
        self._serving = serving_leaf(dns, (POD_ADDRESS,))
        self._terms = Terms(storage, dns, timedelta(days=90), timedelta(days=9))
        self._secret: dict[str, Any] | None = None
        self._generation = 0
        self.trust = self._look()

    def rotate(self) -> None:
        """Let another authority sign from now on."""
        self._generation += 1
        self.trust = self._look()

    def serving(self, *clients: str) -> dict[str, bytes]:
        """Return what the gate is given to let in these."""
        chain, key = self._pair(self._serving)
        uris = tuple(client_uri(self.storage, "ns", client) for client in clients)
        return {
            PAIR_FILE: pair_file(chain, key),
            CLIENTS_FILE: clients_file(uris, self.trust.bundle(self.now)),
        }

    def client(self, name: str, *, storage: str = "", days_ago: int = 0) -> dict[str, bytes]:
        """Return what a consumer is given."""
        leaf = client_leaf(client_uri(storage or self.storage, "ns", name))
        chain, key = self._pair(leaf, days_ago)
        bundle = self.trust.bundle(self.now)
        return {"tls.crt": chain, "tls.key": key, "ca.crt": bundle}

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def _pair(self, leaf: Leaf, days_ago: int = 0) -> tuple[bytes, bytes]:
        then = self.now - timedelta(days=days_ago)
        made = leaf_pair(None, self.trust, leaf, self._terms.leaf, then, may_switch=True)
        chain, key = (base64.b64decode(made.data[name]) for name in ("tls.crt", "tls.key"))
        return chain, key

    def _look(self) -> Trust:
        terms = Terms(
            self.storage,
            self._terms.dns,
            self._terms.signing,
            self._terms.leaf,
            str(self._generation),
        )
        found = look(self._secret, b"", terms, self.now)
        assert found.trust is not None, found.problem
        self._secret = {"data": found.data, "metadata": {"annotations": found.annotations}}
        return found.trust


def serves(pod: GatePod, files: Files) -> Served:
    """Give the gate these files, and wait until it says that it serves them."""
    leaf = read_certificates(certificates(files[PAIR_FILE]))[0]
    bundle = read_certificates(certificates(files[CLIENTS_FILE].replace(b"\\n", b"\n")))
    pod.write_serving(files)

    def shown() -> Served | None:
        seen = ask(POD_ADDRESS, pod.gate.ports.probe, pod.gate.storage)
        wanted = leaf.serial_number, frozenset(each.serial_number for each in bundle)
        return seen if seen and (seen.serial, seen.bundle_serials) == wanted else None

    found = eventually(shown, what="the gate serves what it was given")
    assert found is not None
    return found


def certificates(content: bytes) -> bytes:
    """Return the certificates that stand somewhere in a file."""
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    return content[content.index(begin) : content.rindex(end) + len(end)] + b"\n"


@dataclass
class Consumer:
    """A client's folder, which changes as a kubelet changes it."""

    folder: Path

    def take(self, files: Files) -> None:
        projected.write(self.folder, files)

    def context(self) -> ssl.SSLContext:
        """Return what a client needs that reads its files now."""
        while True:
            made = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
            try:
                made.load_cert_chain(self.folder / "tls.crt", self.folder / "tls.key")
            except ssl.SSLError:
                continue  # The files changed between the two reads.
            made.set_alpn_protocols(["h2"])
            return made

    def flags(self) -> tuple[str, ...]:
        """Return the flags of a program that reads its files by itself."""
        names = {"cacert": "ca.crt", "cert": "tls.crt", "key": "tls.key"}
        return tuple(f"--{flag}={self.folder / name}" for flag, name in names.items())


def endpoint(pod: GatePod, context: ssl.SSLContext, name: str = "localhost") -> Endpoint:
    """Return the pod's as a client reaches it that expects it to have this name."""
    return Endpoint(pod.gate.ports.ingress, context, POD_ADDRESS, name)


def read_k(pod: GatePod, context: ssl.SSLContext, name: str = "localhost") -> int | None:
    """Connect, handshake and read; return the code of gRPC. OSError if that is refused."""
    with Connection(endpoint(pod, context, name)) as connection:
        return connection.call(RANGE, RANGE_OF_K).code


def lets_in(pod: GatePod, context: ssl.SSLContext) -> bool:
    """Whether a new connection is served."""
    try:
        return read_k(pod, context) is not None
    except TimeoutError:
        raise
    except OSError:
        return False


@dataclass
class Handshakes:
    """One connection after the other; with `reloads` each by the files as they are then."""

    pod: GatePod
    consumer: Consumer
    reloads: bool
    count: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self, stopped: threading.Event) -> None:
        context = self.consumer.context()
        while not stopped.wait(0.01):
            try:
                if self.reloads:
                    context = self.consumer.context()
                code = read_k(self.pod, context)
                # In mode Direct k is not this tenant's to read, and it is the core that says so.
                if code not in {OK, 7}:
                    self.failures.append(f"code {code}")
            except OSError as error:
                self.failures.append(repr(error))
            self.count += 1


@contextmanager
def running(*clients: Handshakes) -> Iterator[None]:
    stopped = threading.Event()
    threads = [threading.Thread(target=client.run, args=(stopped,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: all(client.count for client in clients))
        yield
        before = [client.count for client in clients]
        eventually(lambda: all(c.count > n for c, n in zip(clients, before, strict=True)))
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


_SOME = 24
"""Writes that a load has to have done, or it has shown nothing."""


class Load:
    """hack/components/etcdload as a local process: Go's client, which keeps a journal."""

    def __init__(
        self, name: str, folder: Path, pod: GatePod, consumer: Consumer | None = None
    ) -> None:
        programs = binaries.ensure("etcd-load", "etcdctl")
        flags = consumer.flags() if consumer else ()
        self._prefix = f"/{pod.gate.storage}/{name}/" if pod.gate.direct else f"{name}/"
        self._etcdctl = Etcdctl(programs["etcdctl"], pod.endpoint, flags)
        told = (f"--endpoint={pod.endpoint}", f"--prefix={self._prefix}", *flags)
        self._process = Process(name, [programs["etcd-load"], *told], folder)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let it work meanwhile; fail unless all of its requests went well."""
        self._process.start()
        try:
            eventually(self._begun, every=0.1, what="the load works")
            yield
            eventually(self._has_worked, every=0.1, what="the load has written some time")
            self._etcdctl.run("put", f"{self._prefix}stop", "")
            eventually(lambda: not self._process.alive, every=0.1)
        finally:
            self._process.stop(grace=0)
        journal = json.loads(self._process.log.read_text().splitlines()[-1])
        wrong = {name: journal[name] for name in ("failures", "unseen", "twice", "unknown")}
        assert not any(wrong.values()), json.dumps(wrong, indent=2)[:4000]
        assert journal["requests"]["put"] >= _SOME, journal["requests"]

    def _has_worked(self) -> bool:
        """Whether the worker that rests least has come to a key with so high a number."""
        self._process.check()
        answer = self._etcdctl.run("get", f"{self._prefix}put-a/key-0", "--print-value-only")
        return int(answer or 0) >= _SOME

    def _begun(self) -> bool:
        self._process.check()
        return bool(self._etcdctl.run("get", f"{self._prefix}seldom-put/key-1"))
