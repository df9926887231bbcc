"""Plans and patches over made-up histories: they end, and touch nobody's property."""

from copy import deepcopy
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane.names import object_name
from controller.ownership import (
    STORAGE_LABEL,
    Claim,
    claim,
    controller_of,
    controller_reference,
    merge_patch,
    overlay,
)
from controller.plan import Create, Delete, Evict, Patch, Snapshot, conflicts, plan_storage
from controller.resources import REPLICA_SETS, SERVICES
from controller.watches import OF_EVERY_STORAGE
from tests.support.memoryserver import MemoryServer, apply_merge_patch
from tests.support.objects import (
    NAMESPACE,
    desired_of,
    read,
    replica_set_of_2018,
    service_of_2018,
)

Json = dict[str, Any]
Edit = tuple[tuple[str, ...], Any]

STORAGE = read()
NAMES = {resource: object_name(resource, STORAGE.name) for resource in OF_EVERY_STORAGE}

KEYS = st.sampled_from(["a", "b", "selector", "spec", "labels"])
SCALARS = st.one_of(st.text("xy", max_size=2), st.integers(2, 4))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_applied_gives_the_target(before: Json, after: Json) -> None:
    untouched = deepcopy((before, after))
    patch = merge_patch(before, after)
    assert apply_merge_patch(before, patch) == after
    assert (before, after) == untouched
    assert (patch == {}) == (before == after)


@given(OBJECTS, OBJECTS)
def test_an_overlay_has_all_that_is_desired_and_is_stable(actual: Json, desired: Json) -> None:
    untouched = deepcopy((actual, desired))
    merged = overlay(actual, desired)
    assert overlay(merged, desired) == merged
    assert {key: merged[key] for key in actual.keys() - desired.keys()} == {
        key: actual[key] for key in actual.keys() - desired.keys()
    }
    assert merged.keys() == actual.keys() | desired.keys()
    assert (actual, desired) == untouched


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    """Draw a place in an object and what somebody puts there, None for nothing any more."""
    place = draw(
        st.sampled_from(
            [
                ("metadata", "labels"),
                ("metadata", "labels", STORAGE_LABEL),
                ("metadata", "labels", "theirs"),
                ("metadata", "annotations", "theirs"),
                ("metadata", "ownerReferences"),
                ("spec", "replicas"),
                ("spec", "type"),
                ("spec", "ports"),
                ("spec", "minReadySeconds"),
                ("spec", "template", "metadata", "labels"),
                ("spec", "template", "metadata", "labels", "etcd.xmudrii.com/revision"),
                ("spec", "template", "metadata", "annotations"),
                ("spec", "template", "spec", "hostNetwork"),
                ("spec", "template", "spec", "volumes"),
                ("spec", "template", "spec", "securityContext"),
            ]
        )
    )
    values: dict[str, list[Any]] = {
        "labels": [None, {"theirs": "x"}],
        "ownerReferences": [None, [{"uid": "u", "kind": "Team", "name": "t"}]],
        "replicas": [0, 7],
        "ports": [[{"name": "other", "port": 1}], [{"name": "etcd", "port": 1}]],
        "annotations": [None, {"theirs": "x"}],
        "volumes": [None, [{"name": "v", "emptyDir": {}}]],
        "securityContext": [None, {"runAsUser": 0}],
        "type": ["NodePort"],
        "minReadySeconds": [5],
        "hostNetwork": [True],
    }
    return place, draw(st.sampled_from(values.get(place[-1], [None, "x"])))


def edit(obj: Json, change: Edit) -> None:
    place, value = change
    for step in place[:-1]:
        obj = obj.setdefault(step, {})
    if value is None:
        obj.pop(place[-1], None)
    else:
        obj[place[-1]] = value


class World:
    def __init__(self) -> None:
        self.server = MemoryServer()

    def now(self, resource: Any) -> Json | None:
        return next(iter(self.server.all(resource)), None)

    def snapshot(self) -> Snapshot:
        found = {resource: self.now(resource) for resource in NAMES}
        there = {resource: obj for resource, obj in found.items() if obj is not None}
        return Snapshot(there.pop(REPLICA_SETS, None), there)

    def settle(self, replicas: int, version: int) -> None:
        """Plan and carry out until nothing is left, which must not take long."""
        storage = read(replicas=replicas)
        desired = desired_of(storage, version=version)
        for _ in range(4):
            plan = plan_storage(storage, desired, self.snapshot())
            self.check(conflicts(storage, self.snapshot()) != ())
            for write in plan.writes:
                self.carry_out(write)
            if not plan.writes:
                return
        raise AssertionError(f"still to be written: {plan.writes}")

    def check(self, conflict: bool) -> None:  # noqa: FBT001 - one fact
        foreign = [
            obj
            for obj in map(self.now, NAMES)
            if obj is not None and claim(obj, STORAGE) is Claim.FOREIGN
        ]
        assert conflict == bool(foreign)

    def carry_out(self, write: Any) -> None:
        match write:
            case Create(resource, obj):
                self.server.create(resource, obj, NAMESPACE)
            case Patch(resource, name, patch):
                target = self.server.peek(resource, name)
                assert claim(target, STORAGE) is not Claim.FOREIGN
                self.server.patch(resource, name, patch, namespace=NAMESPACE)
            case Delete(resource, name, uid):
                target = self.server.peek(resource, name)
                assert claim(target, STORAGE) is not Claim.FOREIGN
                assert target["metadata"]["uid"] == uid
                self.server.delete(resource, name, namespace=NAMESPACE)
            case Evict():
                raise AssertionError("there are no pods here")


HISTORY = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.sampled_from(list(NAMES)), edits()),
        st.tuples(st.just("remove"), st.sampled_from(list(NAMES)), st.none()),
        st.tuples(st.just("spec"), st.integers(1, 9), st.sampled_from([1, 2])),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(HISTORY, st.booleans())
def test_every_history_ends_as_desired_or_in_a_conflict(
    history: list[tuple[str, Any, Any]],
    from_2018: bool,  # noqa: FBT001 - drawn
) -> None:
    world, replicas, version = World(), 2, 1
    if from_2018:
        world.server.put(REPLICA_SETS, replica_set_of_2018(STORAGE))
        world.server.put(SERVICES, service_of_2018(STORAGE))
    world.settle(replicas, version)
    for kind, what, how in history:
        if kind == "spec":
            replicas, version = what, how
        elif world.now(what) is not None:
            if kind == "remove":
                world.server.remove(what, NAMES[what])
            else:
                world.server.edit(what, NAMES[what], partial(edit, change=how))
        world.settle(replicas, version)
    desired = desired_of(read(replicas=replicas), version=version)
    for resource, wanted in {REPLICA_SETS: desired.replica_set, **desired.objects}.items():
        found = world.now(resource)
        if found is not None and claim(found, STORAGE) is Claim.OWNED and both_ours(world):
            assert overlay(found, wanted) == found
            assert controller_of(found) == controller_reference(STORAGE)


def both_ours(world: World) -> bool:
    """Whether nothing foreign is about, which would have stopped all writes."""
    objects = [world.now(resource) for resource in NAMES]
    return all(obj is not None and claim(obj, STORAGE) is Claim.OWNED for obj in objects)


@settings(deadline=None)
@given(st.lists(edits(), max_size=5), st.sampled_from(list(NAMES)))
def test_a_foreign_object_is_never_written(changes: list[Edit], resource: Any) -> None:
    world = World()
    world.settle(2, 1)
    stranger = {"kind": "Deployment", "name": "d", "uid": "another", "controller": True}

    def take(obj: Json) -> None:
        for change in changes:
            edit(obj, change)
        obj["metadata"]["ownerReferences"] = [stranger]

    world.server.edit(resource, NAMES[resource], take)
    before = [world.now(kind) for kind in NAMES]
    world.server.writes.clear()
    world.settle(5, 2)
    assert world.server.writes == []
    assert [world.now(kind) for kind in NAMES] == before
