"""The real control plane, started once for all tests that ask for it."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import binaries, components
from hack.cluster.controlplane import ControlPlane
from tests.support.eventually import eventually
from tests.support.suites import build_first, build_visibly, mark
from tests.support.threads import threads_soon_ended

_FOLDER = Path(__file__).parent

_LONGEST = 600
"""Seconds after which a test hangs that does not say so itself: no measure, and no wait."""

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


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Give the name of a new namespace in which pods are accepted."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    await_account(control_plane, name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


def await_account(control_plane: ControlPlane, namespace: str) -> None:
    """Wait for the account that each namespace is given: without it no pod is accepted."""
    accounts = ("get", "serviceaccounts", "--namespace", namespace, "--output=name")
    eventually(lambda: "/default\n" in control_plane.kubectl(*accounts))
