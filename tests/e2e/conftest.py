"""A real node, brought up once for all tests that ask for it, and the product on it.

`make e2e` runs two processes beside each other, each with a node of its own: one shows the demo,
and then that tenants are kept apart; the other one rolls gates and rotates certificates while
clients work. What is left is done by the one that is through first.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from hack.cluster import binaries, cache, components, images
from hack.cluster.command import run
from hack.cluster.node import Node, prepare
from tests.attack.picture import Core
from tests.e2e.product import Product
from tests.support.etcdrpc import Schema
from tests.support.netns import inside
from tests.support.suites import build_first, build_visibly, mark

_FOLDER = Path(__file__).parent
_NODE = "e2e"
_LONGEST = 600
"""Seconds after which a test hangs that does not say so itself."""


_LANES = (("demo", "tenants", "wrong_input"), ("no_failures", "story", "tls", "upgrade"))
"""Modules that need a node whose product is as those before them have left it."""


class _Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process a lane, and then modules of neither, as long as there are any.

    It begins with what has most tests: the lanes.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = Path(nodeid.partition("::")[0]).stem
        lanes = [f"lane {number}" for number, lane in enumerate(_LANES) if _is_of(lane, module)]
        return lanes[0] if lanes else module


def _is_of(lane: tuple[str, ...], module: str) -> bool:
    return module.removeprefix("test_") in lane


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Lanes:
    return _Lanes(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items, _FOLDER, pytest.mark.e2e)
    mark(items, _FOLDER, pytest.mark.timeout(_LONGEST), unless="timeout")


def pytest_collection_finish(session: pytest.Session) -> None:
    build_first(session, _FOLDER, build)


def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Build before there are processes to share the tests, of which nobody sees the output."""
    build_visibly(config, build)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take down what processes that were broken off, as by Ctrl-C, had no time for."""
    if config.getoption("numprocesses"):
        for folder in cache.run().glob(f"{_NODE}-gw*/"):
            Node(folder).down()


def build() -> None:
    prepare(print)
    binaries.ensure("etcd-descriptors", *components.TENANTS)


@pytest.fixture(scope="session")
def node(worker_id: str) -> Iterator[Node]:
    """Give a node that is up; it is not the one of `make demo`, which may run beside it."""
    running = Node(cache.run() / f"{_NODE}-{worker_id}")
    # What a run before this one left, if it was killed.
    running.down()
    running.up(print)
    yield running
    running.down()


@pytest.fixture(scope="session")
def schema() -> Schema:
    """Give the services and messages of the real etcd."""
    return Schema(run([binaries.ensure("etcd-descriptors")["etcd-descriptors"]]))


@pytest.fixture(scope="session")
def product(
    node: Node, schema: Schema, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """Give the product as it is run where every storage is to have a user in the core.

    It stays until the node goes, and so comes after the demo, which does not share a cluster.
    """
    folder = tmp_path_factory.mktemp("product")
    made = Product(node, folder, schema)
    made.deploy()
    yield made
    made.client.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def core(product: Product, network: None) -> Iterator[Core]:
    """Give the core, as its root, inside the node's network."""
    with closing(product.core()) as core:
        yield core


@pytest.fixture(scope="module")
def network(node: Node) -> Iterator[None]:
    """Let the test's own sockets be in the node's network."""
    with inside(node.network):
        yield


@pytest.fixture(scope="session")
def tenants(node: Node) -> None:
    """See that the node has the image of those who use storages."""
    node.load(images.build_tenants(binaries.ensure(*components.TENANTS), print))
