import hashlib
import json
import os
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.image import Image, Layer, Tree, replacing, walk, write_archive, write_layer


def a_tree(folder: Path, *, mtime: float, umask: int = 0o022) -> dict[str, Path | bytes]:
    """Files as two machines would have them: same content, other times and permissions."""
    folder.mkdir()
    (folder / "lib").mkdir()
    program = folder / "program"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o777 & ~umask)
    text = folder / "lib" / "text"
    text.write_text("hello")
    text.chmod(0o666 & ~umask)
    (folder / "lib" / "link").symlink_to("/absolute/target")
    for path in (program, text):
        os.utime(path, (mtime, mtime))
    return walk(folder, "usr")


def members(layer: Layer) -> list[tarfile.TarInfo]:
    with tarfile.open(layer.path) as tar:
        return tar.getmembers()


def read(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()


def page(archive: Path, name: str) -> Any:
    return json.loads(read(archive, name))


@pytest.fixture
def image(tmp_path: Path) -> Image:
    low = write_layer(tmp_path / "low.tar", {"etc/passwd": b"root:x:0:0::/:/bin/sh\n"})
    high = write_layer(tmp_path / "high.tar", {"bin/run": b"#!/bin/sh\n"})
    return Image(
        "registry.example/team/name:v1",
        [low, high],
        entrypoint=["/bin/run"],
        command=["fast"],
        user="65532:65532",
        environment={"PATH": "/bin", "A": "1"},
    )


def test_the_same_files_give_the_same_layer(tmp_path: Path) -> None:
    first = write_layer(tmp_path / "1.tar", a_tree(tmp_path / "a", mtime=1.0))
    second = write_layer(tmp_path / "2.tar", a_tree(tmp_path / "b", mtime=9e8, umask=0o077))
    assert first.digest == second.digest
    assert first.path.read_bytes() == second.path.read_bytes()


def test_the_order_of_a_tree_does_not_matter(tmp_path: Path) -> None:
    tree: Tree = {f"{folder}/{name}": b"x" for folder in "ab" for name in "cde"}
    shuffled = list(tree.items())
    random.Random(7).shuffle(shuffled)
    first = write_layer(tmp_path / "1.tar", tree)
    second = write_layer(tmp_path / "2.tar", dict(shuffled))
    assert first.digest == second.digest


def test_another_content_gives_another_layer(tmp_path: Path) -> None:
    first = write_layer(tmp_path / "1.tar", {"a": b"1"})
    second = write_layer(tmp_path / "2.tar", {"a": b"2"})
    assert first.digest != second.digest


def test_what_a_layer_holds(tmp_path: Path) -> None:
    layer = write_layer(tmp_path / "1.tar", a_tree(tmp_path / "a", mtime=1.0))
    found = [(m.name, m.type, oct(m.mode), m.linkname) for m in members(layer)]
    assert found == [
        ("usr", tarfile.DIRTYPE, "0o755", ""),
        ("usr/lib", tarfile.DIRTYPE, "0o755", ""),
        ("usr/lib/link", tarfile.SYMTYPE, "0o777", "/absolute/target"),
        ("usr/lib/text", tarfile.REGTYPE, "0o644", ""),
        ("usr/program", tarfile.REGTYPE, "0o755", ""),
    ]
    assert {(m.mtime, m.uid, m.gid, m.uname) for m in members(layer)} == {(0, 0, 0, "")}
    assert read(layer.path, "usr/lib/text") == b"hello"


def test_a_folder_comes_before_what_is_in_it(tmp_path: Path) -> None:
    layer = write_layer(tmp_path / "1.tar", {"a/b/c": b"", "a-b/c": b"", "a/b.txt": b""})
    assert [m.name for m in members(layer)] == ["a", "a/b", "a/b/c", "a/b.txt", "a-b", "a-b/c"]


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    layer = write_layer(tmp_path / "1.tar", {"a": b"1"})
    content = layer.path.read_bytes()
    assert layer.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert layer.size == len(content)
    assert Layer.of(layer.path) == layer


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "1.tar"
    target.write_text("old")
    with pytest.raises(FileNotFoundError):
        write_layer(target, {"a": tmp_path / "absent"})
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_replacing_makes_the_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    with replacing(target) as partial:
        partial.write_text("x")
        assert not target.exists()
    assert target.read_text() == "x"


def test_every_blob_is_named_by_its_digest(tmp_path: Path, image: Image) -> None:
    archive = tmp_path / "image.tar"
    write_archive(archive, image)
    with tarfile.open(archive) as tar:
        names = [m.name for m in tar if m.isreg() and m.name.startswith("blobs/sha256/")]
    assert len(names) == 4
    for name in names:
        assert hashlib.sha256(read(archive, name)).hexdigest() == Path(name).name


def test_from_the_index_to_the_layers(tmp_path: Path, image: Image) -> None:
    archive = tmp_path / "image.tar"
    write_archive(archive, image)

    (entry,) = page(archive, "index.json")["manifests"]
    manifest = page(archive, "blobs/" + entry["digest"].replace(":", "/"))
    config = page(archive, "blobs/" + manifest["config"]["digest"].replace(":", "/"))

    assert page(archive, "oci-layout") == {"imageLayoutVersion": "1.0.0"}
    assert entry["annotations"] == {
        "io.containerd.image.name": "registry.example/team/name:v1",
        "org.opencontainers.image.ref.name": "v1",
    }
    assert [(layer["digest"], layer["size"]) for layer in manifest["layers"]] == [
        (layer.digest, layer.size) for layer in image.layers
    ]
    assert config["rootfs"]["diff_ids"] == [layer.digest for layer in image.layers]
    assert config["config"] == {
        "User": "65532:65532",
        "Env": ["A=1", "PATH=/bin"],
        "Entrypoint": ["/bin/run"],
        "Cmd": ["fast"],
    }
    assert config["os"] == "linux"


def test_docker_finds_the_same(tmp_path: Path, image: Image) -> None:
    archive = tmp_path / "image.tar"
    write_archive(archive, image)
    (entry,) = page(archive, "manifest.json")
    assert entry["RepoTags"] == ["registry.example/team/name:v1"]
    config = page(archive, entry["Config"])
    blobs = [hashlib.sha256(read(archive, name)).hexdigest() for name in entry["Layers"]]
    assert [f"sha256:{blob}" for blob in blobs] == config["rootfs"]["diff_ids"]


def test_two_archives_of_one_image_are_equal(tmp_path: Path, image: Image) -> None:
    write_archive(tmp_path / "1.tar", image)
    write_archive(tmp_path / "2.tar", image)
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_the_size_is_that_of_all_layers(image: Image) -> None:
    assert image.size == sum(layer.path.stat().st_size for layer in image.layers)
