"""The local copy: objects by key, with indexes, that knows which version it holds.

Objects come out by reference and are read only by convention: whoever wants to change one
copies it first.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""An API object as JSON gives it."""

Objects = list[Object]
Keys = list[str]

IndexFunc = Callable[[Object], Iterable[str]]
"""The values under which an object is found; must not raise for any object."""

NAMESPACE_INDEX = "namespace"


@dataclass(frozen=True, slots=True)
class DeletedFinalStateUnknown:
    """A deletion found out by a relist; `obj` is the last state seen and may be stale."""

    key: str
    obj: Object


def meta_namespace_key(obj: Object | DeletedFinalStateUnknown) -> str:
    """The key of an object: "namespace/name", or "name" if it lives in no namespace.

    A tombstone carries its own. `KeyError` if it has no name.
    """
    if isinstance(obj, DeletedFinalStateUnknown):
        return obj.key
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    name: str = metadata["name"]
    return f"{namespace}/{name}" if namespace else name


def split_meta_namespace_key(key: str) -> tuple[str, str]:
    """Namespace ("" if none) and name. `ValueError` if it is no such key."""
    namespace, slash, name = key.rpartition("/")
    if "/" in namespace or not name or (slash and not namespace):
        raise ValueError(f"unexpected key format: {key!r}")
    return namespace, name


def meta_namespace_index(obj: Object) -> list[str]:
    """Index by namespace, to be registered as `NAMESPACE_INDEX`."""
    return [obj["metadata"].get("namespace") or ""]


def resource_version(obj: Mapping[str, Any]) -> str:
    """The resourceVersion of an object or a list, "" if it has none. Opaque but for equality."""
    return (obj.get("metadata") or {}).get("resourceVersion") or ""


class Store:
    """Objects by key. Thread safe: readers from any thread, one writer by design."""

    def __init__(self, indexers: Mapping[str, IndexFunc] | None = None) -> None:
        self._lock = threading.RLock()
        self._objects: dict[str, Object] = {}
        self._indexers: dict[str, IndexFunc] = dict(indexers or {})
        self._indexes: dict[str, dict[str, set[str]]] = {name: {} for name in self._indexers}
        self._resource_version = ""

    @property
    def resource_version(self) -> str:
        """The version up to which the copy is true; "" before the first list.

        That of the last object written or deleted, the last list or the last bookmark. A
        tombstone does not move it: its object's version is older than what has been seen.
        """
        with self._lock:
            return self._resource_version

    def add(self, obj: Object) -> Object | None:
        """Store `obj`, in the place of another if there is one, which is returned."""
        key = meta_namespace_key(obj)
        with self._lock:
            old = self._objects.get(key)
            self._objects[key] = obj
            self._reindex(key, old, obj)
            self._resource_version = resource_version(obj)
            return old

    update = add

    def delete(self, obj: Object | DeletedFinalStateUnknown) -> Object | None:
        """Remove the object of the same key, which is returned, None if there is none."""
        key = meta_namespace_key(obj)
        with self._lock:
            old = self._objects.pop(key, None)
            self._reindex(key, old, None)
            if not isinstance(obj, DeletedFinalStateUnknown):
                self._resource_version = resource_version(obj)
            return old

    def replace(self, objects: Iterable[Object], version: str) -> dict[str, Object]:
        """Hold exactly these from now on, as of `version`; returns what was there before."""
        fresh = {meta_namespace_key(obj): obj for obj in objects}
        with self._lock:
            before, self._objects = self._objects, fresh
            self._resource_version = version
            for name in self._indexers:
                self._rebuild(name)
            return before

    def bookmark(self, version: str) -> None:
        """Note that nothing changed up to `version`."""
        with self._lock:
            self._resource_version = version

    def get(self, key: str) -> Object | None:
        with self._lock:
            return self._objects.get(key)

    def list(self) -> Objects:
        with self._lock:
            return [*self._objects.values()]

    def keys(self) -> Keys:
        with self._lock:
            return [*self._objects]

    def items(self) -> Sequence[tuple[str, Object]]:
        """Keys and objects, in the order of the last list, then of arrival."""
        with self._lock:
            return [*self._objects.items()]

    def __len__(self) -> int:
        return len(self._objects)

    def add_indexers(self, indexers: Mapping[str, IndexFunc]) -> None:
        """Index what is there and what will come; once more by the same function is no error.

        `ValueError` if a name is taken by another one: nothing is added then.
        """
        with self._lock:
            known = self._indexers
            taken = [name for name, func in indexers.items() if known.get(name, func) != func]
            if taken:
                raise ValueError(f"other indexers exist already: {', '.join(sorted(taken))}")
            fresh = indexers.keys() - known.keys()
            known.update(indexers)
            for name in fresh:
                self._rebuild(name)

    @property
    def indexers(self) -> dict[str, IndexFunc]:
        with self._lock:
            return dict(self._indexers)

    def index(self, name: str, obj: Object) -> Objects:
        """The objects that share a value of index `name` with `obj`, each once."""
        with self._lock:
            index = self._index(name)
            values = self._indexers[name](obj)
            keys = {key for value in values for key in index.get(value, ())}
            return [self._objects[key] for key in keys]

    def by_index(self, name: str, value: str) -> Objects:
        """The objects with that value; `KeyError` if there is no such index."""
        with self._lock:
            return [self._objects[key] for key in self._index(name).get(value, ())]

    def index_keys(self, name: str, value: str) -> Keys:
        """The keys of the objects with that value, sorted."""
        with self._lock:
            return sorted(self._index(name).get(value, ()))

    def index_values(self, name: str) -> Keys:
        """The values that any object has at present."""
        with self._lock:
            return [*self._index(name)]

    def _index(self, name: str) -> dict[str, set[str]]:
        if name not in self._indexes:
            raise KeyError(f"no index named {name!r}")
        return self._indexes[name]

    def _rebuild(self, name: str) -> None:
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._insert(name, key, self._indexers[name](obj))

    def _reindex(self, key: str, old: Object | None, new: Object | None) -> None:
        for name, values_of in self._indexers.items():
            before = [] if old is None else [*values_of(old)]
            after = [] if new is None else [*values_of(new)]
            # Hardly any change moves an object within an index.
            if before != after:
                self._discard(name, key, before)
                self._insert(name, key, after)

    def _insert(self, name: str, key: str, values: Iterable[str]) -> None:
        index = self._indexes[name]
        for value in values:
            index.setdefault(value, set()).add(key)

    def _discard(self, name: str, key: str, values: Iterable[str]) -> None:
        index = self._indexes[name]
        for value in values:
            keys = index.get(value)
            if keys is not None:
                keys.discard(key)
                # An index by owner would otherwise grow by every owner there ever was.
                if not keys:
                    del index[value]
