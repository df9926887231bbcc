"""A control plane that these tests may break, and informers that have to bear it."""

import random
import shutil
from collections.abc import Iterator

import pytest

from hack.cluster import arguments, binaries, components
from hack.cluster.arguments import Settings
from hack.cluster.controlplane import ControlPlane
from informers import Client, SharedInformerFactory, load_config
from tests.support.sockets import no_stray_sockets
from tests.support.watched import NAMESPACE, NAMESPACES, HurriedClock
from workqueue.clock import RealClock

_no_stray_sockets = pytest.fixture(autouse=True)(no_stray_sockets)

# Without a watch cache its watches end at etcd, and it has no streaming lists: the other half
# of what an informer may meet.
_SETTINGS = {arguments.APISERVER: ("--watch-cache-sizes=configmaps#0",)}


@pytest.fixture(scope="package")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An etcd and an API server alone, with a namespace."""
    folder = tmp_path_factory.mktemp("fragile")
    settings = Settings(extra=_SETTINGS)
    try:
        with ControlPlane(folder, binaries.ensure(*components.CONTROL_PLANE), settings) as plane:
            # It would only be in the way, busy with finding the API server again.
            plane.controller_manager.stop(grace=0)
            client = Client(load_config(str(plane.kubeconfig)), clock=RealClock())
            meta = {"name": NAMESPACE}
            client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
            client.close()
            yield plane
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def client(fragile: ControlPlane) -> Iterator[Client]:
    made = Client(load_config(str(fragile.kubeconfig)), clock=RealClock())
    yield made
    made.close()


@pytest.fixture
def factory(client: Client) -> Iterator[SharedInformerFactory]:
    made = SharedInformerFactory(client, HurriedClock(), random.Random(1))
    yield made
    assert made.shutdown() == []
