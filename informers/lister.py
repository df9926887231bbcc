"""Reads of one resource out of a store, as the API server would answer them."""

from collections.abc import Mapping

import structlog

from informers.errors import not_found
from informers.resource import Resource
from informers.store import NAMESPACE_INDEX, Object, Objects, Store

_log = structlog.get_logger(__name__)


class Lister:
    """Never asks the server; what it returns is shared and read only."""

    def __init__(self, store: Store, resource: Resource) -> None:
        self._store = store
        self._resource = resource

    @property
    def resource_version(self) -> str:
        """The version up to which the answers are true; "" before the first list."""
        return self._store.resource_version

    def get(self, name: str, namespace: str | None = None) -> Object:
        """The object; an `ApiError` that is `is_not_found` if the store has none."""
        obj = self.find(name, namespace)
        if obj is None:
            raise not_found(self._resource.group_resource, name)
        return obj

    def find(self, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None where its absence is an answer and no error."""
        return self._store.get(f"{namespace}/{name}" if namespace else name)

    def list(
        self, namespace: str | None = None, selector: Mapping[str, str] | None = None
    ) -> Objects:
        """The objects of a namespace that carry every label of `selector`.

        None and "" stand for all namespaces.
        """
        candidates = self._in(namespace) if namespace else self._store.list()
        if not selector:
            return candidates
        return [obj for obj in candidates if matches(selector, obj)]

    def by_index(self, name: str, value: str) -> Objects:
        """The objects with that value in the store's index; `KeyError` if it has no such index."""
        return self._store.by_index(name, value)

    def _in(self, namespace: str) -> Objects:
        if NAMESPACE_INDEX in self._store.indexers:
            return self._store.by_index(NAMESPACE_INDEX, namespace)
        _log.debug("no_namespace_index", resource=self._resource.group_resource)
        return [obj for obj in self._store.list() if _namespace(obj) == namespace]


def matches(selector: Mapping[str, str], obj: Object) -> bool:
    """Whether the object's labels hold every pair of `selector`."""
    labels = obj["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in selector.items())


def _namespace(obj: Object) -> str:
    return obj["metadata"].get("namespace") or ""
