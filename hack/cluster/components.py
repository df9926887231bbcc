"""What is built from source: four Go modules of ours and the binaries that come out of them."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import versions
from hack.cluster.errors import ClusterError

# Every flag changes the binaries, so all of them are part of the cache key.
BUILD_FLAGS = ("-trimpath", "-buildvcs=false")
BUILD_ENVIRONMENT = {
    # Static binaries run in images that hold nothing else.
    "CGO_ENABLED": "0",
    # The toolchain found is the toolchain used: Go must not fetch another by itself.
    "GOTOOLCHAIN": "local",
    # A developer's own flags or workspace must not change what is built here.
    "GOFLAGS": "-mod=readonly",
    "GOWORK": "off",
}


class UnknownBinaryError(ClusterError):
    """No component builds a binary of this name."""


@dataclass(frozen=True, slots=True)
class Component:
    """One Go module under `hack/components`."""

    name: str
    """Its folder."""
    module: str
    """The required module whose version is the component's."""
    packages: Mapping[str, str]
    """Main package by name of the binary."""
    version_package: str = ""
    """Package that must be told gitVersion, gitMajor and gitMinor, or it calls itself v0.0.0."""

    @property
    def folder(self) -> Path:
        return versions.COMPONENTS / self.name

    @property
    def version(self) -> str:
        """As in go.mod, `v1.37.2`."""
        return versions.required((self.folder / "go.mod").read_text(), self.module)

    @property
    def ldflags(self) -> str:
        if not self.version_package:
            return "-s -w"
        major, minor, *_ = versions.parse(self.version)
        stamps = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor}
        return " ".join(
            ["-s -w", *(f"-X {self.version_package}.{name}={v}" for name, v in stamps.items())]
        )

    @property
    def key(self) -> str:
        """Names what the binaries depend on: the module's files and every build flag."""
        digest = hashlib.sha256()
        for file in sorted(path for path in self.folder.iterdir() if path.is_file()):
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)}\n".encode() + content)
        digest.update(repr((BUILD_FLAGS, BUILD_ENVIRONMENT, self.ldflags)).encode())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"


KUBERNETES = Component(
    "kubernetes",
    "k8s.io/kubernetes",
    {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
            "kubelet",
            "kubectl",
        )
    },
    version_package="k8s.io/component-base/version",
)
ETCD = Component(
    "etcd",
    "go.etcd.io/etcd/server/v3",
    {"etcd": "go.etcd.io/etcd/server/v3", "etcdctl": "go.etcd.io/etcd/etcdctl/v3"},
)
COREDNS = Component("coredns", "github.com/coredns/coredns", {"coredns": "."})
CLIENT_GO = Component("clientgo", "k8s.io/client-go", {"clientgo-informer": "."})
"""A yardstick for `hack.bench`, no part of a cluster."""

ALL = (ETCD, KUBERNETES, COREDNS, CLIENT_GO)
NAMES = tuple(name for component in ALL for name in component.packages)

CLUSTER = tuple(name for name in NAMES if name not in CLIENT_GO.packages)
"""What runs in a cluster with a node, and looks at it."""

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
"""What runs without root; `kubectl` looks at it."""

WITHOUT_ROOT = (*CONTROL_PLANE, *CLIENT_GO.packages)
"""What all tests need that run without root."""


def by_component(names: Iterable[str]) -> list[tuple[Component, list[str]]]:
    """Group binary names by what builds them, in the order of `ALL`.

    Raises UnknownBinaryError for a name that nothing builds.
    """
    wanted = list(dict.fromkeys(names))
    if unknown := [name for name in wanted if name not in NAMES]:
        raise UnknownBinaryError(f"nothing builds {', '.join(unknown)}; known: {', '.join(NAMES)}")
    groups = [(component, [n for n in wanted if n in component.packages]) for component in ALL]
    return [(component, group) for component, group in groups if group]
