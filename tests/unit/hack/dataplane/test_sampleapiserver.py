from pathlib import Path

from hack.cluster.controlplane import ControlPlane
from hack.dataplane import Etcdctl, SampleApiserver
from hack.dataplane.programs import Programs
from hack.dataplane.sampleapiserver import etcd_flags


def test_an_api_server_reaches_its_endpoint_as_an_etcdctl_does() -> None:
    assert etcd_flags(("--cacert=/a=b/ca", "--cert=/c", "--key=/k")) == [
        "--etcd-cafile=/a=b/ca",
        "--etcd-certfile=/c",
        "--etcd-keyfile=/k",
    ]
    assert etcd_flags(()) == []


def test_where_it_is(tmp_path: Path, noting: Programs) -> None:
    programs = {name: Path(name) for name in ("etcd", "kube-apiserver", "kube-controller-manager")}
    plane = ControlPlane(tmp_path / "plane", programs)
    storage = Etcdctl(noting["etcdctl"], "http://127.0.0.1:1")
    sample = SampleApiserver(tmp_path / "sample", noting, plane, storage, prefix="/a")
    assert sample.server.startswith("https://127.0.0.1:")
    assert sample.kubeconfig == tmp_path / "sample" / "admin.kubeconfig"
    assert not sample.process.alive
