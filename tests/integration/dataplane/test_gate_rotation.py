"""Certificates of both sides come and go under clients that never rest, and nothing fails."""

import shutil
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from controller.dataplane.gate import limits
from hack.dataplane import CoreEtcd
from tests.integration.dataplane.certified import (
    Certified,
    Consumer,
    Handshakes,
    Load,
    endpoint,
    lets_in,
    read_k,
    running,
    serves,
)
from tests.integration.dataplane.conftest import MakePod, Mode
from tests.support.etcdmessages import watch
from tests.support.etcdrpc import ClosedError, Connection
from tests.support.eventually import PATIENCE, eventually

pytestmark = pytest.mark.long


@pytest.fixture
def short_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let connections and streams end all the time, so that clients shake hands all the time."""
    # Longer than any handshake takes with a request, on a machine that is busy.
    monkeypatch.setattr(limits, "LIFE", 3)
    monkeypatch.setattr(limits, "STREAM_LIFE", 4)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("clients")
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_nothing_fails_while_leaves_are_renewed_and_authorities_replaced(
    auth_core: CoreEtcd,
    make_pod: MakePod,
    folder: Path,
    short_lives: None,
    mode: Mode,
) -> None:
    storage = f"rotated-{mode.lower()}"
    pod = make_pod(auth_core, storage, mode, tls=True)
    certified = Certified(storage)
    reloading, never = Consumer(folder / "reloading"), Consumer(folder / "never")
    both = ("reloading", "never")
    for consumer, name in ((reloading, both[0]), (never, both[1])):
        consumer.take(certified.client(name))
    serves(pod, certified.serving(*both))
    clients = [Handshakes(pod, reloading, reloads=True), Handshakes(pod, never, reloads=False)]
    with ExitStack() as stack:
        for consumer in (reloading, never):
            load = Load(consumer.folder.name, folder, pod, consumer)
            stack.enter_context(load.working())
        stack.enter_context(running(*clients))
        for round_ in range(6):
            if round_ % 2:
                certified.rotate()
            # The two sides hear of it in any order.
            if round_ % 3:
                reloading.take(certified.client(both[0]))
            serves(pod, certified.serving(*both))
            reloading.take(certified.client(both[0]))
            more(clients)
    assert [client.failures for client in clients] == [[], []]


def more(clients: list[Handshakes]) -> None:
    """Wait until each client has shaken hands a while longer."""
    wanted = [client.count + 20 for client in clients]
    eventually(lambda: all(c.count > n for c, n in zip(clients, wanted, strict=True)))


def test_a_client_that_is_withdrawn_is_cut_off_and_the_others_are_not(
    auth_core: CoreEtcd,
    make_pod: MakePod,
    folder: Path,
    short_lives: None,
) -> None:
    pod = make_pod(auth_core, "withdrawn", "Direct", tls=True)
    certified = Certified("withdrawn")
    stays, goes = Consumer(folder / "stays"), Consumer(folder / "goes")
    stays.take(certified.client("stays"))
    goes.take(certified.client("goes"))
    serves(pod, certified.serving("stays", "goes"))
    load = Load("stays", folder, pod, stays)
    with load.working(), Connection(endpoint(pod, goes.context())) as connected:
        stream = connected.open("/etcdserverpb.Watch/Watch")
        stream.send(watch(b"/withdrawn/k"))
        assert stream.receive()
        serves(pod, certified.serving("stays"))
        assert not lets_in(pod, goes.context())
        assert lets_in(pod, stays.context())
        # What was connected already goes on for a while, and is then at its end with all of it.
        bound = limits.LIFE + limits.DRAIN_GRACE + limits.STREAM_LIFE
        with pytest.raises(ClosedError):
            connected.pump(lambda: False, bound + PATIENCE)
        assert not lets_in(pod, goes.context())


def test_nobody_else_is_let_in(plain_core: CoreEtcd, make_pod: MakePod, folder: Path) -> None:
    pod = make_pod(plain_core, "guarded", "Proxy", tls=True)
    certified, stranger = Certified("guarded"), Certified("guarded")
    serves(pod, certified.serving("own"))
    others = {
        "own": certified.client("own"),
        "unlisted": certified.client("another"),
        "of another storage": certified.client("own", storage="other"),
        "expired": certified.client("own", days_ago=30),
        "of another authority": {
            **stranger.client("own"),
            "ca.crt": certified.client("own")["ca.crt"],
        },
    }
    found = {}
    for name, files in others.items():
        consumer = Consumer(folder / name)
        consumer.take(files)
        found[name] = lets_in(pod, consumer.context())
    none = ssl.create_default_context(cafile=str(folder / "own" / "ca.crt"))
    found["without a certificate"] = lets_in(pod, none)
    assert [name for name, let_in in found.items() if let_in] == ["own"]
    serves(pod, certified.serving())
    assert not lets_in(pod, Consumer(folder / "own").context())


def test_a_client_is_shown_whom_it_talks_to(
    plain_core: CoreEtcd, make_pod: MakePod, folder: Path
) -> None:
    pod = make_pod(plain_core, "shown", "Proxy", tls=True)
    certified, stranger = Certified("shown"), Certified("shown")
    consumer = Consumer(folder / "c")
    consumer.take({**certified.client("own"), "ca.crt": stranger.client("own")["ca.crt"]})
    serves(pod, certified.serving("own"))
    with pytest.raises(ssl.SSLCertVerificationError):
        read_k(pod, consumer.context())
    consumer.take(certified.client("own"))
    with pytest.raises(ssl.SSLCertVerificationError, match="etcd-other"):
        read_k(pod, consumer.context(), name="etcd-other")
    for name in ("etcd-shown", "etcd-shown.ns.svc", "etcd-shown.ns.svc.cluster.local"):
        assert read_k(pod, consumer.context(), name=name) == 0
