"""An API server that is killed again and again while somebody writes."""

import threading

import pytest

from hack.cluster.controlplane import ControlPlane
from informers import Client, SharedInformerFactory
from tests.support.eventually import eventually
from tests.support.watched import CONFIG_MAPS, SECRETS, Watched, Writer

pytestmark = pytest.mark.long

RESTARTS = 20

WRITES = 20
"""Between two restarts, at least."""


@pytest.mark.timeout(600)
def test_informers_catch_up_with_a_server_that_restarts(
    fragile: ControlPlane, client: Client, factory: SharedInformerFactory
) -> None:
    watched = [Watched(client, factory, resource) for resource in (CONFIG_MAPS, SECRETS)]
    factory.start()
    assert factory.wait_for_cache_sync(None, threading.Event()) == []
    with Writer(client, [CONFIG_MAPS, SECRETS]) as writer:
        for _ in range(RESTARTS):
            await_writes(writer)
            fragile.stop_apiserver()
            # Not awaited until it says that it is ready: clients do not wait for that either.
            fragile.apiserver.start()
            await_writes(writer)
            with writer.pause:
                assert all(one.await_agreement() for one in watched)
    assert factory.informers()
    for one in watched:
        assert {"add", "update", "delete"} <= {event.split()[0] for event in one.picture.events}


def await_writes(writer: Writer) -> None:
    enough = writer.written + WRITES
    eventually(lambda: writer.written >= enough, what="writes")
