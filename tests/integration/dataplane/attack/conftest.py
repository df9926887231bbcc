"""A tenant `a` among others, on real cores and with real pods: see tests/attack."""

import datetime as dt
import shutil
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from controller.pki import Authority, Leaf, Pair
from hack.cluster import binaries, pki
from hack.cluster.command import run
from hack.dataplane import CoreEtcd, GatePod, Tenant
from hack.dataplane.programs import Programs
from tests.attack.picture import Core
from tests.attack.scene import NEIGHBOURS, OTHER, STORAGE, Place, Scene, furnish
from tests.integration.dataplane.conftest import MakePod, core_files
from tests.support.etcdrpc import Endpoint, Schema

HISTORY = "--auto-compaction-retention=24h"
"""The core's own compaction must not be taken for a tenant's."""

MakeScene = Callable[[Place], Scene]


@pytest.fixture(scope="session")
def schema() -> Schema:
    """Give the services and messages of the real etcd."""
    program = binaries.ensure("etcd-descriptors")["etcd-descriptors"]
    return Schema(run([program]))


@pytest.fixture(scope="module")
def make_scene(
    tmp_path_factory: pytest.TempPathFactory,
    data_plane: Programs,
    schema: Schema,
    keep_pod: MakePod,
) -> Iterator[MakeScene]:
    """Furnish a core of its own with tenants, and put a pod before two of them.

    Where the core has users, clients need certificates as well: both come from one decision.
    """
    folder = tmp_path_factory.mktemp("attack")
    running: list[CoreEtcd] = []
    cores: list[Core] = []

    def make(place: Place) -> Scene:
        here = folder / str(len(running))
        etcd = CoreEtcd(here, data_plane, auth=place.auth, flags=[HISTORY])
        running.append(etcd)
        etcd.start()
        core = Core(administrator(etcd), schema)
        cores.append(core)
        leases = furnish(core)
        if etcd.auth:
            for name in NEIGHBOURS:
                core_files(etcd, name)
        mine, other = (keep_pod(etcd, n, place.mode, tls=place.auth) for n in (STORAGE, OTHER))
        return scene(place, schema, core, leases, mine, other, strangers(etcd, mine, other))

    yield make
    for core in cores:
        core.close()
    for etcd in running:
        etcd.stop()
    shutil.rmtree(folder)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("bites")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def core_of(folder: Path, data_plane: Programs) -> Iterator[CoreEtcd]:
    with CoreEtcd(folder, data_plane, flags=[HISTORY]) as etcd:
        yield etcd


@pytest.fixture
def core_with_users(folder: Path, data_plane: Programs) -> Iterator[CoreEtcd]:
    with CoreEtcd(folder, data_plane, auth=True, flags=[HISTORY]) as etcd:
        yield etcd


def scene(
    place: Place,
    schema: Schema,
    core: Core,
    leases: dict[str, int],
    mine: GatePod,
    other: GatePod,
    unwanted: dict[str, Endpoint],
) -> Scene:
    ports = mine.gate.ports
    return Scene(
        place=place,
        schema=schema,
        tenant=endpoint(mine, mine.tenant.client()),
        undetermined=endpoint(mine, mine.tenant.client(), protocols=()),
        other=endpoint(other, other.tenant.client()),
        probe=ports.probe,
        private=(ports.proxy, ports.egress, ports.admin),
        core=core,
        leases=leases,
        strangers=unwanted,
    )


def administrator(etcd: CoreEtcd) -> Endpoint:
    """Return the core as its root reaches it."""
    certificates = etcd.certificates
    given = context(certificates.folder, certificates.authority, certificates.root)
    return located(etcd.url, given if etcd.tls else None)


def endpoint(pod: GatePod, pair: Pair | None, *, protocols: tuple[str, ...] = ("h2",)) -> Endpoint:
    """Return a pod's endpoint as a client with this pair reaches it."""
    if not pod.tls:
        return located(pod.endpoint, None)
    given = context(pod.folder, pod.tenant.authority, pair, protocols=protocols)
    return located(pod.endpoint, given)


def exposed(
    place: Place,
    schema: Schema,
    tenant: Endpoint,
    core: Core,
    *,
    undetermined: Endpoint | None = None,
) -> Scene:
    """Return a scene without a gate, at what it would guard."""
    leases = furnish(core)
    return Scene(
        place=place,
        schema=schema,
        tenant=tenant,
        undetermined=undetermined or tenant,
        other=tenant,
        probe=tenant.port,
        private=(),
        core=core,
        leases=leases,
    )


def strangers(etcd: CoreEtcd, mine: GatePod, other: GatePod) -> dict[str, Endpoint]:
    """Return the pod's endpoint as those reach it who are not the tenant; nobody without TLS."""
    if not mine.tls:
        return {}
    pairs = {
        "no certificate": None,
        "another tenant's": other.tenant.client(),
        "of another client of the same authority": mine.tenant.client("urn:somebody:else"),
        "of the same authority, for nobody": pki.issue(mine.tenant.authority, Leaf()),
        "the server's own": mine.tenant.serving(),
        "the core's administrator's": etcd.certificates.root,
        "the core's, for all storages": etcd.certificates.shared,
        "expired": expired(mine.tenant.authority),
        "of an authority of the same name": Tenant(mine.folder, names=(), ips=()).client(),
    }
    found = {name: endpoint(mine, pair) for name, pair in pairs.items()}
    own = endpoint(mine, mine.tenant.client())
    return {**found, "without TLS": replace(own, context=None)}


def expired(authority: Authority) -> Pair:
    """Return the tenant's own certificate of a day long ago."""
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=30)
    leaf = Leaf(uris=(Tenant.URI,))
    return authority.issue(leaf, validity=dt.timedelta(days=1), now=long_ago)


def located(url: str, given: ssl.SSLContext | None) -> Endpoint:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return Endpoint(parts.port, given, parts.hostname, server_name="localhost")


def context(
    folder: Path,
    authority: Authority,
    pair: Pair | None,
    *,
    protocols: tuple[str, ...] = ("h2",),
) -> ssl.SSLContext:
    """Return what a client with this pair needs, or with none, that wants these inside."""
    made = ssl.create_default_context(cadata=authority.cert_pem.decode())
    if protocols:
        made.set_alpn_protocols(list(protocols))
    if pair is not None:
        pki.write(pair, folder, "attacker")
        made.load_cert_chain(folder / "attacker.crt", folder / "attacker.key")
    return made
