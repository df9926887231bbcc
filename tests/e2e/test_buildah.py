"""Dockerfiles are carried out without a network or a daemon, and give the same image again."""

import json
import tarfile
from pathlib import Path

import pytest

from hack.cluster import buildah, images
from hack.cluster.command import CommandError
from hack.cluster.image import write_archive

REFERENCE = "registry.example/team/built:v1"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    archive = folder / "busybox.tar"
    write_archive(archive, images.busybox(folder))
    return archive


def project(folder: Path, *instructions: str) -> Path:
    folder.mkdir()
    (folder / "Dockerfile").write_text("\n".join([f"FROM {images.BUSYBOX}", *instructions]))
    (folder / "text").write_text("hello")
    return folder


def test_the_same_instructions_give_the_same_image(base: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        made = project(tmp_path / name, "COPY text /from", "RUN cat /from >/to", "USER 65532")
        buildah.build(tmp_path / f"{name}.tar", REFERENCE, made, [base])
        contents.append((tmp_path / f"{name}.tar").read_bytes())

    assert contents[0] == contents[1]
    with tarfile.open(tmp_path / "one.tar") as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        (manifest,) = json.load(file)
    assert manifest["RepoTags"] == [REFERENCE]
    assert {path.name for path in tmp_path.iterdir()} == {"one", "one.tar", "two", "two.tar"}


def test_what_fails_is_told_and_leaves_nothing(base: Path, tmp_path: Path) -> None:
    made = project(tmp_path / "project", "RUN echo out of order >&2; false")
    with pytest.raises(CommandError, match="out of order"):
        buildah.build(tmp_path / "built.tar", REFERENCE, made, [base])
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_an_image_that_is_not_given_is_not_looked_for(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    with pytest.raises(CommandError, match="busybox"):
        buildah.build(tmp_path / "built.tar", REFERENCE, made, [])
