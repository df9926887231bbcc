import tarfile
from pathlib import Path

import pytest

from hack.cluster import bases, needs
from hack.cluster.image import Layer
from hack.cluster.rootfs import Rootfs


def names(layer: Layer) -> set[str]:
    with tarfile.open(layer.path) as tar:
        return {member.name for member in tar if not member.isdir()}


@pytest.fixture
def system(tmp_path: Path) -> Rootfs:
    root = tmp_path / "rootfs-abc"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/python3.11").touch(0o755)
    (root / "usr/bin/python3").symlink_to("python3.11")
    return Rootfs(root)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels-abc"
    folder.mkdir()
    (folder / "one.whl").touch()
    return folder


@pytest.fixture
def busybox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "static-busybox"
    program.write_bytes(b"\x7fELF")
    monkeypatch.setattr(needs, "BUSYBOX", program)


def test_what_the_controller_runs_on_has_no_tools(tmp_path: Path, system: Rootfs) -> None:
    image = bases.runtime(tmp_path, system)
    assert image.reference == bases.RUNTIME
    (layer,) = image.layers
    found = names(layer)
    assert found == {"usr/bin/python3", "usr/bin/python3.11", "etc/passwd", "etc/group"}


@pytest.mark.usefixtures("busybox")
def test_what_it_is_built_on_is_the_same_and_tools(
    tmp_path: Path, system: Rootfs, wheels: Path
) -> None:
    image = bases.builder(tmp_path, system, wheels)
    assert image.reference == bases.BUILDER
    below, tools = image.layers
    assert [below] == list(bases.runtime(tmp_path, system).layers)
    found = names(tools)
    assert {"usr/bin/sh", "wheels/one.whl"} <= found
    assert "usr/lib/python3/dist-packages/pip/__main__.py" in found
    assert not [name for name in found if "__pycache__" in name]
    # Without a network, pip is to look nowhere else.
    assert image.environment["PIP_NO_INDEX"] == "1"
    assert image.environment["PIP_FIND_LINKS"] == "/wheels"


def test_wheels_are_fetched_once(
    tmp_path: Path, system: Rootfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[tuple[str, ...]] = []

    def fetch(_: Rootfs, *arguments: str, search: Path) -> None:
        assert (search / "pip").is_dir()
        folder = next(Path(a.partition("=")[2]) for a in arguments if a.startswith("--dest="))
        folder.mkdir()
        fetched.append(arguments[-2:])

    monkeypatch.setattr(Rootfs, "run_python", fetch)
    first = bases.wheels(tmp_path, system, ["a>=1", "b"])
    assert bases.wheels(tmp_path, system, ["a>=1", "b"]) == first
    second = bases.wheels(tmp_path, system, ["a>=2", "b"])
    assert fetched == [("a>=1", "b"), ("a>=2", "b")]
    assert second.exists()
    assert not first.exists()
