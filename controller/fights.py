"""What of each storage and its objects had to be mended, and whether somebody keeps undoing it.

Only this process remembers it: another one that takes over mends everything once at once.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from controller.api.conditions import Problem
from controller.api.storage import CORE_FINALIZER, EtcdStorage
from controller.dataplane.interface import REVISION_LABEL
from controller.drift import (
    Correction,
    Field,
    fields,
    listed,
    looked_at,
    paths,
    rivals,
    value_at,
    written,
)
from controller.plan import Create, Evict, Patch, Plan, Snapshot, Write
from controller.resources import ETCD_STORAGES, REPLICA_SETS
from controller.transforms import patch_without_contents, without_contents
from informers import ApiError, Client, ConnectionFailed, Resource
from workqueue import Clock

DRIFT_FIGHT: Final = "DriftFight"

_MANAGER: Final = "etcdproxy-controller"
"""Our name in managedFields, which the server takes from the User-Agent."""

_OURS: Final[Mapping[str, Any]] = {CORE_FINALIZER: True}
"""What is ours of a storage's finalizers: their order says nothing, and others have theirs."""

_NAMELESS: Final = "a webhook, a policy or another controller"

Json = Mapping[str, Any]
_Key = tuple[Resource, str, Field]


@dataclass(frozen=True, slots=True)
class Held:
    """What may be written now of a storage's `secrets` and of the rest, the `plan`.

    `problem` tells of fights.
    """

    secrets: Plan
    plan: Plan
    problem: Problem | None


class Fights:
    """Thread safe as long as no two callers share a storage."""

    def __init__(self, client: Client, namespace: str, clock: Clock) -> None:
        self._client = client
        self._namespace = namespace
        self._clock = clock
        self._corrections: dict[str, dict[_Key, Correction]] = {}

    def hold(
        self,
        storage: EtcdStorage,
        snapshot: Snapshot,
        secrets: Plan,
        plan: Plan,
        *,
        finalizes: bool = False,
    ) -> Held:
        """Hold back what has been undone too lately: no object is written for that alone.

        Secrets with certificates go together or not at all: one is signed by what another has.
        No pod is evicted by an older number of pods. `finalizes`: the storage is to get our
        finalizer.
        """
        writes = (*secrets.writes, *plan.writes)
        differing = dict(pair for write in writes for pair in _fields(write))
        if finalizes:
            differing[_finalizers(storage)] = _OURS
        self._look(storage, snapshot, differing)
        held = {id(w) for w in writes if self._is_held(storage.name, *_keys(w))}
        if any(id(write) in held for write in secrets.writes):
            secrets = replace(secrets, writes=())
        stays = any(id(w) in held and _resource(w) == REPLICA_SETS for w in plan.writes)
        kept = tuple(
            write
            for write in plan.writes
            if id(write) not in held and not (stays and isinstance(write, Evict))
        )
        problem = _problem(self._corrections.get(storage.name, {}))
        return Held(secrets, replace(plan, writes=kept), problem)

    def may_finalize(self, storage: EtcdStorage) -> bool:
        """Whether our finalizer may be put on now; to be asked after `hold`."""
        return not self._is_held(storage.name, _finalizers(storage))

    def finalized(self, storage: EtcdStorage, answer: Json) -> None:
        """Remember that our finalizer was put on, and what became of it at once."""
        there = dict.fromkeys(answer["metadata"].get("finalizers") or (), True)
        self._remember(storage, _finalizers(storage), _OURS, there)

    def again(self, storage: str) -> float | None:
        """Return the seconds after which there is something to write or to tell, if any."""
        now = self._clock.monotonic()
        found = (c.again(now) for c in self._corrections.get(storage, {}).values())
        return min((seconds for seconds in found if seconds is not None), default=None)

    def wrote(self, storage: EtcdStorage, write: Write, answer: Json) -> None:
        """Remember a write that was answered so, but for the first ones of a new storage."""
        if isinstance(write, Create) and "observedGeneration" not in storage.status:
            return
        if _resource(write) == REPLICA_SETS and "spec" in answer:
            answer = without_contents(answer)
        for key, value in _fields(write):
            self._remember(storage, key, value, value_at(answer, key[-1]))

    def forget(self, storage: str) -> None:
        """The storage of this name is gone."""
        self._corrections.pop(storage, None)

    def _remember(self, storage: EtcdStorage, key: _Key, wrote: Any, answer: Any) -> None:
        remembered = self._corrections.setdefault(storage.name, {})
        now = self._clock.monotonic()
        remembered[key] = written(remembered.get(key), wrote, now, answer=answer)

    def _look(
        self, storage: EtcdStorage, snapshot: Snapshot, differing: Mapping[_Key, Any]
    ) -> None:
        """Bring what is remembered up to what is there; `differing` is what is to be written."""
        remembered = self._corrections.get(storage.name)
        if not remembered:
            return
        now = self._clock.monotonic()
        for key, before in [*remembered.items()]:
            resource, name, field = key
            if resource == ETCD_STORAGES:
                value: Any = dict.fromkeys(storage.finalizers, True)
            else:
                value = value_at(snapshot.find(resource, name), field)
            after = looked_at(before, value, now, differs=key in differing)
            if after is None:
                del remembered[key]
            elif after.undone and not before.undone and after.fights:
                remembered[key] = replace(after, told=self._tell(key, differing[key]))
            else:
                remembered[key] = after
        if not remembered:
            del self._corrections[storage.name]

    def _is_held(self, storage: str, *keys: _Key) -> bool:
        remembered = self._corrections.get(storage, {})
        now = self._clock.monotonic()
        found = [remembered.get(key) for key in keys]
        return bool(found) and all(c and c.undone and now < c.due for c in found)

    def _tell(self, key: _Key, wrote: Any) -> str:
        """Say who changes what, by what the server knows of it now."""
        resource, name, field = key
        if not field:
            return f"somebody keeps deleting {resource.kind} {name}"
        if resource == ETCD_STORAGES:
            # Whoever only takes something out manages nothing, and so the server names nobody.
            return f"{_NAMELESS} keeps taking the finalizer {CORE_FINALIZER} off {name}"
        # That a template is restored by another revision is no change of theirs.
        changed = [p for p in paths(field, wrote) if p[-1] != REVISION_LABEL] or [field]
        found: list[str] = []
        with contextlib.suppress(ApiError, ConnectionFailed):
            # Our rights are to list and to watch, and what a watch brings has no managers left.
            by_name = f"metadata.name={name}"
            live = self._client.list(resource, self._namespace, fieldSelector=by_name)["items"]
            found = [manager for obj in live for manager in rivals(obj, changed, _MANAGER)]
        who = " and ".join(found) or f"{_NAMELESS} of our name"
        return f"{who} keeps changing {listed(changed)} of {resource.kind} {name}"


def _fields(write: Write) -> Iterator[tuple[_Key, Any]]:
    match write:
        case Create(resource, obj):
            yield (resource, obj["metadata"]["name"], ()), {}
        case Patch(resource, name, patch):
            if resource == REPLICA_SETS:
                patch = patch_without_contents(patch)
            for field, value in fields(patch):
                yield (resource, name, field), value


def _keys(write: Write) -> list[_Key]:
    return [key for key, _ in _fields(write)]


def _finalizers(storage: EtcdStorage) -> _Key:
    return ETCD_STORAGES, storage.name, ("metadata", "finalizers")


def _resource(write: Write) -> Resource | None:
    return None if isinstance(write, Evict) else write.resource


def _problem(remembered: Mapping[_Key, Correction]) -> Problem | None:
    told = [*dict.fromkeys(c.told for c in remembered.values() if c.fights)]
    if not told:
        return None
    message = f"{'; '.join(told)}: stop that. It is mended again once a minute at most"
    return Problem(DRIFT_FIGHT, message)
