"""No request fails, and none is of unknown outcome, whatever becomes of a storage's pods.

In both modes, as a bare etcd client and as an API server's.
"""

import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from controller.options import DEFAULT_GATE_IMAGE
from controller.resources import DISRUPTION_BUDGETS
from tests.attack.picture import Core
from tests.e2e.etcdload import EtcdLoad, working
from tests.e2e.flunderload import FlunderLoad
from tests.e2e.product import NAMESPACE, USERS, Product
from tests.e2e.sampleapiserver import SampleApiserver

pytestmark = [pytest.mark.usefixtures("network", "tenants"), pytest.mark.timeout(300)]

MODES = {"proxied": "Proxy", "direct": "Direct"}
"""Storages, and their modes."""
SELECTOR = f"etcd.xmudrii.com/storage in ({','.join(MODES)})"
ADDRESSES = {"proxied": "10.96.77.1", "direct": "10.96.77.2"}
"""Of the API servers, so that their certificates can be made before them."""

Load = Callable[[], AbstractContextManager[None]]


def test_through_the_core_s_users_being_turned_on(product: Product, core: Core) -> None:
    """Storages have their users by then; those in mode Direct begin to serve."""
    for name, mode in MODES.items():
        product.create(name, mode=mode)
    product.await_settled("proxied")
    assert product.status("proxied")["isolation"] == "Gate"
    old = product.uids("proxied")
    reasons = {c["type"]: c["reason"] for c in product.status("direct")["conditions"]}
    assert reasons["Degraded"] == "CoreAuthDisabled"
    assert not product.pods("direct")
    with working([EtcdLoad(product, core, "proxied", "Proxy")]):
        product.enable_users()
        product.await_replaced("proxied", old)
    product.await_settled("direct")


@pytest.fixture(scope="module")
def apiservers(product: Product) -> Iterator[list[SampleApiserver]]:
    """Two storages, and an API server on each."""
    product.start(*USERS)
    product.enable_users()
    for name, mode in MODES.items():
        product.create(name, mode=mode)
    servers = [SampleApiserver(product, n, mode, ADDRESSES[n]) for n, mode in MODES.items()]
    for name in MODES:
        product.await_settled(name)
        assert product.status(name)["isolation"] == "Core"
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        server.stop()
    product.delete(*MODES)


@pytest.fixture
def load(product: Product, core: Core, apiservers: list[SampleApiserver]) -> Load:
    """Give what lets clients of all kinds work meanwhile, and fails unless all of theirs went."""

    @contextmanager
    def all_kinds() -> Iterator[None]:
        bare = (EtcdLoad(product, core, name, mode) for name, mode in MODES.items())
        prefix = f"f-{secrets.token_hex(3)}"
        with working(bare), ExitStack() as ends:
            for server in apiservers:
                ends.callback(FlunderLoad(server, core, prefix).start().end)
            yield

    return all_kinds


def replaced(product: Product, change: Callable[[], object]) -> None:
    """Do something that replaces the pods of both storages, and wait until it has."""
    old = {name: product.uids(name) for name in MODES}
    change()
    for name in MODES:
        product.await_replaced(name, old[name])


def test_through_an_update_of_the_gates(load: Load, product: Product) -> None:
    """Another configuration, and the same image by another name: another template all the same."""
    core, *others = USERS
    other = core.replace(".svc:", ".svc.cluster.local:")
    image = DEFAULT_GATE_IMAGE.removeprefix("docker.io/")
    with load():
        replaced(product, lambda: product.start(other, *others, f"--gate-image={image}"))


def test_through_fewer_pods_and_more(load: Load, product: Product) -> None:
    with load():
        for replicas in (1, 2):
            for name, mode in MODES.items():
                product.create(name, mode=mode, replicas=replicas)
            for name in MODES:
                product.await_settled(name, replicas)


def test_through_a_drain_of_the_node(load: Load, product: Product) -> None:
    """There is no other node, so what is evicted finds a place once this one takes pods again.

    Until then the budgets hold the drain back: of each storage one pod stays.
    """
    node = product.node

    def drain() -> None:
        arguments = ("drain", "node", f"--pod-selector={SELECTOR}", "--timeout=120s")
        command = node.entering(node.kubectl_command(*arguments))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as draining:
            product.await_(lambda: all(map(waits, MODES)), "the budgets hold the drain back")
            assert draining.poll() is None
            node.kubectl("uncordon", "node")
            assert draining.wait(120) == 0

    def waits(name: str) -> bool:
        """Whether one pod serves, and the place of the other one is waited for."""
        phases = sorted(pod["status"]["phase"] for pod in product.pods(name))
        budget = product.client.get(DISRUPTION_BUDGETS, f"etcd-{name}", NAMESPACE)
        return phases == ["Pending", "Running"] and not budget["status"]["disruptionsAllowed"]

    with load():
        try:
            replaced(product, drain)
        finally:
            node.kubectl("uncordon", "node")
