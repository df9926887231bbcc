"""On a core with users: every storage is a user there, and no tenant reaches another's data."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.attack.catalogue import ATTACKS
from tests.attack.keys import TXN
from tests.attack.methods import DECISIONS, DIRECT, PROXY_AUTH
from tests.attack.picture import Core
from tests.attack.scene import OTHER, STORAGE, Place, Scene, furnish, refused, works
from tests.e2e.product import Product, restarts
from tests.support.etcdrpc import UNIMPLEMENTED, Endpoint

pytestmark = [pytest.mark.usefixtures("network"), pytest.mark.timeout(600)]

STORAGES = (STORAGE, OTHER)
FATAL = "an operation that is none"
"""To the tenant's own grpc-proxy, which the kubelet starts again: it has a test of its own."""


@pytest.fixture(scope="module", params=(PROXY_AUTH, DIRECT), ids=str)
def scene(request: pytest.FixtureRequest, product: Product, core: Core) -> Iterator[Scene]:
    """Two storages of one mode, one of them the attacker's, who knows the pods' addresses."""
    place: Place = request.param
    product.require_users()
    for name in STORAGES:
        product.create(name, mode=place.mode, replicas=1)
    for name in STORAGES:
        product.await_settled(name, 1)
    mine, other = (endpoint(product, name) for name in STORAGES)
    yield Scene(
        place=place,
        schema=product.schema,
        tenant=mine,
        undetermined=mine,
        other=other,
        probe=2381,
        private=(23790, 23791, 23792),
        core=core,
        leases=furnish(core),
    )
    product.delete(*STORAGES)


def endpoint(product: Product, name: str) -> Endpoint:
    """Return a storage's pod, which is more than a tenant gets, whom the Service hides it from."""
    (pod,) = product.pods(name)
    return Endpoint(2379, host=pod["status"]["podIP"])


def test_every_storage_is_a_user_of_its_own(scene: Scene, product: Product) -> None:
    users = scene.picture().users
    assert set(users) == {"root", *(f"etcdstorage:{name}" for name in STORAGES)}
    for name in STORAGES:
        assert users[f"etcdstorage:{name}"] == (f"etcdstorage:{name}",)
        assert product.status(name)["isolation"] == "Core"


def test_the_service_serves_it(scene: Scene, product: Product) -> None:
    tenant = Endpoint(2379, host=product.address(f"etcd-{STORAGE}"))
    # The node comes to know of a pod's readiness a moment after the API server.
    product.await_(lambda: serves(replace(scene, tenant=tenant)), "the Service serves")


def test_only_what_is_decided_gets_through(scene: Scene) -> None:
    before = scene.picture()
    with scene.connect() as connection:
        for path, decision in DECISIONS.items():
            if scene.place not in decision.places:
                stream = connection.open(path)
                stream.send(scene.make(scene.schema.methods[path].input, **decision.example))
                stream.end()
                refused(stream.wait(), UNIMPLEMENTED)
    assert scene.picture() == before


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != FATAL])
def test_an_attack_changes_nothing(scene: Scene, name: str) -> None:
    before = scene.picture()
    ATTACKS[name](scene)
    assert scene.picture() == before
    works(scene.other, scene.schema, scene.other_key)
    works(scene.tenant, scene.schema, scene.key(b"k"))


def test_a_malformed_transaction_ends_the_own_proxy_alone(scene: Scene, product: Product) -> None:
    picture = scene.picture()
    before = {name: restarts(product.pods(name)) for name in STORAGES}
    ends = scene.place.mode == "Proxy"
    refused(scene.attempt(TXN, scene.make("TxnRequest", success=[{}])))

    def counts() -> dict[str, int]:
        return restarts(product.pods(STORAGE))

    if ends:
        once_more = {**before[STORAGE], "etcdproxy": before[STORAGE]["etcdproxy"] + 1}
        product.await_(lambda: counts() == once_more, "the proxy is started again")
    product.await_(lambda: serves(scene), "the own pod serves again")
    product.await_settled(STORAGE, 1)
    assert ends or counts() == before[STORAGE]
    assert restarts(product.pods(OTHER)) == before[OTHER]
    assert scene.picture() == picture


def serves(scene: Scene) -> bool:
    try:
        works(scene.tenant, scene.schema, scene.key(b"k"))
    except (AssertionError, OSError):
        return False
    return True


def test_the_users_go_with_the_storages(product: Product, core: Core) -> None:
    name = "short-lived"
    product.create(name, replicas=1)
    user = f"etcdstorage:{name}"

    def users() -> list[str]:
        return list(core.call("/etcdserverpb.Auth/UserList").users)

    product.await_(lambda: user in users(), "the user is made")
    product.delete(name)
    assert user not in users()
    assert user not in core.call("/etcdserverpb.Auth/RoleList").roles
