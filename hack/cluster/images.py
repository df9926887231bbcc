"""The images that the local cluster runs, one tar file each in the cache."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hack.cluster import application, bases, cache, components, layers, needs, rootfs, versions
from hack.cluster.image import Image, Layer, Tree, walk, write_archive
from hack.cluster.rootfs import Rootfs

PAUSE = "registry.k8s.io/pause:local"
BUSYBOX = "docker.io/library/busybox:local"
CONTROLLER = "docker.io/library/etcdproxy-controller:v0.1.0"
"""The original's name, which the manifests use."""

GATE = f"docker.io/envoyproxy/envoy:distroless-v{versions.ENVOY}"
"""Upstream's image without a shell, which the controller has as its default."""

TENANTS = "docker.io/library/tenants:local"
"""Users of storages, for tests: no part of a cluster."""

NON_ROOT = "65532:65532"

_ENVOY_LIBRARIES = ("libc", "libdl", "libm", "libpthread", "librt")
"""What Envoy's binary names, besides the loader."""
_APPLETS = ("cat", "echo", "env", "ls", "nc", "nslookup", "sh", "sleep", "wget")


def build(binaries: Mapping[str, Path], log: Callable[[str], None]) -> list[Path]:
    """Write every image and return the files; `binaries` holds `etcd`, `etcdctl` and `envoy`.

    What did not change is not written again. Raises PreflightError, RootfsError
    or CommandError.
    """
    needs.check_images()
    with _locked(log) as folder:
        system = rootfs.ensure(folder)
        made = (
            *(etcd(folder, binaries), gate(folder, binaries, system)),
            *(pause(folder), busybox(folder)),
        )
        archives = [_archive(folder, image, log) for image in made]
        return [*archives, _controller(folder, system, log)]


def build_controller(log: Callable[[str], None]) -> Path:
    """Write the controller's image alone, after a change of its code; raises as `build` does."""
    needs.check_images()
    with _locked(log) as folder:
        return _controller(folder, rootfs.ensure(folder), log)


def build_tenants(binaries: Mapping[str, Path], log: Callable[[str], None]) -> Path:
    """Write the image with `components.TENANTS` alone; raises as `build` does."""
    with _locked(log) as folder:
        return _archive(folder, tenants(folder, binaries), log)


@contextmanager
def _locked(log: Callable[[str], None]) -> Iterator[Path]:
    folder = cache.root() / "images"
    with cache.locked(folder / "lock", waiting=lambda: log("another run builds images, waiting")):
        yield folder


def etcd(folder: Path, binaries: Mapping[str, Path]) -> Image:
    """Return upstream's image but for its base: both programs where they lie there."""
    return Image(
        f"quay.io/coreos/etcd:{components.ETCD.version}",
        [_programs_layer(folder, "etcd", binaries, ("etcd", "etcdctl"))],
        command=["/usr/local/bin/etcd"],
        environment={"PATH": "/usr/local/bin"},
    )


def pause(folder: Path) -> Image:
    """Return what holds a pod's namespaces open: busybox, because it is static and at hand."""
    layer = _busybox_layer(folder, "pause", ["sleep"])
    return Image(PAUSE, [layer], entrypoint=["/bin/sleep", "infinity"])


def busybox(folder: Path) -> Image:
    """Return a shell, a resolver and an HTTP client, for looking around from inside a pod."""
    layer = _busybox_layer(folder, "busybox", _APPLETS)
    return Image(BUSYBOX, [layer], command=["sh"], environment={"PATH": "/bin"})


def gate(folder: Path, binaries: Mapping[str, Path], system: Rootfs) -> Image:
    """Return Envoy where it lies in upstream's image, on the C library of Debian."""
    libraries = system.libraries(_ENVOY_LIBRARIES)
    program = binaries["envoy"]
    key = layers.key(
        [system.path.name, *libraries, *map(str, bases.USERS), *layers.content([program])]
    )
    tree: Tree = {**libraries, **bases.USERS, "usr/local/bin/envoy": program}
    return Image(
        GATE,
        [layers.ensure(folder, "gate", key, lambda _: tree)],
        entrypoint=["/usr/local/bin/envoy"],
        user=NON_ROOT,
    )


def tenants(folder: Path, binaries: Mapping[str, Path]) -> Image:
    """Return `components.TENANTS`, as users of storages run them, on nothing."""
    layer = _programs_layer(folder, "tenants", binaries, components.TENANTS)
    return Image(TENANTS, [layer], user=NON_ROOT, environment={"PATH": "/usr/local/bin"})


def _programs_layer(
    folder: Path, layer: str, binaries: Mapping[str, Path], names: Sequence[str]
) -> Layer:
    tree = {f"usr/local/bin/{name}": binaries[name] for name in names}
    key = layers.key(layers.content(tree.values()))
    return layers.ensure(folder, layer, key, lambda _: tree)


def _busybox_layer(folder: Path, name: str, applets: Sequence[str]) -> Layer:
    def tree(work: Path) -> Tree:
        shutil.copy(needs.BUSYBOX, work / "busybox")
        for applet in applets:
            (work / applet).symlink_to("busybox")
        return walk(work, "bin")

    key = layers.key([*applets, *layers.content([needs.BUSYBOX])])
    return layers.ensure(folder, name, key, tree)


def _archive(folder: Path, image: Image, log: Callable[[str], None]) -> Path:
    """Return the image's file; one that is there is kept, as writing it anew loads the disk."""
    name = image.reference.rpartition("/")[2].partition(":")[0]
    target = folder / f"{name}-{layers.key([repr(image)])}.tar"
    if not target.exists():
        layers.remove(set(folder.glob(f"{name}-*.tar")) - set(folder.glob("*.layer.tar")))
        write_archive(target, image)
    return _told(target, image.reference, log)


def _controller(folder: Path, system: Rootfs, log: Callable[[str], None]) -> Path:
    return _told(application.ensure(folder, system, CONTROLLER, log), CONTROLLER, log)


def _told(archive: Path, reference: str, log: Callable[[str], None]) -> Path:
    """Say how large an image is once unpacked: nothing in its file is compressed."""
    log(f"image {reference}, {archive.stat().st_size / 1e6:.0f} MB")
    return archive
