"""What `hack.dataplane` starts is what it says, so that other tests can build on it."""

from pathlib import Path

import pytest

from hack.cluster.command import CommandError
from hack.cluster.controlplane import ControlPlane
from hack.cluster.process import ProcessError
from hack.dataplane import CoreEtcd, GatePod, SampleApiserver
from hack.dataplane.programs import Programs
from hack.dataplane.sampleapiserver import GROUP_VERSION
from tests.integration.dataplane.conftest import (
    MakeCore,
    MakePod,
    MakeProxy,
)
from tests.support.eventually import eventually


def keys(core: CoreEtcd, prefix: str) -> list[str]:
    return core.etcdctl().run("get", "--prefix", "--keys-only", prefix).split()


@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_pod_puts_keys_under_its_prefix(
    plain_core: CoreEtcd, auth_core: CoreEtcd, make_pod: MakePod, *, tls: bool
) -> None:
    core = auth_core if tls else plain_core
    pod = make_pod(core, "proxied", tls=tls)
    assert pod.proxy is not None
    client = pod.etcdctl()
    client.run("put", "k", "v")
    assert client.run("get", "k").split() == ["k", "v"]
    assert keys(core, "/proxied/") == ["/proxied/k"]
    with pytest.raises(CommandError, match="Unimplemented"):
        client.run("member", "list")


def test_a_direct_pod_leaves_keys_as_they_are(auth_core: CoreEtcd, make_pod: MakePod) -> None:
    pod = make_pod(auth_core, "direct", "Direct", tls=True)
    assert pod.proxy is None
    client = pod.etcdctl()
    client.run("put", "/direct/k", "v")
    assert keys(auth_core, "/direct/") == ["/direct/k"]
    with pytest.raises(CommandError, match="permission denied"):
        client.run("put", "/proxied/k", "stolen")


def test_only_clients_of_the_storage_get_in(auth_core: CoreEtcd, make_pod: MakePod) -> None:
    pod = make_pod(auth_core, "closed", "Direct", tls=True)
    for stranger in (pod.tenant.client("urn:somebody:else"), auth_core.certificates.root):
        with pytest.raises(CommandError):
            pod.etcdctl(stranger).run("get", "/closed/k", "--command-timeout=1s")
    assert pod.etcdctl().run("get", "/closed/k") == ""


def test_users_can_be_turned_off_and_on(make_core: MakeCore) -> None:
    core = make_core(auth=True)
    pair = core.add_user("somebody", "/theirs/")
    as_somebody = core.etcdctl(pair)
    as_somebody.run("put", "/theirs/k", "v")
    with pytest.raises(CommandError, match="permission denied"):
        as_somebody.run("put", "/others/k", "v")
    core.disable_auth()
    as_somebody.run("put", "/others/k", "v")
    core.enable_auth()
    assert core.auth
    with pytest.raises(CommandError, match="permission denied"):
        as_somebody.run("get", "/others/k")
    with pytest.raises(CommandError, match="permission denied"):
        core.etcdctl(core.certificates.shared).run("get", "/theirs/k")


def test_a_core_of_three_lives_without_one(make_core: MakeCore) -> None:
    core = make_core(members=3)
    core.stop_member(0, grace=0)
    with pytest.raises(ProcessError, match="core-0 does not run"):
        core.members[0].check()
    eventually(lambda: serves(core), what="the others to have a leader")
    core.start()
    assert core.etcdctl().json("endpoint", "status")[0]["Status"]["header"]
    assert "etcd_server_has_leader 1" in core.metrics(0)


def serves(core: CoreEtcd) -> bool:
    try:
        core.etcdctl().run("put", "k", "v", "--command-timeout=2s")
    except CommandError:
        return False
    return True


def fails(pod: GatePod) -> bool:
    try:
        pod.etcdctl().run("get", "k", "--command-timeout=2s")
    except CommandError:
        return True
    return False


def test_a_sidecar_that_died_comes_back(plain_core: CoreEtcd, make_pod: MakePod) -> None:
    pod = make_pod(plain_core, "reborn")
    assert pod.proxy is not None
    pod.proxy.stop(grace=0)
    assert fails(pod)
    pod.start()
    eventually(lambda: not fails(pod))


def test_a_bare_proxy_hands_out_the_whole_core(
    plain_core: CoreEtcd, make_proxy: MakeProxy, tmp_path: Path
) -> None:
    plain_core.etcdctl().run("put", "/another/k", "a value of another tenant")
    client = make_proxy(plain_core, "bare").etcdctl()
    client.run("put", "k", "v")
    assert keys(plain_core, "/bare/") == ["/bare/k"]
    snapshot = tmp_path / "snapshot"
    client.run("snapshot", "save", str(snapshot))
    assert b"a value of another tenant" in snapshot.read_bytes()


def test_an_api_server_stores_its_objects(
    auth_core: CoreEtcd, make_pod: MakePod, control_plane: ControlPlane, data_plane: Programs
) -> None:
    pod = make_pod(auth_core, "flunders", "Direct", tls=True)
    folder = pod.folder / "sample"
    flunder = {"apiVersion": GROUP_VERSION, "kind": "Flunder", "metadata": {"name": "f"}}
    with SampleApiserver(
        folder, data_plane, control_plane, pod.etcdctl(), prefix="/flunders"
    ) as sample:
        own = f"--kubeconfig={sample.kubeconfig}"
        control_plane.kubectl(own, "create", "--filename=-", stdin=flunder)
        assert control_plane.kubectl(own, "get", "flunders", "--output=name").split() == [
            "flunder.wardle.example.com/f"
        ]
    assert "/flunders/wardle.example.com/flunders/default/f" in keys(auth_core, "/flunders/")
