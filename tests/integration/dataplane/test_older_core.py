"""Both modes in front of a core of the release before: its users, its answers, its watches."""

from collections.abc import Iterator

import pytest

from hack.cluster.command import CommandError
from hack.cluster.components import ETCD_36
from hack.cluster.controlplane import ControlPlane
from hack.dataplane import CoreEtcd, SampleApiserver, programs
from hack.dataplane.programs import Programs
from hack.dataplane.sampleapiserver import GROUP_VERSION
from tests.integration.dataplane.conftest import MakePod, Mode, running_cores


@pytest.fixture(scope="module")
def older_core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoreEtcd]:
    """Give a core with TLS and users: be content with one storage of it."""
    (etcd,) = ETCD_36.packages
    with running_cores(tmp_path_factory.mktemp("older"), programs.ensure(etcd)) as make:
        core = make(auth=True)
        (member,) = core.etcdctl().json("endpoint", "status")
        assert f"v{member['Status']['version']}" == ETCD_36.version
        yield core


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_a_tenant_is_served_and_kept_within(
    older_core: CoreEtcd, make_pod: MakePod, mode: Mode
) -> None:
    storage = f"of-{mode.lower()}"
    client = make_pod(older_core, storage, mode).etcdctl()
    prefix = f"/{storage}/" if mode == "Direct" else ""
    client.run("put", f"{prefix}k", "v")
    assert client.run("get", "--prefix", f"{prefix}k").split() == [f"{prefix}k", "v"]
    root = older_core.etcdctl()
    assert root.run("get", f"/{storage}/k").split() == [f"/{storage}/k", "v"]
    lease = client.json("lease", "grant", "600")["ID"]
    client.run("put", f"{prefix}leased", "v", f"--lease={lease:x}")
    client.run("lease", "keep-alive", "--once", f"{lease:x}")
    client.run("lease", "revoke", f"{lease:x}")
    assert client.run("get", f"{prefix}leased") == ""
    assert client.run("del", f"{prefix}k").split() == ["1"]
    for forbidden in (("user", "list"), ("compact", "1"), ("snapshot", "save", "stolen")):
        with pytest.raises(CommandError, match="Unimplemented"):
            client.run(*forbidden)
    if mode == "Direct":
        with pytest.raises(CommandError, match="permission denied"):
            client.run("get", "/another/k")


def test_an_api_server_lists_and_watches_what_another_tenant_is_writing_beside(
    older_core: CoreEtcd, make_pod: MakePod, control_plane: ControlPlane, data_plane: Programs
) -> None:
    pod = make_pod(older_core, "flunders", "Direct")
    flunder = {"apiVersion": GROUP_VERSION, "kind": "Flunder", "metadata": {"name": "f"}}
    with SampleApiserver(
        pod.folder / "sample", data_plane, control_plane, pod.etcdctl(), prefix="/flunders"
    ) as sample:
        own = f"--kubeconfig={sample.kubeconfig}"
        control_plane.kubectl(own, "create", "--filename=-", stdin=flunder)
        older_core.etcdctl().run("put", "/another/k", "v")
        # A consistent list: the watch cache has to hear of the other's revision first.
        listed = control_plane.kubectl(own, "get", "flunders", "--output=name").split()
        assert listed == ["flunder.wardle.example.com/f"]
        control_plane.kubectl(own, "wait", "--for=create", "flunder/f", "--timeout=120s")
        control_plane.kubectl(own, "delete", "flunder/f", "--timeout=120s")
