"""What to write for one storage, decided from what is there: a pure function.

`plan_object` compares one object with its desired form; `plan_storage` puts together the
objects of a storage, the ReplicaSet with its rolling step last, and the evictions. Carrying a
plan out and planning again on the result gives an empty plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from controller.api.storage import EtcdStorage
from controller.dataplane import Desired, RollingStep, rolling_step
from controller.dataplane.rolling import pod_revision, pods_of, same_template
from controller.ownership import (
    Claim,
    Conflict,
    claim,
    describe_conflict,
    merge_patch,
    overlay,
    with_controller,
)
from controller.resources import DISRUPTION_BUDGETS, NETWORK_POLICIES, REPLICA_SETS, SECRETS
from controller.transforms import with_contents, without_contents
from informers import Resource

Json = dict[str, Any]

_WHOLE_SPECS: Final = frozenset({DISRUPTION_BUDGETS, NETWORK_POLICIES})
"""Kinds of which the spec is ours as a whole: the server fills nothing in, and a field more lets
somebody in, or is refused next to ours, as `minAvailable` is next to `maxUnavailable`."""


@dataclass(frozen=True, slots=True)
class Create:
    """POST `obj`, whose metadata names it."""

    resource: Resource
    obj: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge `patch`, guarded by the resourceVersion in it, into the object `name`."""

    resource: Resource
    name: str
    patch: Json = field(repr=False)
    adopts: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object `name`, which cannot be mended, if it is still as it was seen.

    Somebody else may have become its controller since.
    """

    resource: Resource
    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Evict:
    """Evict the pod `name` if it is still the one that was seen, in the state it was seen in.

    A pod that the cache shows as not ready may have become ready and be needed since. The writer
    asks for it before the eviction and not by it, which would hold the disruption budget.
    """

    name: str
    uid: str
    resource_version: str


Write = Create | Patch | Delete | Evict


@dataclass(frozen=True, slots=True)
class Awaited:
    """An object of ours that is being deleted; it can be made anew when it is gone."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """An object of ours that has to change, and that the server lets nobody change."""

    kind: str
    name: str


Decision = Create | Patch | Delete | Awaited | Fixed | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the caches hold for one storage.

    The objects of its names that are there, one of a kind and the Secrets with its certificates,
    the pods of its label, and what all storages share: the objects with the core's credentials.
    """

    replica_set: Mapping[str, Any] | None = None
    objects: Mapping[Resource, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    authority: Mapping[str, Any] | None = field(default=None, repr=False)
    serving: Mapping[str, Any] | None = field(default=None, repr=False)
    pods: tuple[Mapping[str, Any], ...] = ()
    core_config_map: Mapping[str, Any] | None = None
    core_secret: Mapping[str, Any] | None = field(default=None, repr=False)
    client_ca: Mapping[str, Any] | None = field(default=None, repr=False)

    def find(self, resource: Resource, name: str) -> Mapping[str, Any] | None:
        """Return the storage's object of this kind and name, if it is there."""
        there = [self.objects.get(resource)]
        there += [self.replica_set] if resource == REPLICA_SETS else []
        there += [self.authority, self.serving] if resource == SECRETS else []
        return next((obj for obj in there if obj and obj["metadata"]["name"] == name), None)


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes in their order, and the objects that stand in the way of more."""

    writes: tuple[Write, ...] = ()
    awaited: tuple[Awaited, ...] = ()
    fixed: tuple[Fixed, ...] = ()

    def followed_by(self, other: "Plan") -> "Plan":
        """Return both plans as one."""
        return Plan(
            (*self.writes, *other.writes),
            (*self.awaited, *other.awaited),
            (*self.fixed, *other.fixed),
        )

    @property
    def is_stuck(self) -> bool:
        """Whether something that has to be written cannot be now."""
        return bool(self.awaited or self.fixed)

    def is_stuck_at(self, name: str) -> bool:
        """Whether the object `name` has to be written, and cannot be now."""
        stuck: tuple[Awaited | Fixed, ...] = (*self.awaited, *self.fixed)
        return any(each.name == name for each in stuck)

    @property
    def brings_to_life(self) -> bool:
        """Whether something is made or adopted, which only a storage that exists may have."""
        return self.adopts or any(isinstance(write, Create) for write in self.writes)

    @property
    def adopts(self) -> bool:
        """Whether an object that nobody controlled gets the storage as its controller."""
        return any(isinstance(write, Patch) and write.adopts for write in self.writes)


def conflicts(storage: EtcdStorage, snapshot: Snapshot) -> tuple[Conflict, ...]:
    """Return what stands under the names of `storage` and is somebody else's."""
    there = [
        *snapshot.objects.items(),
        (REPLICA_SETS, snapshot.replica_set),
        (SECRETS, snapshot.authority),
        (SECRETS, snapshot.serving),
    ]
    return tuple(
        describe_conflict(obj, resource.kind, storage)
        for resource, obj in there
        if obj is not None and claim(obj, storage) is Claim.FOREIGN
    )


def plan_storage(storage: EtcdStorage, desired: Desired, snapshot: Snapshot) -> Plan:
    """Decide every write for `storage`; nothing at all while a name is taken by somebody else."""
    if conflicts(storage, snapshot):
        return Plan()
    replica_set = snapshot.replica_set
    step = rolling_step(
        replica_set,
        pods_of(replica_set, snapshot.pods),
        revision=desired.revision,
        replicas=storage.replicas,
    )
    # What pods need, and what keeps strangers from them, is there before any pod is.
    decisions: tuple[Decision, ...] = (
        *(
            plan_object(resource, snapshot.objects.get(resource), wanted, storage)
            for resource, wanted in desired.objects.items()
        ),
        _plan_replica_set(replica_set, desired.replica_set, step, storage),
    )
    evictions = tuple(_evict(pod["metadata"]) for pod in step.evict)
    return _plan(decisions).followed_by(Plan(evictions))


def plan_secrets(
    storage: EtcdStorage, *secrets: tuple[Mapping[str, Any] | None, Json | None]
) -> Plan:
    """Decide what Secrets need, each as it is and as it should be; None: it has to do."""
    return _plan(
        tuple(
            plan_object(SECRETS, actual, desired, storage)
            for actual, desired in secrets
            if desired is not None
        )
    )


def plan_pair(storage: EtcdStorage, secret: Json | None, snapshot: Snapshot) -> Plan:
    """Decide what the Secret of the storage's user needs, if it is there, and nothing else."""
    present = snapshot.objects.get(SECRETS)
    return plan_secrets(storage, (present, secret)) if present is not None else Plan()


def without_pods(plan: Plan) -> Plan:
    """Return the plan as far as pods can do without what is missing: none is made, none rolled."""
    kept = tuple(
        write
        for write in plan.writes
        if not isinstance(write, Evict) and write.resource != REPLICA_SETS
    )
    return replace(plan, writes=kept)


def _plan(decisions: tuple[Decision, ...]) -> Plan:
    return Plan(
        tuple(d for d in decisions if isinstance(d, Create | Patch | Delete)),
        tuple(d for d in decisions if isinstance(d, Awaited)),
        tuple(d for d in decisions if isinstance(d, Fixed)),
    )


def plan_suspension(storage: EtcdStorage, snapshot: Snapshot) -> Plan:
    """Decide how the pods of `storage` go, at once and all of them.

    Nothing else changes, but that a ReplicaSet without an owner is adopted.
    """
    actual = snapshot.replica_set
    if actual is None or claim(actual, storage) not in {Claim.OWNED, Claim.ORPHAN}:
        return Plan()
    patch = _mend(REPLICA_SETS, actual, overlay(actual, {"spec": {"replicas": 0}}), storage)
    return Plan((patch,)) if patch else Plan()


def plan_object(
    resource: Resource,
    actual: Mapping[str, Any] | None,
    desired: Json,
    storage: EtcdStorage,
) -> Decision:
    """Decide what one object needs that is not somebody else's.

    Fields that `desired` does not name are left alone.
    """
    if actual is None:
        return Create(resource, with_controller(desired, storage))
    if claim(actual, storage) is Claim.LEAVING:
        return Awaited(resource.kind, actual["metadata"]["name"])
    target = overlay(actual, desired)
    if resource in _WHOLE_SPECS:
        target["spec"] = desired["spec"]
    patch = _mend(resource, actual, target, storage)
    if patch and _is_fixed(actual, patch.patch):
        return Fixed(resource.kind, patch.name)
    return patch


def _mend(
    resource: Resource, actual: Mapping[str, Any], target: Json, storage: EtcdStorage
) -> Patch | None:
    patch = merge_patch(actual, with_controller(target, storage))
    if not patch:
        return None
    metadata = actual["metadata"]
    guard = {"resourceVersion": metadata["resourceVersion"]}
    patch["metadata"] = {**patch.get("metadata", {}), **guard}
    return Patch(resource, metadata["name"], patch, adopts=claim(actual, storage) is Claim.ORPHAN)


def _is_fixed(actual: Mapping[str, Any], patch: Json) -> bool:
    """Whether the server refuses the patch for good: of a Secret the type, or immutable data."""
    return "type" in patch or ("data" in patch and bool(actual.get("immutable")))


def _plan_replica_set(
    actual: Mapping[str, Any] | None, desired: Json, step: RollingStep, storage: EtcdStorage
) -> Decision:
    wanted = {**desired, "spec": {**desired["spec"], "replicas": step.replicas}}
    if actual is None or claim(actual, storage) is Claim.LEAVING:
        return plan_object(REPLICA_SETS, actual, wanted, storage)
    metadata, spec = actual["metadata"], actual["spec"]
    if spec["selector"] != wanted["spec"]["selector"]:
        # A selector cannot be changed, and that of the first controller selects every
        # storage's pods.
        return Delete(REPLICA_SETS, metadata["name"], metadata["uid"], metadata["resourceVersion"])
    actual, slim = without_contents(actual), without_contents(wanted)
    target = overlay(actual, slim)
    template = slim["spec"]["template"]
    if not same_template(pod_revision(spec["template"]), pod_revision(template)):
        # Of another revision nothing is kept, or fields we no longer set would stay for ever.
        target["spec"]["template"] = template
    patch = _mend(REPLICA_SETS, actual, target, storage)
    return replace(patch, patch=with_contents(patch.patch, wanted)) if patch else None


def _evict(metadata: Mapping[str, Any]) -> Evict:
    return Evict(metadata["name"], metadata["uid"], metadata["resourceVersion"])
