import tomllib
from pathlib import Path

from hack.cluster import containerd, images


def test_nothing_of_it_is_the_host_s(tmp_path: Path) -> None:
    argv = containerd.write_configuration(tmp_path, tmp_path / "cni")
    path = tmp_path / "containerd.toml"
    assert argv[:3] == ["containerd", "--config", path]
    configuration = tomllib.loads(path.read_text())
    cri = configuration["plugins"]["io.containerd.grpc.v1.cri"]
    assert configuration["root"] == str(tmp_path / "containerd")
    assert configuration["grpc"]["address"] == str(containerd.SOCKET)
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": str(tmp_path / "cni")}
    # This one makes /opt/containerd, and a profile would stay in the kernel.
    assert "io.containerd.internal.v1.opt" in configuration["disabled_plugins"]
    assert cri["disable_apparmor"] is True


def test_the_pause_image_is_ours(tmp_path: Path) -> None:
    containerd.write_configuration(tmp_path, tmp_path / "cni")
    configuration = tomllib.loads((tmp_path / "containerd.toml").read_text())
    assert configuration["plugins"]["io.containerd.grpc.v1.cri"]["sandbox_image"] == images.PAUSE


def test_images_go_where_the_kubelet_looks() -> None:
    argv = containerd.import_command(Path("/a.tar"))
    assert argv[argv.index("--namespace") + 1] == "k8s.io"
    assert argv[-1] == Path("/a.tar")
