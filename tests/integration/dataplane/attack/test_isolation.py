"""What `status.isolation` says: with users the core itself refuses, whoever holds the gate."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from controller.core.identity import user_name
from hack.dataplane import CoreEtcd
from tests.attack.catalogue import ATTACKS
from tests.attack.methods import DECISIONS, DIRECT
from tests.attack.picture import Core
from tests.attack.scene import NEIGHBOURS, STORAGE, Scene, refused
from tests.integration.dataplane.attack.conftest import (
    administrator,
    context,
    exposed,
    located,
)
from tests.integration.dataplane.conftest import MakePod, core_files
from tests.support.etcdrpc import PERMISSION_DENIED, UNIMPLEMENTED, Connection, Endpoint, Schema

REFUSED_BY_THE_CORE = (
    *("read over the prefix's ends", "count and name others' keys", "write others' keys"),
    *("delete over the prefix's ends", "transactions over the prefix's ends, nested ones too"),
    *("compare with others' keys", "watch over the prefix's ends", "watch by odd numbers"),
    *("revoke another's lease", "keep another's lease alive", "look up another's lease"),
    "attach a key to another's lease",
)

ADMINISTRATORS = ("Auth", "Maintenance/Snapshot", "Maintenance/Defragment", "Cluster/Member")
"""Beginnings of methods for etcd's root alone."""

ANYBODYS = ("/etcdserverpb.Auth/AuthStatus", "/etcdserverpb.Cluster/MemberList")


def as_user(etcd: CoreEtcd, storage: str) -> Endpoint:
    """Return the core as a storage's pod reaches it."""
    certificates = etcd.certificates
    pair = certificates.user(user_name(storage))
    return located(etcd.url, context(certificates.folder, certificates.authority, pair))


@pytest.fixture
def scene(core_with_users: CoreEtcd, schema: Schema) -> Iterator[Scene]:
    for name in (STORAGE, *NEIGHBOURS):
        core_files(core_with_users, name)
    with closing(Core(administrator(core_with_users), schema)) as core:
        yield exposed(DIRECT, schema, as_user(core_with_users, STORAGE), core)


def test_a_gate_taken_over_reaches_no_others(scene: Scene) -> None:
    before = scene.picture()
    for name in REFUSED_BY_THE_CORE:
        ATTACKS[name](scene)
        assert scene.picture() == before, name


def test_a_storage_named_like_etcd_s_root_is_not_root(
    scene: Scene, core_with_users: CoreEtcd, schema: Schema
) -> None:
    before = scene.picture()
    methods = {p: d for p, d in DECISIONS.items() if any(a in p for a in ADMINISTRATORS)}
    with Connection(as_user(core_with_users, "root")) as connection:
        for path in set(methods) - {*ANYBODYS, "/etcdserverpb.Auth/Authenticate"}:
            message = schema.make(schema.methods[path].input, **methods[path].example)
            refused(connection.call(path, message))
        everything = schema.make("RangeRequest", key=b"\0", range_end=b"\0")
        refused(connection.call("/etcdserverpb.KV/Range", everything), PERMISSION_DENIED)
    assert scene.picture() == before


def test_direct_without_users_lets_nothing_through(
    core_of: CoreEtcd, keep_pod: MakePod, schema: Schema
) -> None:
    """Nothing would hold a tenant there: so it is when somebody turns the core's users off."""
    pod = keep_pod(core_of, STORAGE, "Direct")
    with Connection(located(pod.endpoint, None)) as connection:
        for path, method in schema.methods.items():
            message = schema.make(method.input, **DECISIONS[path].example)
            refused(connection.call(path, message), UNIMPLEMENTED)
