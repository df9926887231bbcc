"""A storage of the first controller, of 2018, by the README's commands to this one, under load.

What becomes of its objects otherwise is told by tests/integration/controller/test_upgrade.py.
"""

import re
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from controller.ownership import STORAGE_LABEL
from controller.resources import ETCD_STORAGES, PODS, SERVICES
from tests.attack.picture import Core
from tests.e2e.product import ARTIFACTS, DEPLOYMENT, NAMESPACE, PATIENCE, Product
from tests.support import original
from tests.support.etcdrpc import OK, Connection, Endpoint
from tests.support.eventually import eventually

pytestmark = [pytest.mark.usefixtures("network"), pytest.mark.timeout(600)]

STORAGE = "from-2018"
PAUSE = 0.02
"""Seconds between two writes."""
IMPATIENCE = 0.5
"""Seconds that a connection, or a write, may take."""


@pytest.fixture
def address(product: Product, network: None, core: Core) -> Iterator[str]:
    """Give that of a storage as the first controller had it: with a core that has no users."""
    if core.call("/etcdserverpb.Auth/AuthStatus").enabled:
        core.call("/etcdserverpb.Auth/AuthDisable")
    product.kubectl("delete", f"-n{NAMESPACE}", DEPLOYMENT)
    product.apply(*original.manifests())
    enforced = "pod-security.kubernetes.io/enforce-"
    product.kubectl("label", "namespace", NAMESPACE, enforced)
    product.create(STORAGE)
    storage = product.client.get(ETCD_STORAGES, STORAGE)
    product.apply(original.replica_set(storage), original.service(storage))
    yield product.address(f"etcd-{STORAGE}")
    product.delete(STORAGE)


@dataclass
class Writes:
    """One thread that writes a key over and over, each time by a connection of its own."""

    product: Product
    address: str
    key: bytes
    done: list[float] = field(default_factory=list)
    """When each was answered that was carried out, in seconds of the monotonic clock."""

    @property
    def longest_gap(self) -> float:
        return max(after - before for before, after in zip(self.done, self.done[1:], strict=False))

    @contextmanager
    def going_on(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._write, args=(stop,), name="writes")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _write(self, stop: threading.Event) -> None:
        while not stop.wait(PAUSE):
            with suppress(OSError):
                self.put()

    def put(self) -> bool:
        """Write it once; raises OSError where nobody answers."""
        message = self.product.schema.make("PutRequest", key=self.key, value=b"x")
        with Connection(_Impatient(2379, host=self.address)) as connection:
            answer = connection.call("/etcdserverpb.KV/Put", message, deadline=IMPATIENCE)
        if answer.code == OK:
            self.done.append(time.monotonic())
        return answer.code == OK


class _Impatient(Endpoint):
    """One that is given up soon, so that a gap is no longer than it is."""

    def dial(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), IMPATIENCE)


def test_it_is_away_for_seconds_and_loses_nothing(
    product: Product, core: Core, address: str
) -> None:
    writes = Writes(product, address, b"written")
    product.await_(lambda: serves(writes), "the first controller's pod serves")
    core.put(f"/{STORAGE}/kept".encode(), b"from then")
    (old,) = product.client.list(PODS, NAMESPACE, labelSelector="controller=epc")["items"]
    with writes.going_on():
        for command in commands():
            product.kubectl(*command)
        product.await_settled(STORAGE)
        count = len(writes.done)
        eventually(lambda: len(writes.done) > count + 50, what="it serves again")
    print(f"away for {writes.longest_gap:.1f} s")
    assert old["metadata"]["name"] not in {
        pod["metadata"]["name"] for pod in product.client.list(PODS, NAMESPACE)["items"]
    }
    service = product.client.get(SERVICES, f"etcd-{STORAGE}", NAMESPACE)["spec"]
    assert (service["clusterIP"], service["selector"]) == (address, {STORAGE_LABEL: STORAGE})
    with Connection(Endpoint(2379, host=address)) as connection:
        message = product.schema.make("RangeRequest", key=b"kept")
        answer = connection.call("/etcdserverpb.KV/Range", message)
    (kept,) = product.schema.read("RangeResponse", answer.messages()[0]).kvs
    assert kept.value == b"from then"
    assert core.get(f"/{STORAGE}/written".encode()) == b"x"
    wait = ("wait", f"-n{NAMESPACE}", f"--timeout={PATIENCE}s")
    product.kubectl(*wait, "--for=condition=Available", DEPLOYMENT)


def serves(writes: Writes) -> bool:
    with suppress(OSError):
        return writes.put()
    return False


def commands() -> list[list[str]]:
    """Return those of the README's section, as arguments of kubectl."""
    readme = (ARTIFACTS.parent / "README.md").read_text()
    _, _, rest = readme.partition("### From the controller of 2018\n")
    block = rest.partition("```sh\n")[2].partition("```")[0]
    told = re.sub(r"\bartifacts/", f"{ARTIFACTS}/", block)
    return [shlex.split(line)[1:] for line in told.splitlines()]
