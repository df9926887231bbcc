"""The objects of the sample API server, as its administrator reads and writes them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from hack.dataplane.sampleapiserver import SampleApiserver
from informers import Client, Object, Resource, load_config
from informers.rest.watch import Event, Watch
from workqueue.clock import REAL_CLOCK

FLUNDERS = Resource("wardle.example.com", "v1alpha1", "flunders", "Flunder", namespaced=True)
NAMESPACE = "default"

_STREAMING: dict[str, str | bool] = {
    "sendInitialEvents": True,
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": True,
}
_LIST_ENDS = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a streaming list brought."""

    names: list[str]
    refusal: str = ""
    """The message of the error that came in place of its end."""


class Flunders:
    """Those of one API server. Its calls raise ApiError or ConnectionFailed."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    def of(cls, server: SampleApiserver) -> Self:
        return cls(Client(load_config(str(server.kubeconfig)), clock=REAL_CLOCK))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cut all connections: open watches end."""
        self._client.close()

    def session(self) -> "Flunders":
        """The same ones by a connection of its own, which `close` cuts."""
        return Flunders(self._client.session())

    def create(self, name: str) -> Object:
        """Return what was stored."""
        meta = {"name": name}
        flunder = {"apiVersion": FLUNDERS.api_version, "kind": FLUNDERS.kind, "metadata": meta}
        return self._client.create(FLUNDERS, flunder, NAMESPACE)

    def delete(self, name: str) -> None:
        self._client.delete(FLUNDERS, name, namespace=NAMESPACE)

    def list(self) -> Object:
        """Return the list object, as of now and not of a cache: what no version gets."""
        return self._client.list(FLUNDERS, NAMESPACE)

    def stream(self) -> Streamed:
        """List by a watch that begins with everything there is, as reflectors prefer to."""
        with self._client.watch(FLUNDERS, NAMESPACE, query=_STREAMING) as watch:
            return streamed(watch)

    def watch(self, since: Object) -> Watch:
        """Watch from the version of an object or a list on."""
        version = since["metadata"]["resourceVersion"]
        return self._client.watch(FLUNDERS, NAMESPACE, query={"resourceVersion": version})


def streamed(events: Iterable[Event]) -> Streamed:
    """Read a streaming list to its end and no further."""
    found: list[str] = []
    for event in events:
        obj = event["object"]
        if event["type"] == "ERROR":
            return Streamed(found, obj["message"])
        if _LIST_ENDS in obj["metadata"].get("annotations", {}):
            return Streamed(found)
        found.append(obj["metadata"]["name"])
    return Streamed(found, "the stream ended before the list did")


def names(flunders: Object) -> list[str]:
    """Return the names in a list object."""
    items: list[Any] = flunders["items"]
    return [flunder["metadata"]["name"] for flunder in items]
