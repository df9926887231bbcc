"""Storages with users of their own: the real API server and a real core etcd with TLS."""

import base64
import json
import re
import secrets
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from controller.api.storage import CORE_FINALIZER, CORE_USER_OWNER
from controller.pki import Authority, Pair
from controller.resources import REPLICA_SETS, SECRETS
from hack.cluster import pki
from hack.cluster.command import CommandError
from hack.cluster.controlplane import ControlPlane
from hack.dataplane import CoreEtcd, programs
from informers import ApiError
from informers.errors import is_not_found
from tests.integration.controller.conftest import Pods, RunController, Storages, manifest
from tests.integration.controller.test_program import DEPLOYMENT, NAMESPACE, kubeconfig_of
from tests.support.eventually import eventually

pytestmark = pytest.mark.long

README = (Path(__file__).parents[3] / "artifacts/etcd/README.md").read_text()

FLAGS = ("--etcd-core-root-secret=root-pair", "--etcd-core-client-ca-secret=clients")


@pytest.fixture
def core(tmp_path: Path) -> Iterator[CoreEtcd]:
    with CoreEtcd(tmp_path / "core", programs.ensure(), auth=True) as running:
        yield running


def secret(namespace: str, name: str, **content: bytes) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value).decode() for key, value in content.items()},
    }


def shared_objects(namespace: str, core: CoreEtcd) -> list[dict[str, Any]]:
    """Return what an operator makes for a core of his own."""
    certificates = core.certificates
    root, clients = certificates.root, certificates.client_ca.pair
    bundle = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "etcd-coreserving-ca", "namespace": namespace},
        "data": {"ca.pem": certificates.authority.cert_pem.decode()},
    }
    return [
        bundle,
        secret(
            namespace,
            "root-pair",
            **{"client.pem": root.cert_pem, "client-key.pem": root.key_pem},
        ),
        secret(
            namespace, "clients", **{"ca.pem": clients.cert_pem, "ca-key.pem": clients.key_pem}
        ),
    ]


Run = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def run(
    run_controller: RunController, control_plane: ControlPlane, namespace: str, core: CoreEtcd
) -> Run:
    """The controller with all that it needs to keep users in `core`."""
    for obj in shared_objects(namespace, core):
        control_plane.kubectl("create", "-f", "-", stdin=obj)

    def running(*flags: str) -> AbstractContextManager[None]:
        return run_controller(*FLAGS, *flags, core=core.url)

    return running


def pair_of(storages: Storages, namespace: str, name: str) -> Pair:
    data = storages.api.get(SECRETS, f"etcd-user-{name}", namespace)["data"]
    return Pair(base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"]))


def users(core: CoreEtcd) -> set[str]:
    return set(core.etcdctl().run("user", "list").split())


def roles(core: CoreEtcd) -> set[str]:
    return set(core.etcdctl().run("role", "list").split())


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_a_storage_gets_a_user_its_pair_and_pods_that_use_it(
    storages: Storages, run: Run, core: CoreEtcd, namespace: str, pods: Pods, mode: str
) -> None:
    with run():
        for name in ("mine", "other"):
            storages.create(name, mode=mode, replicas=1)
            storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
        assert {"etcdstorage:mine", "etcdstorage:other"} <= users(core)
        mine = core.etcdctl(pair_of(storages, namespace, "mine"))
        mine.run("put", "/mine/key", "value")
        for forbidden in (("get", "/other/key"), ("put", "/other/key", "x"), ("user", "list")):
            with pytest.raises(CommandError, match="permission denied"):
                mine.run(*forbidden)
        eventually(lambda: len(pods.of("mine")) == 1)
        pods.make_ready("mine")
        eventually(lambda: storages.get("mine")["status"].get("isolation") == "Core")
        (pod,) = pods.of("mine")
        assert "etcd-user-mine" in str(pod["spec"]["volumes"])
        assert ("initContainers" in pod["spec"]) is (mode == "Proxy")
        assert storages.condition("mine", "Degraded")["status"] == "False"


def test_a_storage_takes_its_user_and_its_pods_with_it(
    storages: Storages,
    run: Run,
    core: CoreEtcd,
    control_plane: ControlPlane,
    namespace: str,
    pods: Pods,
) -> None:
    with run():
        for name in ("going", "staying"):
            storages.create(name, replicas=1)
            storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
            eventually(lambda name=name: len(pods.of(name)) == 1)  # type: ignore[misc]
        core.etcdctl().run("put", "/going/key", "kept")
        assert storages.get("going")["metadata"]["finalizers"] == [CORE_FINALIZER]
        control_plane.kubectl("delete", "es/going", "--timeout=120s")
        assert pods.of("going") == []
        assert "etcdstorage:going" not in users(core) | roles(core)
        assert "etcdstorage:staying" in users(core) & roles(core)
        assert "kept" in core.etcdctl().run("get", "/going/key")


def test_pods_that_outlive_their_storage_keep_their_user_for_its_successor(
    storages: Storages,
    run: Run,
    core: CoreEtcd,
    control_plane: ControlPlane,
    namespace: str,
    pods: Pods,
) -> None:
    with run():
        storages.create("lasting", replicas=1)
        storages.await_condition("lasting", "Deployed", "EtcdProxyDeployed")
        eventually(lambda: len(pods.of("lasting")) == 1)
        (before,) = pods.of("lasting")
        pair = pair_of(storages, namespace, "lasting")
        control_plane.kubectl("delete", "es/lasting", "--cascade=orphan", "--timeout=120s")
        core.etcdctl(pair).run("put", "/lasting/key", "value")
        storages.create("lasting", replicas=1)
        storages.await_condition("lasting", "Deployed", "EtcdProxyDeployed")
        # Pods that run are adopted first: they wait for nothing.
        eventually(lambda: storages.get("lasting")["metadata"].get("finalizers"))
        assert storages.get("lasting")["metadata"]["finalizers"] == [CORE_FINALIZER]
        (after,) = pods.of("lasting")
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert pair_of(storages, namespace, "lasting") == pair
        control_plane.kubectl("delete", "es/lasting", "--timeout=120s")
        assert pods.of("lasting") == []
        assert "etcdstorage:lasting" not in users(core) | roles(core)


def test_the_way_out_of_a_deletion_takes_off_our_finalizer_alone(
    storages: Storages, run: Run, core: CoreEtcd, control_plane: ControlPlane
) -> None:
    with run():
        storages.create("going", replicas=1)
        storages.await_condition("going", "Deployed", "EtcdProxyDeployed")
        theirs = [{"op": "add", "path": "/metadata/finalizers/0", "value": "example.org/theirs"}]
        control_plane.kubectl("patch", "es/going", "--type=json", f"--patch={json.dumps(theirs)}")
        core.stop()
        control_plane.kubectl("delete", "es/going", "--wait=false")

        way_out = storages.await_way_out("going", "user")
        control_plane.kubectl(*way_out)
        assert storages.get("going")["metadata"]["finalizers"] == ["example.org/theirs"]


def test_a_core_that_is_away_is_told_holds_the_deleted_and_stops_no_other_work(
    storages: Storages, run: Run, core: CoreEtcd, control_plane: ControlPlane, namespace: str
) -> None:
    with run():
        for name in ("runs", "going"):
            storages.create(name)
            storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
        core.stop()
        control_plane.kubectl("delete", "es/going", "--wait=false")
        control_plane.kubectl("scale", "es/runs", "--replicas=3")

        def scaled() -> bool:
            found = storages.api.get(REPLICA_SETS, "etcd-rs-runs", namespace)
            return bool(found["spec"]["replicas"] == 3)

        eventually(scaled)
        storages.create("new")
        for name in ("going", "new", "runs"):
            # The keeper asks for the auth every 30 s, and hears of it at once by a change.
            reason = "CoreUnreachable"
            eventually(
                lambda name=name, reason=reason: (  # type: ignore[misc]
                    storages.condition(name, "Degraded").get("reason") == reason
                ),
            )
        assert storages.condition("runs", "Deployed")["status"] == "True"
        core.start()
        storages.await_condition("new", "Deployed", "EtcdProxyDeployed")
        control_plane.kubectl("wait", "--for=delete", "es/going", "--timeout=120s")
        assert "etcdstorage:going" not in users(core)


def test_a_user_of_our_name_that_is_not_ours_stops_its_storage_alone(
    storages: Storages, run: Run, core: CoreEtcd, namespace: str
) -> None:
    root = core.etcdctl()
    root.run("user", "add", "etcdstorage:taken", "--no-password")
    root.run("user", "grant-role", "etcdstorage:taken", "root")
    with run():
        storages.create("taken")
        storages.create("free")
        storages.await_condition("free", "Deployed", "EtcdProxyDeployed")
        storages.await_condition("taken", "Degraded", "CoreUserConflict")
        assert "finalizers" not in storages.get("taken")["metadata"]
        assert "root" in root.run("user", "get", "etcdstorage:taken")
        with pytest.raises(ApiError) as missing:
            storages.api.get(REPLICA_SETS, "etcd-rs-taken", namespace)
        assert is_not_found(missing.value)


def test_a_restored_storage_gets_a_name_that_is_free_and_leaves_the_user_of_somebody_else(
    storages: Storages, run: Run, core: CoreEtcd, control_plane: ControlPlane
) -> None:
    """As `kubectl get -o yaml` wrote it: with finalizer, status and the uid of another object."""
    root = core.etcdctl()
    root.run("user", "add", "etcdstorage:taken", "--no-password")
    root.run("user", "grant-role", "etcdstorage:taken", "root")
    for name in ("taken", "free"):
        backup = manifest(name, {"replicas": 1})
        backup["metadata"]["finalizers"] = [CORE_FINALIZER]
        backup["status"] = {CORE_USER_OWNER: "of-the-object-that-was"}
        control_plane.kubectl("create", "-f", "-", stdin=backup)
    with run():
        storages.await_condition("taken", "Degraded", "CoreUserConflict")
        assert CORE_USER_OWNER not in storages.get("taken")["status"]
        storages.await_condition("free", "Deployed", "EtcdProxyDeployed")
        free = storages.get("free")
        assert free["status"][CORE_USER_OWNER] == free["metadata"]["uid"]
        assert {"etcdstorage:free", "etcdstorage:taken"} <= users(core)
        control_plane.kubectl("delete", "es/free", "es/taken", "--timeout=120s")
        assert "etcdstorage:free" not in users(core)
        assert "root" in root.run("user", "get", "etcdstorage:taken")


def test_direct_waits_for_auth_and_has_no_pods_without_it(
    storages: Storages, run: Run, core: CoreEtcd, namespace: str
) -> None:
    core.disable_auth()
    with run():
        storages.create("direct", mode="Direct")
        storages.await_condition("direct", "Degraded", "CoreAuthDisabled")
        storages.create("proxied")
        storages.await_condition("proxied", "Deployed", "EtcdProxyDeployed")
        assert "etcdstorage:direct" not in users(core) | roles(core)
    core.enable_auth()
    with run():
        storages.await_condition("direct", "Deployed", "EtcdProxyDeployed")
    core.disable_auth()
    with run():
        storages.await_condition("direct", "Deployed", "CoreAuthDisabled")
        name = "etcd-rs-direct"
        suspended = storages.api.get(REPLICA_SETS, name, namespace)
        assert suspended["spec"]["replicas"] == 0
    core.enable_auth()


def test_missing_secrets_are_named_and_their_arrival_mends(
    storages: Storages,
    run_controller: RunController,
    core: CoreEtcd,
    control_plane: ControlPlane,
    namespace: str,
) -> None:
    bundle, root, clients = shared_objects(namespace, core)
    control_plane.kubectl("create", "-f", "-", stdin=bundle)
    with run_controller(*FLAGS, core=core.url):
        storages.create("waiting")
        storages.await_condition("waiting", "Degraded", "CoreRootMissing")
        assert "root-pair" in storages.condition("waiting", "Degraded")["message"]
        control_plane.kubectl("create", "-f", "-", stdin=root)
        storages.await_condition("waiting", "Degraded", "CoreClientCAUnusable")
        assert "clients" in storages.condition("waiting", "Degraded")["message"]
        # Nothing is half done.
        assert "etcdstorage:waiting" not in users(core) | roles(core)
        assert "finalizers" not in storages.get("waiting")["metadata"]
        control_plane.kubectl("create", "-f", "-", stdin=clients)
        storages.await_condition("waiting", "Deployed", "EtcdProxyDeployed")


def test_the_rights_of_the_two_manifests_are_enough(
    storages: Storages,
    control_plane: ControlPlane,
    run_controller: RunController,
    core: CoreEtcd,
    tmp_path: Path,
) -> None:
    second = str(DEPLOYMENT.parent / "10-core-users.yaml")
    control_plane.kubectl("apply", "-f", str(DEPLOYMENT))
    control_plane.kubectl("delete", "-f", second, "--ignore-not-found")
    control_plane.kubectl("delete", "deployment", "--all", "-n", NAMESPACE)
    for obj in shared_objects(NAMESPACE, core):
        control_plane.kubectl("apply", "-f", "-", stdin=obj)
    account = kubeconfig_of(control_plane, tmp_path)
    name = f"granted-{secrets.token_hex(3)}"
    flags = (*FLAGS, f"--namespace={NAMESPACE}")
    with run_controller(*flags, kubeconfig=account, core=core.url):
        storages.create(name, replicas=1)
        storages.await_condition(name, "Degraded", "WriteFailed")
        message = storages.condition(name, "Degraded")["message"]
        assert 'cannot patch resource "etcdstorages"' in message
        assert message.endswith("kubectl apply -f artifacts/deployment/10-core-users.yaml")
        control_plane.kubectl("apply", "-f", second)
        storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
        before = pair_of(storages, NAMESPACE, name)
        spoilt = '--patch={"data":{"tls.crt":"eA=="}}'
        control_plane.kubectl("patch", "-n", NAMESPACE, f"secret/etcd-user-{name}", spoilt)
        eventually(
            lambda: pair_of(storages, NAMESPACE, name).cert_pem not in {b"x", before.cert_pem}
        )
        control_plane.kubectl("delete", f"es/{name}", "--timeout=120s")
        assert f"etcdstorage:{name}" not in users(core)


def test_a_pair_whose_secret_lost_our_label_is_mended_and_a_foreign_one_told(
    storages: Storages, run: Run, control_plane: ControlPlane, namespace: str
) -> None:
    taken = secret(namespace, "etcd-user-taken", theirs=b"x")
    control_plane.kubectl("create", "-f", "-", stdin=taken)
    with run():
        storages.create("taken")
        storages.await_condition("taken", "Degraded", "NameConflict")
        assert "etcd-user-taken" in storages.condition("taken", "Degraded")["message"]
        storages.create("mine")
        storages.await_condition("mine", "Deployed", "EtcdProxyDeployed")
        before = pair_of(storages, namespace, "mine")
        what = ("label", "-n", namespace, "secret/etcd-user-mine", "etcd.xmudrii.com/storage-")
        control_plane.kubectl(*what)

        def labelled() -> bool:
            found = storages.api.get(SECRETS, "etcd-user-mine", namespace)
            labels: dict[str, str] = found["metadata"]["labels"]
            return labels.get("etcd.xmudrii.com/storage") == "mine"

        eventually(labelled)
        assert pair_of(storages, namespace, "mine") == before


@pytest.fixture
def put_authority(control_plane: ControlPlane, namespace: str) -> Callable[[Authority], None]:
    def put(authority: Authority) -> None:
        content = {"ca.pem": authority.pair.cert_pem, "ca-key.pem": authority.pair.key_pem}
        obj = secret(namespace, "clients", **content)
        control_plane.kubectl("apply", "-f", "-", stdin=obj)

    return put


def key_of(authority: Authority) -> str:
    certificate = x509.load_pem_x509_certificate(authority.cert_pem)
    found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return found.value.digest.hex(":").upper()


def test_the_readme_s_list_shows_every_storage_whose_pair_the_old_authority_has_signed(
    storages: Storages,
    run: Run,
    core: CoreEtcd,
    control_plane: ControlPlane,
    put_authority: Callable[[Authority], None],
) -> None:
    (line,) = re.findall(r"^kubectl (get .*coreClientCertificate.*)$", README, re.MULTILINE)

    def shown() -> dict[str, str]:
        _, *rows = control_plane.kubectl(*shlex.split(line)).splitlines()
        return dict(row.split() for row in rows)

    certificates = core.certificates
    # Of one name, as an operator's two authorities may be.
    old, new = certificates.client_ca, pki.create("core etcd's clients")
    with run():
        for name in ("a", "b"):
            storages.create(name)
            storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
        assert shown() == {"a": key_of(old), "b": key_of(old)}
        put_authority(new)
        storages.await_condition("a", "Degraded", "CoreClientCAUntrusted")
        storages.create("late")
        storages.await_condition("late", "Deployed", "CoreClientCAUntrusted")
        assert shown() == {"a": key_of(old), "b": key_of(old), "late": "<none>"}
        core.stop_member(0)
        bundle = (certificates.authority, old, new)
        trusted = b"".join(authority.cert_pem for authority in bundle)
        (certificates.folder / "trusted.pem").write_bytes(trusted)
        core.members[0].start()
        core.await_ready()
        eventually(lambda: set(shown().values()) == {key_of(new)})
        assert shown().keys() == {"a", "b", "late"}
        told = storages.get("a")["status"]["coreClientCertificate"]
        assert told.keys() == {"serial", "notAfter", "signedBy"}


def test_an_authority_that_the_core_refuses_is_told_and_replaces_no_pair(
    storages: Storages,
    run: Run,
    core: CoreEtcd,
    namespace: str,
    put_authority: Callable[[Authority], None],
) -> None:
    put = put_authority
    with run():
        storages.create("mine")
        storages.await_condition("mine", "Deployed", "EtcdProxyDeployed")
        before = pair_of(storages, namespace, "mine")
        put(pki.create("wrong"))
        storages.await_condition("mine", "Degraded", "CoreClientCAUntrusted")
        assert core.url in storages.condition("mine", "Degraded")["message"]
        storages.create("late")
        storages.await_condition("late", "Deployed", "CoreClientCAUntrusted")
        assert "etcdstorage:late" not in users(core) | roles(core)
        put(core.certificates.client_ca)
        storages.await_condition("late", "Deployed", "EtcdProxyDeployed")
        storages.await_condition("mine", "Degraded", "AsExpected")
        assert pair_of(storages, namespace, "mine") == before


def test_a_secret_that_nobody_can_change_is_named_and_its_deletion_mends(
    storages: Storages, run: Run, control_plane: ControlPlane, namespace: str
) -> None:
    opaque = secret(namespace, "etcd-user-opaque")
    opaque["metadata"]["labels"] = {"etcd.xmudrii.com/storage": "opaque"}
    control_plane.kubectl("create", "-f", "-", stdin=opaque)
    with run():
        for name in ("opaque", "immutable"):
            storages.create(name)
        storages.await_condition("immutable", "Deployed", "EtcdProxyDeployed")
        spoilt = '--patch={"immutable":true,"data":{"tls.crt":"eA=="}}'
        control_plane.kubectl("patch", "-n", namespace, "secret/etcd-user-immutable", spoilt)
        for name in ("opaque", "immutable"):
            storages.await_condition(name, "Deployed", "ObjectImmutable")
            assert f"etcd-user-{name}" in storages.condition(name, "Degraded")["message"]
            control_plane.kubectl("delete", "-n", namespace, f"secret/etcd-user-{name}")
            storages.await_condition(name, "Deployed", "EtcdProxyDeployed")
            assert storages.condition(name, "Degraded")["status"] == "False"
