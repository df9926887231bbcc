"""The attacks are none that nothing would let through: without the gate they succeed."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from hack.dataplane import BareProxy, CoreEtcd
from tests.attack.catalogue import ATTACKS
from tests.attack.methods import DECISIONS, DIRECT, PROXY
from tests.attack.picture import Core
from tests.attack.scene import STORAGE, Place, Scene
from tests.integration.dataplane.attack.conftest import (
    administrator,
    context,
    exposed,
    located,
)
from tests.integration.dataplane.conftest import MakeProxy, core_files
from tests.support.etcdrpc import UNIMPLEMENTED, Schema
from tests.support.eventually import PATIENCE

AT_PROXY = (
    *("revoke another's lease", "keep another's lease alive", "look up another's lease"),
    *("list all leases", "grant leases of chosen numbers", "grant leases for 285 years"),
    *("ask by a grant whether a lease exists", "grant leases in disguise"),
    *("grant leases in pieces", "grant very many leases", "attach a key to another's lease"),
    "HTTP/1",
)
"""What grpc-proxy lets through, or dies of."""

AT_CORE = (
    *("read over the prefix's ends", "count and name others' keys", "write others' keys"),
    *("delete over the prefix's ends", "transactions over the prefix's ends, nested ones too"),
    *("compare with others' keys", "watch over the prefix's ends", "watch by odd numbers"),
    "HTTP/1",
)
"""What a core without users lets through."""

AT_USERS = (
    *("forge a user", "the JSON gateway and other HTTP", "HTTP/1", "grant very many leases"),
    *("transactions that read again and again", "very many watches"),
)
"""What a core with users lets through."""


def bites(scene: Scene, name: str) -> bool:
    """Whether an attack is seen to get through."""
    before = scene.picture()
    try:
        ATTACKS[name](scene)
    except (AssertionError, OSError):
        return True
    return scene.picture() != before


@pytest.fixture
def core(core_of: CoreEtcd, schema: Schema) -> Iterator[Core]:
    with closing(Core(administrator(core_of), schema)) as core:
        yield core


@pytest.fixture
def proxy(core_of: CoreEtcd, make_proxy: MakeProxy) -> BareProxy:
    return make_proxy(core_of, STORAGE)


def test_at_a_bare_proxy(core: Core, proxy: BareProxy, schema: Schema) -> None:
    held = []
    for name in AT_PROXY:
        proxy.start()
        scene = exposed(PROXY, schema, located(proxy.endpoint, None), core)
        held += [] if bites(scene, name) else [name]
    assert held == []


def test_an_operation_that_is_none_ends_a_proxy(
    core: Core, proxy: BareProxy, schema: Schema
) -> None:
    scene = exposed(PROXY, schema, located(proxy.endpoint, None), core)
    with pytest.raises(AssertionError):
        ATTACKS["an operation that is none"](scene)
    assert proxy.process.wait(PATIENCE)


def test_methods_at_a_bare_proxy(core: Core, proxy: BareProxy, schema: Schema) -> None:
    scene = exposed(PROXY, schema, located(proxy.endpoint, None), core)
    for method in ("Maintenance/Snapshot", "Cluster/MemberList", "Auth/UserList", "KV/Compact"):
        path = f"/etcdserverpb.{method}"
        assert scene.call(path, **DECISIONS[path].example).code != UNIMPLEMENTED


def test_at_a_core_without_users(core_of: CoreEtcd, core: Core, schema: Schema) -> None:
    held = []
    for name in AT_CORE:
        scene = exposed(Place("Direct", auth=False), schema, administrator(core_of), core)
        held += [] if bites(scene, name) else [name]
    assert held == []


def test_at_a_core_with_users(core_with_users: CoreEtcd, schema: Schema) -> None:
    etcd = core_with_users
    core_files(etcd, STORAGE)
    pair = etcd.certificates.user(f"etcdstorage:{STORAGE}")
    folder, authority = etcd.certificates.folder, etcd.certificates.authority
    tenant = located(etcd.url, context(folder, authority, pair))
    loose = located(etcd.url, context(folder, authority, pair, protocols=()))
    held = []
    with closing(Core(administrator(etcd), schema)) as core:
        for name in AT_USERS:
            scene = exposed(DIRECT, schema, tenant, core, undetermined=loose)
            held += [] if bites(scene, name) else [name]
    assert held == []
