"""Which version a cache must have reached before a storage is looked at again.

A cache learns of our own writes by its watch, some time after the server took them. Meanwhile it
shows what we changed as it was, and a plan made from that would repeat the write or, worse, find
nothing to do where there is much. So every answer to a write is asked at which resourceVersion
the server keeps the object, and the storage has to wait until the cache of that kind is as new.

Only versions that an event must bring are waited for. Each kind that we write is watched without
a selector that a write of ours could leave; an answer that names no version (a deletion carried
out at once) is not waited for, and the guards of the next write have to do.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from informers import Resource
from workqueue import Clock

SOONEST: Final = 0.005
"""Seconds to the first new look: a watch event takes about as long. As in client-go's limiter."""

LATEST: Final = 5.0
"""Seconds between two looks at most, so that a cache that moves again is soon made use of."""


class Cache(Protocol):
    """What a kind's objects are read from."""

    @property
    def resource_version(self) -> str:
        """The version up to which it is true."""
        ...


class CacheBehind(Exception):  # noqa: N818 - it reads as what happened
    """The cache of `resource` has been older than our last write for `waited` seconds."""

    def __init__(self, resource: Resource, waited: float) -> None:
        super().__init__(f"the cache of {resource.kind} has not seen our last write yet")
        self.resource = resource
        self.waited = waited

    @property
    def again_after(self) -> float:
        """Seconds until the next look: as long again as was waited already, within bounds."""
        return min(max(self.waited, SOONEST), LATEST)


@dataclass(frozen=True, slots=True)
class _Write:
    version: int
    at: float


class ConsistencyStore:
    """The writes for each storage that a cache has not shown yet. Thread safe.

    `caches` are those of the kinds that are written and watched; a write to another kind is not
    waited for. What a cache has reached is dropped, so nothing is kept in quiet times. Nor is
    there anything to clear, as client-go's has it, when a storage is deleted or made anew under
    its name: nothing is written for either before the writes of the former one were reached.
    """

    def __init__(self, caches: Mapping[Resource, Cache], clock: Clock) -> None:
        self._caches = caches
        self._clock = clock
        self._lock = threading.Lock()
        self._storages: dict[str, dict[Resource, _Write]] = {}

    def wrote_at(self, name: str, resource: Resource, version: str) -> None:
        """Note that a write for the storage `name` is kept by the server as `version`.

        A version that is no number, as of an answer that carries none, is passed over.
        """
        number = _number(version)
        if number is None or resource not in self._caches:
            return
        with self._lock:
            writes = self._storages.setdefault(name, {})
            known = writes.get(resource)
            # A patch that changed nothing is answered by the version that was there.
            if known is None or known.version < number:
                writes[resource] = _Write(number, self._clock.monotonic())

    def wrote_last(self, name: str, resource: Resource, version: str) -> bool:
        """Whether `version` is that of the last write for the storage; forgotten once reached."""
        with self._lock:
            write = self._storages.get(name, {}).get(resource)
        return write is not None and write.version == _number(version)

    def ensure_ready(self, name: str) -> None:
        """Raise `CacheBehind` unless every cache shows the last write for the storage.

        To be called before the caches are read: they only ever get newer.
        """
        with self._lock:
            self._drop_reached_locked(name)
            behind = next(iter(self._storages.get(name, {}).items()), None)
        if behind:
            resource, write = behind
            raise CacheBehind(resource, self._clock.monotonic() - write.at)

    def waiting(self) -> dict[Resource, float]:
        """For how many seconds each cache that is behind has been, by its oldest such write."""
        with self._lock:
            for name in [*self._storages]:
                self._drop_reached_locked(name)
            now = self._clock.monotonic()
            found: dict[Resource, float] = {}
            for writes in self._storages.values():
                for resource, write in writes.items():
                    found[resource] = max(found.get(resource, 0.0), now - write.at)
            return found

    def give_up(self, resource: Resource, longest: float) -> None:
        """Wait no longer for versions of this kind that were written `longest` seconds ago."""
        with self._lock:
            now = self._clock.monotonic()
            for name, writes in [*self._storages.items()]:
                if resource in writes and now - writes[resource].at >= longest:
                    del writes[resource]
                if not writes:
                    del self._storages[name]

    def _drop_reached_locked(self, name: str) -> None:
        """Keep of a storage what is still to be waited for; to be called with the lock held."""
        writes = self._storages.pop(name, {})
        left = {kind: write for kind, write in writes.items() if not self._shows(kind, write)}
        if left:
            self._storages[name] = left

    def _shows(self, resource: Resource, write: _Write) -> bool:
        reached = _number(self._caches[resource].resource_version)
        return reached is None or reached >= write.version


def _number(version: str) -> int | None:
    """The version as a number; None if it is none, and so cannot be compared.

    Since Kubernetes 1.35 the API promises decimal numbers that grow, for each kind; servers
    before it have always kept to that.
    """
    return int(version) if version.isascii() and version.isdecimal() else None
