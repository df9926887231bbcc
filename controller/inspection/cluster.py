"""Reading the cluster, where an answer may be that one may not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from informers import ApiError, Client, ConnectionFailed, Resource
from informers.errors import is_not_found

Json = Mapping[str, Any]

_PAGE: Final = 500
"""Objects in one answer."""


@dataclass(frozen=True, slots=True)
class Unread:
    """In place of what could not be read; `why` is the server's word.

    `unserved`: the server knows no such kind.
    """

    why: str
    unserved: bool = False


class Cluster:
    """Objects by list alone: whoever may list by name needs no right more. Thread safe."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def items(
        self, resource: Resource, namespace: str | None = None, **query: str
    ) -> list[Json] | Unread:
        """Return all objects of the kind, page by page; `query` as of `Client.list`."""
        found: list[Json] = []
        page: dict[str, str | int] = {**query, "limit": _PAGE}
        try:
            while True:
                answer = self._client.list(resource, namespace, **page)
                found += answer.get("items") or ()
                token = (answer.get("metadata") or {}).get("continue")
                if not token:
                    return found
                page["continue"] = token
        except (ApiError, ConnectionFailed) as error:
            return Unread(self._told(error), unserved=is_not_found(error))

    def _told(self, error: ApiError | ConnectionFailed) -> str:
        if isinstance(error, ApiError) and error.code == 401:
            return f"{self._client.server} does not take the credentials: {error}"
        return str(error)

    def page(self, path: str) -> Json | Unread:
        """Return what is no object, such as a kubelet's summary."""
        try:
            found = orjson.loads(self._client.raw_get(path))
        except (ApiError, ConnectionFailed, orjson.JSONDecodeError) as error:
            return Unread(str(error))
        return found if isinstance(found, Mapping) else Unread("it is no object")

    def one(
        self, resource: Resource, name: str, namespace: str | None = None
    ) -> Json | Unread | None:
        """Return the object of this name, None if there is none."""
        found = self.items(resource, namespace, fieldSelector=f"metadata.name={name}")
        if isinstance(found, Unread):
            return found
        return found[0] if found else None
