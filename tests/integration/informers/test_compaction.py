"""A watch that is held up until etcd has forgotten where it was."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hack.cluster import etcdapi
from hack.cluster.controlplane import ControlPlane
from informers import ApiError, Client, SharedInformerFactory, load_config
from informers.errors import is_expired
from tests.support.eventually import eventually
from tests.support.tcpproxy import TcpProxy
from tests.support.watched import CONFIG_MAPS, NAMESPACE, HurriedClock, Watched
from workqueue.clock import RealClock


@pytest.fixture
def proxy(fragile: ControlPlane) -> Iterator[TcpProxy]:
    with TcpProxy(("127.0.0.1", fragile.settings.ports.apiserver)) as running:
        yield running


@pytest.fixture
def proxied(
    fragile: ControlPlane, proxy: TcpProxy, tmp_path: Path
) -> Iterator[SharedInformerFactory]:
    """Informers that reach the API server through the proxy alone."""
    config = yaml.safe_load(fragile.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    path = tmp_path / "proxied.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    client = Client(load_config(str(path)), clock=RealClock())
    factory = SharedInformerFactory(client, HurriedClock(), random.Random(1))
    yield factory
    assert factory.shutdown() == []
    client.close()


def test_a_watch_finds_its_version_gone_and_lists_again(
    fragile: ControlPlane, client: Client, proxy: TcpProxy, proxied: SharedInformerFactory
) -> None:
    for name in ("stays", "goes"):
        client.create(CONFIG_MAPS, {"metadata": {"name": name}}, NAMESPACE)
    watched = Watched(client, proxied, CONFIG_MAPS)
    proxied.start()
    assert proxied.wait_for_cache_sync(None, threading.Event()) == []
    watched.await_agreement()
    version = watched.informer.store.resource_version

    proxy.cut()
    client.delete(CONFIG_MAPS, "goes", namespace=NAMESPACE)
    client.patch(CONFIG_MAPS, "stays", {"data": {"turn": "2"}}, namespace=NAMESPACE)
    client.create(CONFIG_MAPS, {"metadata": {"name": "comes"}}, NAMESPACE)
    etcdapi.compact(fragile.settings.etcd, etcdapi.revision(fragile.settings.etcd))
    assert watch_is_refused_as_expired(client, version)
    proxy.restore()

    # What was missed is found out by a list, so the deletion is a tombstone.
    eventually(lambda: "lost goes" in watched.picture.events)
    watched.await_agreement()
    assert {"add comes", "update stays"} <= set(watched.picture.events)


def watch_is_refused_as_expired(client: Client, version: str) -> bool:
    """Whether the server has a 410 for a watch from there, in the status line or the stream."""
    try:
        with client.watch(
            CONFIG_MAPS, NAMESPACE, query={"resourceVersion": version, "timeoutSeconds": 5}
        ) as stream:
            event = next(stream)
    except ApiError as error:
        return is_expired(error)
    return event["type"] == "ERROR" and is_expired(ApiError.from_status(event["object"]))
