"""Every storage is a user in the core, and no tenant reaches another's data.

First by plain endpoints while the core checks no users yet, then by mutual TLS where it does.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.attack.catalogue import ATTACKS, tried_at
from tests.attack.methods import DECISIONS, DIRECT, PROXY, PROXY_AUTH
from tests.attack.picture import Core
from tests.attack.scene import OTHER, STORAGE, Place, Scene, furnish, refused, works
from tests.e2e.product import NAMESPACE, Product, restarts
from tests.e2e.tenant import Brought, Tenant, endpoint, spec
from tests.support.etcdrpc import UNIMPLEMENTED, Endpoint

pytestmark = [pytest.mark.usefixtures("network"), pytest.mark.timeout(600)]

STORAGES = (STORAGE, OTHER)


@pytest.fixture(scope="module", params=(PROXY, PROXY_AUTH, DIRECT), ids=str)
def scene(request: pytest.FixtureRequest, product: Product, core: Core) -> Iterator[Scene]:
    """Two storages of one mode, one of them the attacker's, who knows the pods' addresses."""
    place: Place = request.param
    if place.auth:
        product.require_users()
    mine, other = (tenant(product, place, name) for name in STORAGES)
    for name in STORAGES:
        product.await_settled(name, 1)
    address = pod_address(product, STORAGE)
    found = Scene(
        place=place,
        schema=product.schema,
        tenant=endpoint(product, mine, address, "h2"),
        undetermined=endpoint(product, mine, address),
        other=endpoint(product, other, pod_address(product, OTHER), "h2"),
        probe=2381,
        private=(23790, 23791, 23792),
        core=core,
        leases=furnish(core),
        strangers=strangers(product, mine, other, address) if place.auth else {},
    )
    yield found
    product.delete(*STORAGES)
    # The next scene has the same names, and would take these keys for what another has leaked.
    found.clear()


def tenant(product: Product, place: Place, name: str) -> Tenant:
    """Make a storage, with TLS where the core has users, and return who uses it."""
    made = Tenant(name, place.mode, home=f"{name}-{place.mode.lower()}" if place.auth else "")
    if made.home:
        product.open(made.home)
    product.create(name, replicas=1, **spec(made))
    if made.home:
        product.await_delivered(name)
    return made


def pod_address(product: Product, name: str) -> str:
    """Return that of a storage's pod, more than a tenant gets, whom the Service hides it from."""
    (pod,) = product.pods(name)
    address: str = pod["status"]["podIP"]
    return address


def strangers(product: Product, mine: Tenant, other: Tenant, address: str) -> dict[str, Endpoint]:
    """Return the pod as those reach it who are not its tenant."""
    own = Brought.read(product, mine)
    core = ("client.pem", "client-key.pem")
    pairs = {
        "no certificate": None,
        "another tenant's": Brought.read(product, other).pair,
        "the gate's own": product.pair(f"etcd-serving-{STORAGE}", NAMESPACE),
        "the core's administrator's": product.root,
        "the core's, for all storages": product.pair("etcd-coreserving-cert", NAMESPACE, core),
    }
    found = {
        name: replace(own, pair=pair).endpoint(product, mine, address, "h2")
        for name, pair in pairs.items()
    }
    return {**found, "without TLS": Endpoint(2379, host=address)}


def test_every_storage_is_a_user_of_its_own(scene: Scene, product: Product) -> None:
    users = scene.picture().users
    # The administrator is told to the core when it is to check users.
    root = {"root"} if scene.place.auth else set()
    assert set(users) == {*root, *(f"etcdstorage:{name}" for name in STORAGES)}
    for name in STORAGES:
        assert users[f"etcdstorage:{name}"] == (f"etcdstorage:{name}",)
        assert product.status(name)["isolation"] == ("Core" if scene.place.auth else "Gate")


def test_the_service_serves_it(scene: Scene, product: Product) -> None:
    service = replace(scene.tenant, host=product.address(f"etcd-{STORAGE}"))
    # The node comes to know of a pod's readiness a moment after the API server.
    product.await_(lambda: serves(replace(scene, tenant=service)), "the Service serves")


def serves(scene: Scene) -> bool:
    try:
        works(scene.tenant, scene.schema, scene.key(b"k"))
    except (AssertionError, OSError):
        return False
    return True


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


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_changes_nothing(scene: Scene, name: str) -> None:
    if not tried_at(name, scene.place):
        return
    before = scene.picture()
    ATTACKS[name](scene)
    assert scene.picture() == before
    works(scene.other, scene.schema, scene.other_key)
    works(scene.tenant, scene.schema, scene.key(b"k"))


def test_no_attack_has_ended_a_container(scene: Scene, product: Product) -> None:
    """Also not one of the attacker's own; after all the attacks of this scene."""
    for name in STORAGES:
        counts = restarts(product.pods(name))
        assert counts
        assert not any(counts.values()), (name, counts)


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
