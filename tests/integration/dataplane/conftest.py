"""The real data plane: a core without users, one with them, and pods in front of both."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from controller.core.identity import user_name
from controller.dataplane.gate import Gate
from hack.dataplane import BareProxy, CoreEtcd, GatePod, programs
from hack.dataplane.programs import Programs

DRAIN_TOKEN = "only-the-kubelet-knows"


@pytest.fixture(scope="session")
def data_plane() -> Programs:
    """Give the paths of etcd, Envoy and so on."""
    return programs.ensure()


Mode = Literal["Proxy", "Direct"]
MakeCore = Callable[..., CoreEtcd]
MakePod = Callable[..., GatePod]
MakeProxy = Callable[..., BareProxy]


@contextmanager
def running_cores(folder: Path, data_plane: Programs) -> Iterator[MakeCore]:
    """Give what starts cores, each with a folder of its name; in the end they are gone."""
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)

        def make(name: str = "core", *, auth: bool = False, members: int = 1) -> CoreEtcd:
            core = CoreEtcd(folder / name, data_plane, auth=auth, members=members)
            return stack.enter_context(core)

        yield make


@contextmanager
def running_pods(folder: Path, data_plane: Programs) -> Iterator[MakePod]:
    """Give what starts pods and waits until they are ready; in the end they are gone.

    Where the core has users a pod comes as its storage's, who is made if need be. `tls` is that
    towards clients. A second pod of one storage is a second replica.
    """
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        made: list[GatePod] = []

        def make(
            core: CoreEtcd, storage: str, mode: Mode = "Proxy", *, tls: bool = False
        ) -> GatePod:
            gate = Gate(storage, mode, core.auth, core.urls, DRAIN_TOKEN, tls)
            files = core_files(core, storage)
            pod = GatePod(folder / str(len(made)), data_plane, gate, core=files)
            made.append(pod)
            return stack.enter_context(pod)

        yield make


def core_files(core: CoreEtcd, storage: str) -> dict[str, bytes] | None:
    """Return the certificates by which this storage comes to the core; None without TLS."""
    if not core.tls:
        return None
    if not core.auth:
        return core.certificates.files(core.certificates.shared)
    user = user_name(storage)
    if user not in core.etcdctl().run("user", "list").split():
        core.add_user(user, f"/{storage}/")
    return core.certificates.files(core.certificates.user(user))


@pytest.fixture(scope="session")
def plain_core(
    tmp_path_factory: pytest.TempPathFactory, data_plane: Programs
) -> Iterator[CoreEtcd]:
    """Give a core without TLS and users, the same for all: be content with one storage of it."""
    with running_cores(tmp_path_factory.mktemp("plain"), data_plane) as make:
        yield make()


@pytest.fixture(scope="session")
def auth_core(
    tmp_path_factory: pytest.TempPathFactory, data_plane: Programs
) -> Iterator[CoreEtcd]:
    """Give a core with TLS and users, the same for all: be content with one storage of it."""
    with running_cores(tmp_path_factory.mktemp("auth"), data_plane) as make:
        yield make(auth=True)


@pytest.fixture
def make_core(
    tmp_path_factory: pytest.TempPathFactory, data_plane: Programs
) -> Iterator[MakeCore]:
    """Start cores that this test may do anything to."""
    with running_cores(tmp_path_factory.mktemp("cores"), data_plane) as make:
        yield make


@pytest.fixture
def make_pod(tmp_path_factory: pytest.TempPathFactory, data_plane: Programs) -> Iterator[MakePod]:
    """Start pods that this test may do anything to."""
    with running_pods(tmp_path_factory.mktemp("pods"), data_plane) as make:
        yield make


@pytest.fixture(scope="module")
def keep_pod(tmp_path_factory: pytest.TempPathFactory, data_plane: Programs) -> Iterator[MakePod]:
    """Start pods that the tests of a module share."""
    with running_pods(tmp_path_factory.mktemp("pods"), data_plane) as make:
        yield make


@pytest.fixture
def make_proxy(
    tmp_path_factory: pytest.TempPathFactory, data_plane: Programs
) -> Iterator[MakeProxy]:
    """Start bare grpc-proxies, for a core and a storage."""
    folder = tmp_path_factory.mktemp("bare")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)

        def make(core: CoreEtcd, storage: str) -> BareProxy:
            return stack.enter_context(BareProxy(folder / storage, data_plane, core, storage))

        yield make
