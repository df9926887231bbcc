"""Mutual TLS as its users have it: brought, used, renewed under load, and taken away.

From pods with the objects as files, which the kubelet changes, and from an API server that the
cluster's own one serves.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import pytest

from controller.resources import SECRETS
from tests.attack.certificates import lets_in
from tests.attack.picture import Core
from tests.attack.scene import works
from tests.e2e.etcdload import EtcdLoad, working
from tests.e2e.flunderload import FlunderLoad
from tests.e2e.product import USERS, Product
from tests.e2e.sampleapiserver import SampleApiserver
from tests.e2e.tenant import SECRET, Brought, Tenant, endpoint, spec
from tests.support.etcdrpc import OK, Connection, Endpoint

pytestmark = [pytest.mark.usefixtures("network", "tenants"), pytest.mark.timeout(600)]

PROXIED = Tenant("tls-proxied", "Proxy", home="proxied")
DIRECT = Tenant("tls-direct", "Direct", home="direct")
LEAVING = replace(DIRECT, home="leaving")
TENANTS = (PROXIED, DIRECT, LEAVING)
STORAGES = {PROXIED.storage: (PROXIED,), DIRECT.storage: (DIRECT, LEAVING)}
"""Storages, and who uses them."""
ADDRESS = "10.96.77.3"
"""Of the API server, so that its certificate can be made before it."""


@pytest.fixture(scope="module", autouse=True)
def storages(product: Product, network: None) -> Iterator[None]:
    product.start(*USERS)
    product.require_users()
    for tenant in TENANTS:
        product.open(tenant.home)
    for name, tenants in STORAGES.items():
        product.create(name, **spec(*tenants))
    for name in STORAGES:
        product.await_delivered(name)
        product.await_settled(name)
    yield
    product.delete(*STORAGES)


@pytest.fixture
def apiserver(product: Product) -> Iterator[SampleApiserver]:
    """Give one on a storage, which the cluster's own hands on what is asked of its group."""
    server = SampleApiserver(product, DIRECT, ADDRESS, aggregated=True)
    server.start()
    server.await_serving()
    yield server
    server.stop()


def service(product: Product, tenant: Tenant) -> str:
    return product.address(f"etcd-{tenant.storage}")


def ask(product: Product, tenant: Tenant, asked: Endpoint) -> bool:
    """Whether it is let in, whatever it is told then."""
    key = tenant.key("k").encode()
    return lets_in(asked, product.schema.make("RangeRequest", key=key))


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda tenant: tenant.home)
def test_who_is_listed_writes_and_reads_with_what_it_was_brought(
    tenant: Tenant, product: Product, core: Core
) -> None:
    assert product.status(tenant.storage)["endpoint"] == tenant.url
    key, value = tenant.key("k").encode(), tenant.home.encode()
    own = endpoint(product, tenant, service(product, tenant), "h2")
    # The node comes to know of a pod's readiness a moment after the API server.
    product.await_(lambda: ask(product, tenant, own), "the Service serves")
    with Connection(own) as connection:
        message = product.schema.make("PutRequest", key=key, value=value)
        assert connection.call("/etcdserverpb.KV/Put", message).code == OK
    works(own, product.schema, key)
    assert core.get(f"/{tenant.storage}/k".encode()) == value


@pytest.mark.parametrize("tenant", [PROXIED, DIRECT], ids=lambda tenant: tenant.home)
def test_nobody_else_is_let_in(tenant: Tenant, product: Product) -> None:
    address = service(product, tenant)
    other = PROXIED if tenant is DIRECT else DIRECT
    own = Brought.read(product, tenant)
    for pair in (None, Brought.read(product, other).pair, product.root):
        stranger = replace(own, pair=pair).endpoint(product, tenant, address, "h2")
        assert not ask(product, tenant, stranger)
    assert not ask(product, tenant, Endpoint(2379, host=address))
    assert ask(product, tenant, own.endpoint(product, tenant, address, "h2"))


def test_nothing_fails_through_a_rotation(
    apiserver: SampleApiserver, product: Product, core: Core
) -> None:
    """Clients begin connections all the time, by the pair that they have as files then."""
    before = {tenant: Brought.read(product, tenant) for tenant in TENANTS}
    old = {name: serials(product, name) for name in STORAGES}
    loads = (EtcdLoad(product, core, tenant) for tenant in (PROXIED, DIRECT))
    with working(loads), ExitStack() as ends:
        ends.callback(FlunderLoad(apiserver, core, "aggregated").start().end)
        for name in STORAGES:
            product.kubectl("annotate", f"es/{name}", "etcd.xmudrii.com/rotate=now")
        for name in STORAGES:
            product.await_(partial(renewed, product, name, old[name]), f"{name} is rotated")
        product.await_(lambda: taken(product), "clients have their new files")
    for tenant, had in before.items():
        has = Brought.read(product, tenant)
        # Who reads its files once, or one of them, goes on with what it had.
        for brought in (has, replace(has, bundle=had.bundle), had):
            shown = brought.endpoint(product, tenant, service(product, tenant), "h2")
            works(shown, product.schema, tenant.key("k").encode())


def serials(product: Product, name: str) -> set[str]:
    """Return those of a storage's authority and of all that it has signed, by the status."""
    told = product.status(name)["certificates"]
    return {each["serial"] for each in (told["signing"], told["serving"], *told["clients"])}


def renewed(product: Product, name: str, old: set[str]) -> bool:
    """Whether none of these is left, and the gates serve their new one."""
    serving = product.status(name)["certificates"]["serving"]
    return not serials(product, name) & old and serving["servedSerial"] == serving["serial"]


def taken(product: Product) -> bool:
    """Whether pods have as files what was brought for them last."""
    brought = {Brought.read(product, tenant).pair for tenant in TENANTS}
    pods = product.node.seen(product.node.folder / "kubelet/pods")
    files = pods.glob("*/volumes/kubernetes.io~secret/client/tls.crt")
    held = {path.read_bytes() for path in files}
    return bool(held) and held <= {pair.cert_pem for pair in brought if pair}


def test_who_is_taken_off_the_list_is_let_in_no_more(product: Product) -> None:
    had = Brought.read(product, LEAVING)
    addresses = [pod["status"]["podIP"] for pod in product.pods(LEAVING.storage)]
    gates = [had.endpoint(product, LEAVING, address, "h2") for address in addresses]
    assert all(ask(product, LEAVING, gate) for gate in gates)
    product.create(DIRECT.storage, **spec(DIRECT))
    product.await_(
        lambda: not any(ask(product, LEAVING, gate) for gate in gates), "both gates refuse it"
    )
    left = product.client.get(SECRETS, SECRET, LEAVING.namespace)
    assert not left.get("data")
    for address in addresses:
        stays = endpoint(product, DIRECT, address, "h2")
        works(stays, product.schema, DIRECT.key("k").encode())
