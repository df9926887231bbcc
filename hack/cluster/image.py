"""Container images without an engine: tar files that `ctr`, `docker load` and `podman load` read.

The same files give the same digests on every machine: owners, times and the order of
entries are fixed here. Layers stay uncompressed, because they are only ever read locally.
"""

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Tree: TypeAlias = Mapping[str, Path | bytes]
"""What lies where in an image: path without leading slash -> a file, a link, or the content.

A folder as the value stands for itself alone, not for what is in it; see `walk`.
"""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class Layer:
    """A tar of files; its digest is also its identity once unpacked, as it is not compressed."""

    path: Path
    digest: str
    """`sha256:...`"""
    size: int

    @classmethod
    def of(cls, path: Path) -> "Layer":
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path, f"sha256:{digest}", path.stat().st_size)


@dataclass(frozen=True, slots=True)
class Image:
    """What a container runs: layers from the lowest up, and how to start."""

    reference: str
    """Full name with registry and tag, `quay.io/coreos/etcd:v3.7.3`."""
    layers: Sequence[Layer]
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    """Arguments that a pod's `args` replace."""
    user: str = ""
    """Numeric, so that the kubelet can check `runAsNonRoot`; empty means root."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return sum(layer.size for layer in self.layers)


def walk(folder: Path, prefix: str = "") -> dict[str, Path | bytes]:
    """Return everything below `folder` as it will lie below `prefix` in the image."""
    found: dict[str, Path | bytes] = {}
    for path in sorted(folder.rglob("*")):
        found[str(Path(prefix) / path.relative_to(folder))] = path
    return found


def write_layer(target: Path, tree: Tree) -> Layer:
    """Write `tree` as one layer to the file `target`."""
    with replacing(target) as file, tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in _with_parents(tree):
            _add(tar, name, tree.get(name))
    return Layer.of(target)


def write_archive(target: Path, image: Image) -> None:
    """Write `image` to the file `target`, in OCI's layout and in that of `docker save` at once."""
    config = _encode(_config(image))
    manifest = _encode(_manifest(image, config))
    blobs = {_blob(_digest(content)): content for content in (config, manifest)}
    pages = {
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
        "index.json": _index(image, manifest),
        "manifest.json": [
            {
                "Config": _blob(_digest(config)),
                "RepoTags": [image.reference],
                "Layers": [_blob(layer.digest) for layer in image.layers],
            }
        ],
    }
    tree: dict[str, Path | bytes] = {name: _encode(page) for name, page in pages.items()}
    tree |= blobs
    tree |= {_blob(layer.digest): layer.path for layer in image.layers}
    write_layer(target, tree)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the name of `target` only when all went well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _with_parents(tree: Tree) -> Iterable[str]:
    names = set(tree)
    for name in tree:
        names.update(str(parent) for parent in Path(name).parents if parent != Path())
    return sorted(names, key=lambda name: Path(name).parts)


def _add(tar: tarfile.TarFile, name: str, source: Path | bytes | None) -> None:
    entry = tarfile.TarInfo(name)
    if isinstance(source, bytes):
        entry.size = len(source)
        tar.addfile(entry, io.BytesIO(source))
    elif source is None or (source.is_dir() and not source.is_symlink()):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
    elif source.is_symlink():
        entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, str(source.readlink())
        tar.addfile(entry)
    else:
        status = source.stat()
        # Only the owner's execute bit tells something: the rest follows the builder's umask.
        entry.size, entry.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
        with source.open("rb") as file:
            tar.addfile(entry, file)


def _config(image: Image) -> dict[str, Any]:
    return {
        **_platform(),
        "config": {
            "User": image.user,
            "Env": [f"{name}={value}" for name, value in sorted(image.environment.items())],
            "Entrypoint": list(image.entrypoint),
            "Cmd": list(image.command),
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in image.layers]},
        # Who builds upon an image counts its layers here.
        "history": [{"created_by": "hack.cluster"} for _ in image.layers],
    }


def _manifest(image: Image, config: bytes) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": _digest(config), "size": len(config)},
        "layers": [
            {"mediaType": _LAYER, "digest": layer.digest, "size": layer.size}
            for layer in image.layers
        ],
    }


def _index(image: Image, manifest: bytes) -> dict[str, Any]:
    entry = {
        "mediaType": _MANIFEST,
        "digest": _digest(manifest),
        "size": len(manifest),
        "platform": _platform(),
        "annotations": {
            "io.containerd.image.name": image.reference,
            "org.opencontainers.image.ref.name": image.reference.rpartition(":")[2],
        },
    }
    return {"schemaVersion": 2, "manifests": [entry]}


def _platform() -> dict[str, str]:
    machine = platform.machine()
    return {"architecture": _ARCHITECTURES.get(machine, machine), "os": "linux"}


def _encode(page: object) -> bytes:
    return json.dumps(page, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
