"""What `status.isolation` says: with users the core itself refuses, whoever holds the gate."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.core.identity import user_name
from hack.cluster.components import CORES
from hack.dataplane import CoreEtcd, programs
from tests.attack.catalogue import ATTACKS
from tests.attack.methods import DECISIONS, DIRECT
from tests.attack.picture import Core
from tests.attack.scene import NEIGHBOURS, STORAGE, Scene, refused
from tests.integration.dataplane.attack.conftest import (
    HISTORY,
    administrator,
    context,
    exposed,
    located,
)
from tests.integration.dataplane.conftest import MakePod, core_files
from tests.support.etcdrpc import PERMISSION_DENIED, UNIMPLEMENTED, Connection, Endpoint, Schema

README = (Path(__file__).parents[4] / "README.md").read_text()

REFUSED_BY_THE_CORE = (
    *("read over the prefix's ends", "count and name others' keys", "write others' keys"),
    *("delete over the prefix's ends", "transactions over the prefix's ends, nested ones too"),
    *("compare with others' keys", "watch over the prefix's ends", "watch by odd numbers"),
    *("revoke another's lease", "keep another's lease alive", "look up another's lease"),
    "attach a key to another's lease",
)

_ITS_OWN = {"/etcdserverpb.Auth/UserGet": "its own user", "/etcdserverpb.Auth/RoleGet": "role"}
_ANYBODYS = {
    "/etcdserverpb.Auth/AuthStatus": "whether users are checked",
    "/etcdserverpb.Cluster/MemberList": "list of members",
    "/grpc.health.v1.Health/Check": "health",
    "/grpc.health.v1.Health/List": "health",
    "/grpc.health.v1.Health/Watch": "health",
}
ANSWERED = {STORAGE: {**_ITS_OWN, **_ANYBODYS}, "root": _ANYBODYS}
"""What the core answers to the user of a storage that the gate lets nobody ask, by storages, and
what the README calls it."""

ROOTS_IN_36 = {"/etcdserverpb.Auth/AuthStatus"}
"""What the release before answers to etcd's own root alone."""

LEASES = "/etcdserverpb.Lease/LeaseLeases"
STATUS = "/etcdserverpb.Maintenance/Status"


def as_user(etcd: CoreEtcd, storage: str) -> Endpoint:
    """Return the core as a storage's pod reaches it."""
    certificates = etcd.certificates
    pair = certificates.user(user_name(storage))
    return located(etcd.url, context(certificates.folder, certificates.authority, pair))


@pytest.fixture(params=CORES)
def core_with_users(request: pytest.FixtureRequest, folder: Path) -> Iterator[CoreEtcd]:
    with CoreEtcd(folder, programs.ensure(request.param), auth=True, flags=[HISTORY]) as etcd:
        yield etcd


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


@pytest.mark.parametrize("storage", ANSWERED)
def test_a_gate_taken_over_controls_nothing_and_learns_what_the_readme_says(
    scene: Scene, core_with_users: CoreEtcd, schema: Schema, storage: str
) -> None:
    """Whatever the storage is called: one is named like etcd's own root."""
    before = scene.picture()
    endpoint = as_user(core_with_users, storage)
    answered = {path for path in DECISIONS if _is_answered(endpoint, schema, path)}
    assert scene.picture() == before
    beyond = {path for path in answered if DIRECT not in DECISIONS[path].places}
    older = scene.core.call(STATUS).version.startswith("3.6.")
    assert beyond == set(ANSWERED[storage]) - (ROOTS_IN_36 if older else set())
    with Connection(endpoint) as connection:
        everything = schema.make("RangeRequest", key=b"\0", range_end=b"\0")
        refused(connection.call("/etcdserverpb.KV/Range", everything), PERMISSION_DENIED)


def test_a_gate_taken_over_lists_leases_as_long_as_none_has_a_key_of_others(scene: Scene) -> None:
    refused(scene.call(LEASES), PERMISSION_DENIED)
    scene.core.revoke(scene.leases["held"])
    found = scene.read(LEASES, scene.call(LEASES)).leases
    assert [lease.ID for lease in found] == [scene.leases["empty"]]


def test_the_readme_says_what_a_gate_taken_over_learns() -> None:
    _, _, told = README.partition("Whoever takes over a gate itself ")
    told, _, _ = told.partition("\n")
    for words in (*ANSWERED[STORAGE].values(), "grant leases with chosen IDs", "list all leases"):
        assert words in told


def _is_answered(endpoint: Endpoint, schema: Schema, path: str) -> bool:
    method = schema.methods[path]
    with Connection(endpoint) as connection:
        stream = connection.open(path)
        stream.send(schema.make(method.input, **DECISIONS[path].example))
        # A watch is answered but does not end.
        if not method.client_streams:
            stream.end()
        return bool(stream.receive())


def test_direct_without_users_lets_nothing_through(
    core_of: CoreEtcd, keep_pod: MakePod, schema: Schema
) -> None:
    """Nothing would hold a tenant there: so it is when somebody turns the core's users off."""
    pod = keep_pod(core_of, STORAGE, "Direct")
    with Connection(located(pod.endpoint, None)) as connection:
        for path, method in schema.methods.items():
            message = schema.make(method.input, **DECISIONS[path].example)
            refused(connection.call(path, message), UNIMPLEMENTED)
