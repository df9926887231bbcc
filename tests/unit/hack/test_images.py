import json
import tarfile
from pathlib import Path

import pytest

from controller.options import DEFAULT_GATE_IMAGE
from hack.cluster import components, images, needs, versions
from hack.cluster.image import Layer, write_archive
from hack.cluster.rootfs import Rootfs


def names(layer: Layer) -> dict[str, str]:
    with tarfile.open(layer.path) as tar:
        return {m.name: m.linkname for m in tar if not m.isdir()}


@pytest.fixture
def busybox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "static-busybox"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    monkeypatch.setattr(needs, "BUSYBOX", program)


def test_etcd(tmp_path: Path) -> None:
    binaries = {name: tmp_path / name for name in ("etcd", "etcdctl", "kubelet")}
    for path in binaries.values():
        path.touch(0o755)
    image = images.etcd(tmp_path, binaries)
    assert image.reference == f"quay.io/coreos/etcd:{components.ETCD.version}"
    (layer,) = image.layers
    assert set(names(layer)) == {"usr/local/bin/etcd", "usr/local/bin/etcdctl"}
    assert list(image.command) == ["/usr/local/bin/etcd"]
    assert image.environment["PATH"] == "/usr/local/bin"


def test_the_tenants_are_apart_from_what_a_cluster_runs(tmp_path: Path) -> None:
    binaries = {name: tmp_path / name for name in components.TENANTS}
    for path in binaries.values():
        path.touch(0o755)
    image = images.tenants(tmp_path, binaries)
    assert image.reference == images.TENANTS
    assert set(names(image.layers[0])) == {f"usr/local/bin/{name}" for name in binaries}
    assert image.user == images.NON_ROOT


@pytest.mark.usefixtures("busybox")
def test_pause(tmp_path: Path) -> None:
    image = images.pause(tmp_path)
    assert names(image.layers[0]) == {"bin/busybox": "", "bin/sleep": "busybox"}
    assert list(image.entrypoint) == ["/bin/sleep", "infinity"]


@pytest.mark.usefixtures("busybox")
def test_the_two_busybox_images_do_not_mix(tmp_path: Path) -> None:
    shell, pause = images.busybox(tmp_path), images.pause(tmp_path)
    assert set(names(shell.layers[0])) > {"bin/sh", "bin/nslookup", "bin/wget"}
    assert "bin/sh" not in names(pause.layers[0])


@pytest.mark.usefixtures("busybox")
def test_an_archive_is_named_after_its_image(tmp_path: Path) -> None:
    said: list[str] = []
    target = images._archive(tmp_path, images.pause(tmp_path), said.append)
    assert target.parent == tmp_path
    assert target.name.startswith("pause-")
    assert said == ["image registry.k8s.io/pause:local, 0 MB"]
    with tarfile.open(target) as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        assert json.load(file)[0]["RepoTags"] == [images.PAUSE]


@pytest.mark.usefixtures("busybox")
def test_an_archive_is_written_once_for_each_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = images._archive(tmp_path, images.pause(tmp_path), print)
    written = first.stat().st_ino
    assert images._archive(tmp_path, images.pause(tmp_path), print).stat().st_ino == written

    monkeypatch.setattr(images, "PAUSE", "registry.k8s.io/pause:other")
    second = images._archive(tmp_path, images.pause(tmp_path), print)

    assert second != first
    assert not first.exists()
    assert len(list(tmp_path.glob("pause-*.layer.tar"))) == 1


@pytest.mark.usefixtures("busybox")
def test_building_twice_gives_the_same_archive(tmp_path: Path) -> None:
    archives = [tmp_path / "1.tar", tmp_path / "2.tar"]
    for archive in archives:
        write_archive(archive, images.busybox(tmp_path))
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_the_gate_is_envoy_on_its_libraries(tmp_path: Path) -> None:
    root = tmp_path / "rootfs-abc"
    libraries = root / "usr/lib/x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    for name in ("ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libm.so.6", "libz.so.1"):
        (libraries / name).touch()
    for name in ("libpthread.so.0", "librt.so.1"):
        (libraries / name).touch()
    (root / "lib").symlink_to("usr/lib")
    (root / "lib64").symlink_to("usr/lib64")
    (root / "usr/lib64").mkdir()
    loader = "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    (root / "usr/lib64/ld-linux-x86-64.so.2").symlink_to(loader)
    envoy = tmp_path / "envoy"
    envoy.touch(0o755)
    image = images.gate(tmp_path, {"envoy": envoy}, Rootfs(root))
    assert image.reference == f"docker.io/envoyproxy/envoy:distroless-v{versions.ENVOY}"
    assert image.reference == DEFAULT_GATE_IMAGE
    assert list(image.entrypoint) == ["/usr/local/bin/envoy"]
    assert image.user == images.NON_ROOT
    (layer,) = image.layers
    found = names(layer)
    assert found["lib64"] == "usr/lib64"
    assert found["usr/lib64/ld-linux-x86-64.so.2"] == loader
    assert {"usr/local/bin/envoy", "etc/passwd", loader.replace("/lib", "usr/lib", 1)} <= {*found}
    assert "usr/lib/x86_64-linux-gnu/libz.so.1" not in found
