"""A cluster to be read and nothing more: objects by kind, and who may what."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

import orjson

from informers import ApiError, Client, ConnectionFailed, Resource

Json = Mapping[str, Any]


class Bookshelf:
    """Takes the reads of `Client`, and reviews of rights.

    What is `failing` is answered with the error; kinds without any object ever put are known.
    """

    server = "https://api.example:6443"

    def __init__(self) -> None:
        self.objects: dict[Resource, list[Json]] = {}
        self.failing: dict[Resource, Exception] = {}
        self.away: ConnectionFailed | ApiError | None = None
        """What the server's own pages are answered with."""
        self.denied: set[tuple[str, str]] = set()
        """Verb and resource of the rights that nobody has."""
        self.asked: list[dict[str, Any]] = []
        self.time: datetime | None = None
        self.page = 500
        self.pages: dict[str, object] = {"/version": {"gitVersion": "v1.37.2"}}

    @property
    def client(self) -> Client:
        return cast("Client", self)

    def put(self, resource: Resource, *objects: Json) -> None:
        self.objects.setdefault(resource, []).extend(objects)

    def forbid(self, resource: Resource) -> None:
        text = f"cannot list resource {resource.plural}"
        self.failing[resource] = ApiError(403, "Forbidden", text)

    def raw_get(self, path: str) -> bytes:
        if self.away:
            raise self.away
        if path not in self.pages:
            raise ApiError(404, "NotFound", "the server could not find it")
        return orjson.dumps(self.pages[path])

    def server_time(self) -> datetime | None:
        return self.time

    def create(self, resource: Resource, obj: Json) -> dict[str, Any]:
        if failure := self.failing.get(resource):
            raise failure
        self.asked.append(dict(obj))
        asked = obj["spec"]["resourceAttributes"]
        denied = (asked["verb"], asked["resource"]) in self.denied
        return {"status": {"allowed": not denied}}

    # Last, for it takes the name that the others' signatures mean a type by.
    def list(
        self, resource: Resource, namespace: str | None = None, **query: str | int
    ) -> dict[str, Any]:
        if failure := self.failing.get(resource):
            raise failure
        found = list(_chosen(self.objects.get(resource, ()), namespace, query))
        start = int(query.get("continue", 0))
        end = start + min(self.page, int(query["limit"]))
        rest = {"continue": str(end)} if end < len(found) else {}
        return {"items": found[start:end], "metadata": rest}


def _chosen(
    objects: Iterable[Json], namespace: str | None, query: Mapping[str, str | int]
) -> Iterable[Json]:
    by_name = str(query.get("fieldSelector", "")).removeprefix("metadata.name=")
    key, _, value = str(query.get("labelSelector", "")).partition("=")
    for obj in objects:
        metadata = obj["metadata"]
        labels = metadata.get("labels") or {}
        fits = not key or (labels.get(key) == value if value else key in labels)
        here = namespace is None or metadata.get("namespace") == namespace
        if here and fits and by_name in {"", metadata["name"]}:
            yield obj
