"""No request fails, and none is of unknown outcome, whatever becomes of a storage's pods.

In both modes, as a bare etcd client and as an API server's.
"""

import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

import pytest

from controller.options import DEFAULT_GATE_IMAGE
from tests.attack.picture import Core
from tests.e2e.etcdload import EtcdLoad, working
from tests.e2e.flunderload import FlunderLoad
from tests.e2e.product import PATIENCE, USERS, Product
from tests.e2e.sampleapiserver import SampleApiserver
from tests.e2e.tenant import Tenant

pytestmark = [pytest.mark.usefixtures("network", "tenants"), pytest.mark.timeout(900)]

PROXIED = Tenant("proxied", "Proxy")
TENANTS = (PROXIED, Tenant("direct", "Direct"))
MODES = {tenant.storage: tenant.mode for tenant in TENANTS}
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
    product.await_(lambda: degraded(product, "direct") == "CoreAuthDisabled", "direct waits")
    assert not product.pods("direct")
    with working([EtcdLoad(product, core, PROXIED)]):
        product.enable_users()
        product.await_replaced("proxied", old)
    product.await_settled("direct")


def degraded(product: Product, name: str) -> str:
    """Return the reason, "" if nothing is told yet."""
    conditions = product.status(name).get("conditions", ())
    return next((c["reason"] for c in conditions if c["type"] == "Degraded"), "")


@pytest.fixture(scope="module")
def apiservers(product: Product) -> Iterator[list[SampleApiserver]]:
    """Two storages, and an API server on each."""
    product.start(*USERS)
    product.require_users()
    for name, mode in MODES.items():
        product.create(name, mode=mode)
    servers = [SampleApiserver(product, t, ADDRESSES[t.storage]) for t in TENANTS]
    for name in MODES:
        product.await_settled(name)
        assert product.status(name)["isolation"] == "Core"
    for server in servers:
        server.start()
    for server in servers:
        server.await_serving()
    yield servers
    for server in servers:
        server.stop()
    product.delete(*MODES)


@pytest.fixture
def load(product: Product, core: Core, apiservers: list[SampleApiserver]) -> Load:
    """Give what lets clients of all kinds work meanwhile, and fails unless all of theirs went."""

    @contextmanager
    def all_kinds() -> Iterator[None]:
        bare = (EtcdLoad(product, core, tenant) for tenant in TENANTS)
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
    """One is alone until the new one is ready; the one that went may still drain then."""
    with load():
        for replicas in (1, 2):
            for name, mode in MODES.items():
                product.create(name, mode=mode, replicas=replicas)
            for name in MODES:
                product.await_(partial(product.serving, name, replicas), f"{name}: {replicas}")
        for name in MODES:
            product.await_settled(name)


def test_through_a_drain_of_the_node(load: Load, product: Product) -> None:
    """There is no other node, so what is evicted finds a place once this one takes pods again.

    Until then the budgets hold the drain back: of each storage one pod stays.
    """
    node = product.node
    said = product.folder / "drain.log"

    def drain() -> None:
        arguments = ("drain", "node", f"--pod-selector={SELECTOR}", f"--timeout={PATIENCE}s")
        command = node.entering(node.kubectl_command(*arguments))
        with said.open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as draining:
            product.await_(lambda: all(map(waits, MODES)), "the budgets hold the drain back")
            assert draining.poll() is None
            node.kubectl("uncordon", "node")
            assert draining.wait(PATIENCE) == 0, said.read_text()

    def waits(name: str) -> bool:
        """Whether the place of one pod is waited for, and the other one may not go."""
        staying = [p for p in product.pods(name) if "deletionTimestamp" not in p["metadata"]]
        phases = sorted(pod["status"]["phase"] for pod in staying)
        refused = rf'evicting pods/"etcd-rs-{name}-.* would violate the pod\'s disruption budget'
        return phases == ["Pending", "Running"] and bool(re.search(refused, said.read_text()))

    with load():
        try:
            replaced(product, drain)
        finally:
            node.kubectl("uncordon", "node")
