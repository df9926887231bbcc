"""The controller's image, as the Dockerfile makes it and as a node runs it."""

import json
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from hack.cluster import bases, cache, images
from hack.cluster.node import Node

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parent.parent.parent

LARGEST = 150e6
"""Bytes of all files, which is what `docker images` shows."""

UNWANTED = {
    *("apt", "apt-get", "dpkg", "ensurepip", "pip", "pip3", "setuptools", "wheel"),
    *("as", "c++", "cc", "gcc", "g++", "ld", "make"),
    *("ash", "bash", "busybox", "dash", "sh"),
}
"""Names of programs and packages that install, compile, or run whatever they are given."""

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "version"},
    "spec": {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "controller",
                "image": images.CONTROLLER,
                "imagePullPolicy": "Never",
                # It prints where the code of each module comes from.
                "env": [{"name": "PYTHONVERBOSE", "value": "1"}],
                "args": ["--version"],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
            }
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Unpacked:
    config: dict[str, Any]
    files: list[tarfile.TarInfo]
    """Of all layers."""


def unpacked(archive: Path) -> Unpacked:
    with tarfile.open(archive) as tar:

        def member(name: str) -> Any:
            file = tar.extractfile(name)
            assert file is not None
            return file

        (manifest,) = json.load(member("manifest.json"))
        files: list[tarfile.TarInfo] = []
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=member(layer)) as inner:
                files += inner.getmembers()
        return Unpacked(json.load(member(manifest["Config"]))["config"], files)


def unwanted(files: list[tarfile.TarInfo]) -> set[str]:
    # What lies in /usr/share is about programs, not one.
    paths = [PurePosixPath(f.name) for f in files if not f.name.startswith("usr/share/")]
    return {path.name for path in paths} & UNWANTED


@pytest.fixture(scope="module")
def image() -> Unpacked:
    return unpacked(images.build_controller(print))


@pytest.fixture
def restricted(node: Node) -> Iterator[str]:
    """Give the name of a namespace whose pods are allowed least."""
    name = f"image-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }
    kubectl(node, "create", "-f-", stdin=namespace)
    yield name
    kubectl(node, "delete", "namespace", name, "--wait=false")


def kubectl(node: Node, *arguments: str, stdin: object = None) -> str:
    answer = node.kubectl(*arguments, input=json.dumps(stdin) if stdin else None)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_it_is_small(image: Unpacked) -> None:
    assert sum(file.size for file in image.files) < LARGEST


def test_it_is_nobody_s_and_nobody_runs_it(image: Unpacked) -> None:
    assert image.config["User"] == images.NON_ROOT
    assert {(file.uid, file.gid) for file in image.files} == {(0, 0)}
    special = [f.name for f in image.files if f.mode & 0o6022 and not f.issym()]
    assert not special, "whoever gets in could change these, or become another by them"


def test_it_holds_nothing_to_install_or_compile_with(image: Unpacked) -> None:
    assert not unwanted(image.files)


def test_what_it_is_built_on_holds_such_things() -> None:
    """So that the test above would find them."""
    (tools,) = cache.root().glob("images/tools-*.layer.tar")
    with tarfile.open(tools) as tar:
        assert unwanted(tar.getmembers()) >= {"pip", "sh"}


def test_the_bases_are_those_of_the_dockerfile() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    named = [line.split() for line in lines if line.startswith("FROM ")]
    stages = {words[3] for words in named if len(words) > 3}
    foreign = {words[1] for words in named} - stages
    assert foreign == {bases.BUILDER, bases.RUNTIME.removesuffix(":latest")}


def test_it_runs_where_least_is_allowed_and_compiles_nothing(node: Node, restricted: str) -> None:
    kubectl(node, "create", f"-n{restricted}", "-f-", stdin=POD)
    ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated.exitCode}=0"
    kubectl(node, "wait", f"-n{restricted}", ended, "pod/version", "--timeout=120s")

    log = kubectl(node, "logs", f"-n{restricted}", "version").splitlines()

    assert any(line.startswith("etcdproxy-controller 0.") for line in log)
    # Where there is no byte code, Python says that it took a module from its source.
    read = [line for line in log if "code object from" in line]
    assert any("/controller/" in line for line in read)
    assert not [line for line in read if not line.rstrip("'\"").endswith(".pyc")]
