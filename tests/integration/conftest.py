"""The real control plane, started once for all tests that ask for it."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hack.cluster import binaries, components
from hack.cluster.controlplane import ControlPlane
from informers import Client, Resource, load_config
from tests.support.eventually import eventually
from tests.support.suites import build_first, build_visibly, mark
from tests.support.threads import threads_soon_ended
from tests.support.watched import NAMESPACES
from workqueue import RealClock

_FOLDER = Path(__file__).parent

_LONGEST = 600
"""Seconds after which a test hangs that does not say so itself: no measure, and no wait."""

_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", namespaced=True)

_no_stray_threads = pytest.fixture(autouse=True)(threads_soon_ended)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items, _FOLDER, pytest.mark.integration)
    mark(items, _FOLDER, pytest.mark.timeout(_LONGEST), unless="timeout")
    # Begun last, a long one would keep a single process busy in the end.
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish(session: pytest.Session) -> None:
    build_first(session, _FOLDER, build)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Build before there are processes to share the tests, of which nobody sees the output."""
    build_visibly(config, build)


def build() -> None:
    binaries.ensure(*components.WITHOUT_ROOT)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd, API server and controller manager; `kubectl` and `kubectl_json` look inside."""
    folder = tmp_path_factory.mktemp("control-plane")
    try:
        with ControlPlane(folder, binaries.ensure(*components.CONTROL_PLANE)) as running:
            yield running
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> Iterator[Client]:
    """Give the administrator's: a kubectl for each call would take most of the tests' time."""
    with closing(administrator(control_plane)) as client:
        yield client


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """Give the name of a new namespace in which pods are accepted.

    It goes with the control plane: to empty one costs more than most tests.
    """
    name = f"test-{secrets.token_hex(4)}"
    # Of its own: some tests look for connections that are left.
    with closing(administrator(control_plane)) as client:
        create_namespace(client, name)
    return name


def administrator(control_plane: ControlPlane, name: str = "administrator") -> Client:
    """Return a client that may do anything; the server takes it for a program of this name."""
    config = load_config(str(control_plane.kubeconfig))
    return Client(config, clock=RealClock(), user_agent=name)


def create_namespace(client: Client, name: str) -> None:
    """Make a namespace, and return once pods are accepted in it."""
    client.create(NAMESPACES, {"metadata": {"name": name}})
    await_account(client, name)


def await_account(client: Client, namespace: str) -> None:
    """Wait for the account that each namespace is given: without it no pod is accepted."""

    def names() -> set[str]:
        found = client.list(_ACCOUNTS, namespace)["items"]
        return {account["metadata"]["name"] for account in found}

    eventually(lambda: "default" in names(), what=f"the account of {namespace}")
