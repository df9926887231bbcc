"""The ways to a core: straight, through a bare grpc-proxy, and through the pods of a storage.

Two cores, as grpc-proxy alone reaches nothing on one with users: a plain one, whose pods are
plain too, and one with TLS and users, whose pods want certificates of their clients.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from controller.core import user_name
from controller.dataplane.gate import Gate
from hack.cluster.process import Process
from hack.dataplane import BareProxy, CoreEtcd, Etcdctl, GatePod
from hack.dataplane.programs import Programs

STRAIGHT = "straight"
BARE = "grpc-proxy"
PROXY = "Proxy"
DIRECT = "Direct"


@dataclass(frozen=True, slots=True)
class Way:
    """One tenant's way to its core."""

    name: str
    core: CoreEtcd
    storage: Etcdctl
    """How the tenant gets there."""
    pod: GatePod | None = None

    @property
    def prefix(self) -> str:
        """What its keys in the core begin with."""
        return f"/{self.name.lower()}/"

    @property
    def prefixed(self) -> bool:
        """Whether it is grpc-proxy that puts the prefix before the keys."""
        return self.name in {BARE, PROXY}

    @property
    def parts(self) -> dict[str, Process]:
        """Return the programs of its pod, by what they are."""
        if self.pod is None:
            return {}
        proxy = {"grpc-proxy": self.pod.proxy} if self.pod.proxy else {}
        return {"gate": self.pod.envoy, **proxy}


@contextmanager
def opened(folder: Path, programs: Programs) -> Iterator[list[Way]]:
    """Start all of them; those to one core stand together, the straight one first."""
    with ExitStack() as stack:
        plain = stack.enter_context(CoreEtcd(folder / "plain", programs))
        users = stack.enter_context(CoreEtcd(folder / "users", programs, auth=True))
        bare = stack.enter_context(BareProxy(folder / "bare", programs, plain, BARE))
        own = users.add_user(user_name(STRAIGHT), f"/{STRAIGHT}/")
        pods = [
            pod_of(folder / "0", programs, plain, PROXY, "Proxy"),
            pod_of(folder / "1", programs, users, PROXY, "Proxy"),
            pod_of(folder / "2", programs, users, DIRECT, "Direct"),
        ]
        started(stack, pods)
        yield [
            Way(STRAIGHT, plain, plain.etcdctl()),
            Way(BARE, plain, bare.etcdctl()),
            Way(PROXY, plain, pods[0].etcdctl(), pods[0]),
            Way(STRAIGHT, users, users.etcdctl(own)),
            Way(PROXY, users, pods[1].etcdctl(), pods[1]),
            Way(DIRECT, users, pods[2].etcdctl(), pods[2]),
        ]


def pod_of(
    folder: Path, programs: Programs, core: CoreEtcd, name: str, mode: Literal["Proxy", "Direct"]
) -> GatePod:
    """Describe a pod of a storage; where the core has users its own is made."""
    storage = name.lower()
    gate = Gate(storage, mode, core.auth, core.urls, "token", core.tls)
    files = None
    if core.auth:
        files = core.certificates.files(core.add_user(user_name(storage), f"/{storage}/"))
    return GatePod(folder, programs, gate, core=files)


def started(stack: ExitStack, pods: list[GatePod]) -> None:
    """Start them together: each is ready only after some seconds."""
    for pod in pods:
        stack.callback(pod.stop, grace=0)
        pod.start()
    for pod in pods:
        pod.await_ready()
