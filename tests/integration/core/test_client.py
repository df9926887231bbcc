"""The calls to a real core etcd, as root and as others."""

import socket
import threading
from collections.abc import Callable

import pytest

from controller.core import Access, user_name
from controller.core.client import CoreClient
from controller.core.connection import Connection
from controller.core.errors import (
    AlreadyExistsError,
    ClosedError,
    DeniedError,
    NotFoundError,
    UnreachableError,
)
from controller.core.identity import Permission, permissions
from controller.core.messages import MESSAGES
from controller.core.users import (
    NOTHING,
    AddRole,
    AddUser,
    DeleteRole,
    DeleteUser,
    Found,
    GrantPermission,
    GrantRole,
    RevokePermission,
    RevokeRole,
)
from controller.pki import Leaf, Pair
from hack.cluster import pki, ports
from hack.cluster.command import CommandError
from hack.dataplane.core import CoreEtcd
from hack.dataplane.etcdctl import Etcdctl
from tests.integration.core.conftest import EVERY_CORE, access_of

Clients = Callable[[Pair], CoreClient]


@pytest.fixture
def root(core: CoreEtcd, clients: Clients) -> CoreClient:
    return clients(core.certificates.root)


@EVERY_CORE
def test_every_change_is_made_and_seen(core: CoreEtcd, root: CoreClient) -> None:
    wide = Permission(b"/", b"0", "READ")
    for step, then in (
        (AddRole("r"), Found(frozenset(), None)),
        (GrantPermission("r", wide), Found(frozenset({wide}), None)),
        (AddUser("r"), Found(frozenset({wide}), frozenset())),
        (GrantRole("r", "r"), Found(frozenset({wide}), frozenset({"r"}))),
        (RevokeRole("r", "r"), Found(frozenset({wide}), frozenset())),
        (RevokePermission("r", b"/", b"0"), Found(frozenset(), frozenset())),
        (DeleteUser("r"), Found(frozenset(), None)),
        (DeleteRole("r"), NOTHING),
    ):
        before = root.auth_status()
        root.take(step)
        assert root.find("r") == then
        # The count that tells of other people's changes.
        assert root.auth_status().revision == before.revision + 1


@EVERY_CORE
def test_etcd_s_errors_are_told_apart(root: CoreClient) -> None:
    root.take(AddRole("e"))
    root.take(AddUser("e"))
    for again in (AddRole("e"), AddUser("e")):
        with pytest.raises(AlreadyExistsError):
            root.take(again)
    for absent in (RevokeRole("e", "x"), RevokePermission("e", b"x", b"")):
        with pytest.raises(NotFoundError):
            root.take(absent)
    root.take(DeleteUser("e"))
    root.take(DeleteRole("e"))
    for gone in (DeleteUser("e"), DeleteRole("e"), GrantRole("e", "e")):
        with pytest.raises(NotFoundError):
            root.take(gone)


@EVERY_CORE
def test_only_root_may_ask(core: CoreEtcd, clients: Clients, root: CoreClient) -> None:
    root.take(AddUser("somebody"))
    certificates = core.certificates
    for pair in (certificates.user("somebody"), certificates.user("nobody"), certificates.shared):
        with pytest.raises(DeniedError):
            clients(pair).auth_status()
    root.take(DeleteUser("somebody"))


def test_whoever_shows_a_pair_that_the_core_trusts_is_answered(
    core: CoreEtcd, clients: Clients
) -> None:
    certificates = core.certificates
    assert clients(certificates.root).answers()
    assert clients(certificates.user("nobody at all")).answers()
    assert clients(certificates.shared).answers()
    # The handshake of TLS 1.3 is over before the member says this.
    assert not clients(pki.issue(pki.create("core etcd's clients"), Leaf("root"))).answers()
    # Auth off, or no TLS at all: whoever asks.
    core.disable_auth()
    assert clients(certificates.user("nobody at all")).answers()
    core.enable_auth()


@EVERY_CORE
def test_a_revision_is_kept_until_it_is_compacted(core: CoreEtcd, root: CoreClient) -> None:
    first = root.revision()
    for value in "abc":
        core.etcdctl().run("put", "k", value)
    assert root.revision() == first + 3
    assert root.is_kept(first + 1)
    core.etcdctl().run("compact", str(first + 2))
    assert not root.is_kept(first + 1)
    assert root.is_kept(first + 2)


def test_a_foreign_authority_is_unreachable_on_both_sides(core: CoreEtcd) -> None:
    good = access_of(core, core.certificates.root)
    other = pki.create("other")
    forged = pki.issue(other, Leaf("root"))
    for access in (
        Access(good.urls, other.cert_pem, good.cert_pem, good.key_pem),
        Access(good.urls, good.ca_pem, forged.cert_pem, forged.key_pem),
        Access(good.urls, good.ca_pem, b"no certificate", b"no key"),
        Access(tuple(url.replace("https", "http") for url in good.urls)),
    ):
        client = CoreClient(access)
        with pytest.raises(UnreachableError, match=good.urls[0].rpartition(":")[2]):
            client.auth_status()
        client.close()


def test_who_may_change_nothing_any_more_reads_on(core: CoreEtcd) -> None:
    core.etcdctl().run("put", "/gone/1", "value")
    leads = True
    client = CoreClient(access_of(core, core.certificates.root), lambda: leads)
    assert client.delete(b"/gone/", b"/gone0") == 1
    core.etcdctl().run("put", "/gone/1", "of another by now")
    leads = False
    for change in (
        lambda: client.delete(b"/gone/", b"/gone0"),
        lambda: client.take(AddUser("etcdstorage:gone")),
    ):
        with pytest.raises(ClosedError):
            change()
    assert client.count(b"/gone/", b"/gone0") == 1
    assert client.find("etcdstorage:gone") == Found(None, None)
    client.close()


def test_a_dead_member_is_left_out(core: CoreEtcd) -> None:
    good = access_of(core, core.certificates.root)
    dead = f"https://127.0.0.1:{ports.free(1)[0]}"
    client = CoreClient(Access((dead, *good.urls), good.ca_pem, good.cert_pem, good.key_pem))
    assert client.auth_status().enabled
    client.close()


def test_the_deadline_holds_and_a_close_ends_a_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        access = Access((f"http://127.0.0.1:{silent.getsockname()[1]}",))
        hasty = Connection(access, deadline=0.05)
        client = CoreClient(access)
        with pytest.raises(UnreachableError):
            hasty.call("Auth/AuthStatus", MESSAGES["AuthStatusRequest"](), MESSAGES["Done"])
        hasty.close()
        closing = threading.Timer(0.05, client.close)
        closing.start()
        with pytest.raises(ClosedError):
            client.auth_status()
        closing.join()
        with pytest.raises(ClosedError):
            client.auth_status()


@EVERY_CORE
def test_tenants_reach_their_own_only(core: CoreEtcd, clients: Clients, root: CoreClient) -> None:
    names = ("a", "aa", "a-b", "root", "b")
    for name in names:
        user = user_name(name)
        root.take(AddRole(user))
        for permission in permissions(name):
            root.take(GrantPermission(user, permission))
        root.take(AddUser(user))
        root.take(GrantRole(user, user))
    for name in names:
        tenant = core.etcdctl(core.certificates.user(user_name(name)))
        tenant.run("put", f"/{name}/k", name)
        tenant.run("get", "compact_rev_key")
        assert tenant.run("get", "--prefix", f"/{name}/").split() == [f"/{name}/k", name]
        for foreign in (*(f"/{other}/k" for other in names if other != name), "/", f"/{name}"):
            _is_denied(tenant, "put", foreign, "x")
            _is_denied(tenant, "get", foreign)
        _is_denied(tenant, "put", "compact_rev_key", "1")
        _is_denied(tenant, "get", "--prefix", f"/{name}")
        _is_denied(tenant, "get", "--from-key", f"/{name}/")
        _is_denied(tenant, "user", "list")


def _is_denied(tenant: Etcdctl, *arguments: str) -> None:
    with pytest.raises(CommandError, match="permission denied"):
        tenant.run(*arguments)
