"""A pod ends and no request fails, whether its clients are busy or send now and then."""

import threading
from contextlib import ExitStack
from dataclasses import dataclass, field

import grpc
import pytest

from controller.dataplane.gate import METRICS_PATH
from hack.dataplane import CoreEtcd, answers
from hack.dataplane.gatepod import POD_ADDRESS
from tests.integration.dataplane.conftest import MakePod
from tests.support.etcdmessages import put
from tests.support.eventually import eventually
from tests.support.tcpproxy import TcpProxy

pytestmark = pytest.mark.long

GAPS = (0.0, 0.0, 1.0, 4.0, 8.0)
"""Seconds between a client's writes; the longest gap is nearly all of the drain."""

ACTIVE = 'envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix="ingress"}'


@dataclass
class Writer:
    """A client of its own connection that counts up in one key until it is told to stop."""

    port: int
    key: bytes
    gap: float
    stopped: threading.Event
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held while it writes; who holds it sees it rest."""
    written: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        # Channels of the same target share their connections otherwise.
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{self.port}", options) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                "/etcdserverpb.KV/Put"
            )
            while not self.stopped.wait(self.gap):
                with self.turn:
                    try:
                        call(put(self.key, str(self.written + 1).encode()), timeout=60)
                    except grpc.RpcError as error:
                        self.failures.append(str(error))
                    self.written += 1


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_no_write_fails_when_a_pod_ends(
    plain_core: CoreEtcd, auth_core: CoreEtcd, make_pod: MakePod, mode: str
) -> None:
    core = plain_core if mode == "Proxy" else auth_core
    old, new = make_pod(core, "drained", mode), make_pod(core, "drained", mode)
    stopped = threading.Event()
    with TcpProxy((POD_ADDRESS, old.gate.ports.ingress)) as service:
        prefix = b"/drained/" if mode == "Direct" else b""
        writers = [
            Writer(service.port, prefix + str(i).encode(), gap, stopped)
            for i, gap in enumerate(GAPS)
        ]
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: all(w.written for w in writers if w.gap < 8))
            # The Service forgets a pod as soon as it is to end.
            service.target = (POD_ADDRESS, new.gate.ports.ingress)
            old.drain()
            # Those that sent nothing meanwhile have been told, too, and that is why they leave.
            with ExitStack() as rest:
                for writer in writers:
                    rest.enter_context(writer.turn)
                eventually(lambda: f"{ACTIVE} 0\n" in answers.get(old.url(METRICS_PATH)))
            old.stop()
            before = [writer.written for writer in writers]
            eventually(
                lambda: all(w.written > n for w, n in zip(writers, before, strict=True)),
            )
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
    assert [writer.failures for writer in writers] == [[] for _ in writers]
    stored = core.etcdctl().run("get", "/drained/", "--prefix", "--print-value-only").split()
    assert stored == [str(writer.written) for writer in writers]
