"""A storage whose objects somebody else keeps changing: what is written, and when."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.fights import Fights, Held
from controller.ownership import with_controller
from controller.plan import Create, Evict, Patch, Plan, plan_secrets, plan_storage
from controller.resources import NETWORK_POLICIES, PODS, REPLICA_SETS, SECRETS, SERVICES
from controller.writer import Writer
from informers import ApiError
from tests.support.clock import FakeClock
from tests.support.memoryserver import MemoryServer
from tests.support.objects import CORE, FACTS, NAMESPACE, desired_of, owned_by, plane, pod, read

Json = dict[str, Any]
Change = Callable[[Json], object]

STORAGE = read(status={"observedGeneration": 1})
RS, SERVICE = "etcd-rs-etcd-name", "etcd-etcd-name"
MEND_RS, MEND_SERVICE = f"patch ReplicaSet {RS}", f"patch Service {SERVICE}"


class World:
    """A server with everything of one storage on it."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.clock = FakeClock()
        self.fights = Fights(self.server.client, NAMESPACE, self.clock)
        self.version = 0
        self.core = CORE.urls[0]
        desired = desired_of(STORAGE, version=0)
        for kind, obj in {**desired.objects, REPLICA_SETS: desired.replica_set}.items():
            self.server.put(kind, with_controller(obj, STORAGE))

    @property
    def again(self) -> float | None:
        return self.fights.again(STORAGE.name)

    def hold(self) -> Held:
        """Return what may be written of what differs."""
        snapshot = self.server.snapshot()
        made_by = replace(plane(self.version), core=replace(CORE, urls=(self.core,)))
        plan = plan_storage(STORAGE, made_by.desired(STORAGE, FACTS), snapshot)
        return self.fights.hold(STORAGE, snapshot, Plan(), plan)

    def look(self) -> list[str]:
        """Write what differs, as far as it may be; returns the writes."""
        self.server.writes.clear()
        writer = Writer(self.server.client, NAMESPACE, lambda _resource, _version: None)
        for write in self.hold().plan.writes:
            self.fights.wrote(STORAGE, write, writer.carry_out(write))
        return self.server.writes

    def scale(self, replicas: int = 7) -> None:
        self.server.edit(REPLICA_SETS, RS, lambda o: o["spec"].update(replicas=replicas))

    def fight(self, times: int, change: Callable[[], None] | None = None) -> list[float]:
        """Let somebody undo each mending at once; returns the times of ours."""
        written = []
        for _ in range(times):
            (change or self.scale)()
            while not self.look():
                again = self.again
                assert again
                self.clock.step(again)
            written.append(self.clock.monotonic() - 1000)
            assert self.look() == []  # Our own write is news as well.
        (change or self.scale)()
        assert self.look() == []
        return written


@pytest.fixture
def world() -> World:
    return World()


def test_a_change_is_mended_at_once_and_one_that_comes_again_and_again_ever_more_slowly(
    world: World,
) -> None:
    assert world.fight(12) == [0, 0, 0, 0, 0, 1, 3, 7, 15, 31, 63, 123]


def test_no_look_in_between_writes_anything(world: World) -> None:
    world.fight(5)
    for _ in range(100):
        assert world.look() == []


def test_a_fight_is_told_from_the_fifth_time_on_with_field_and_manager(world: World) -> None:
    manager = {
        "manager": "horizontal-scaler",
        "subresource": "scale",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }
    world.server.edit(REPLICA_SETS, RS, lambda o: o["metadata"].update(managedFields=[manager]))
    for _ in range(5):
        world.scale()
        assert world.hold().problem is None
        assert world.look() == [MEND_RS]
    world.scale()
    problem = world.hold().problem
    assert problem is not None
    assert (problem.reason, problem.passes) == ("DriftFight", False)
    assert f"horizontal-scaler keeps changing spec.replicas of ReplicaSet {RS}" in problem.message
    # The same words as long as it lasts.
    world.clock.step(1)
    assert world.look() == [MEND_RS]
    assert world.hold().problem == problem
    world.scale(9)
    assert world.hold().problem == problem


def test_a_fight_ends_when_the_other_one_stops(world: World) -> None:
    world.fight(5)
    world.clock.step(1)
    assert world.look() == [MEND_RS]
    assert world.hold().problem is not None
    assert world.again == 30
    world.clock.step(30)
    ended = world.hold()
    assert ended.problem is None
    assert world.fights.again(STORAGE.name) is None
    world.scale()
    assert world.look() == [MEND_RS]


def test_other_objects_and_other_fields_are_mended_meanwhile(world: World) -> None:
    world.fight(5)
    world.server.edit(SERVICES, SERVICE, lambda o: o["spec"].update(selector={"a": "b"}))
    assert world.look() == [MEND_SERVICE]
    world.server.edit(REPLICA_SETS, RS, lambda o: o["metadata"].update(labels={}))
    assert world.look() == [MEND_RS]


def test_what_is_undone_on_its_way_leaves_no_news_and_is_found_by_a_second_look() -> None:
    class Webhook(MemoryServer):
        def patch(self, resource: Any, name: str, body: Any, **kwargs: Any) -> Json:
            answer = super().patch(resource, name, body, **kwargs)
            return self.edit(resource, name, _scaled) if resource == REPLICA_SETS else answer

    def _scaled(obj: Json) -> None:
        obj["spec"]["replicas"] = 1

    world = World()
    server = Webhook()
    server._objects = world.server._objects
    world.server.edit(REPLICA_SETS, RS, _scaled)
    for picture, other in zip(
        server.pictures.values(), world.server.pictures.values(), strict=True
    ):
        picture.store.replace(other.store.list(), "500")
    server._revision = 500
    world.server, world.fights = server, Fights(server.client, NAMESPACE, world.clock)
    written = []
    while (held := world.hold()).problem is None:
        if world.look():
            written.append(world.clock.monotonic() - 1000)
        world.clock.step(world.again or 0)
    assert written == [0, 1, 2, 3, 4]
    assert "a webhook, a policy or another controller of our name keeps" in held.problem.message


def test_an_object_that_is_deleted_again_and_again_is_made_again_ever_more_slowly(
    world: World,
) -> None:
    def delete() -> None:
        world.server.remove(SERVICES, SERVICE)

    assert world.fight(7, delete) == [0, 0, 0, 0, 0, 1, 3]
    problem = world.hold().problem
    assert problem is not None
    assert f"somebody keeps deleting Service {SERVICE}" in problem.message


def test_what_a_new_storage_is_given_first_is_not_remembered(world: World) -> None:
    obj = world.server.peek(SERVICES, SERVICE)
    for storage, remembered in ((read(), set()), (STORAGE, {STORAGE.name})):
        world.fights.wrote(storage, Create(SERVICES, obj), obj)
        assert {name for name, of in world.fights._corrections.items() if of} == remembered


def test_our_own_change_of_mind_is_no_fight(world: World) -> None:
    """Also of the gate's files, of which the cache has digests."""
    for number in range(1, 6):
        world.version = number
        world.core = f"https://core-{number}:2379"
        assert world.look() == [MEND_RS]
        assert world.look() == []
    assert world.hold().problem is None


def test_a_template_in_a_fight_is_known_by_what_was_in_it(world: World) -> None:
    """The gate's files are in the patch, and only their digests in the cache."""
    world.version = 1
    world.look()
    for _ in range(10):
        assert world.again is None
        assert world.look() == []

    def spoil() -> None:
        def change(obj: Json) -> None:
            annotations = obj["spec"]["template"]["metadata"]["annotations"]
            obj["spec"]["template"]["metadata"]["annotations"] = dict.fromkeys(annotations, "x")

        world.server.edit(REPLICA_SETS, RS, change)

    # The first one is a news, unless it was just written.
    assert world.fight(8, spoil)[-3:] in ([0, 1, 3], [1, 3, 7])


def test_who_changes_two_things_of_a_field_in_turn_is_in_a_fight(world: World) -> None:
    names = itertools.cycle(("automountServiceAccountToken", "terminationGracePeriodSeconds"))

    def spoil() -> None:
        change = {next(names): None}
        world.server.edit(REPLICA_SETS, RS, lambda o: o["spec"]["template"]["spec"].update(change))

    # Each of the two is a news once.
    assert world.fight(8, spoil) == [0, 0, 0, 0, 0, 0, 1, 3]


def test_no_pod_is_evicted_by_a_number_of_pods_that_was_not_written(world: World) -> None:
    world.fight(5)
    snapshot = world.server.snapshot()
    patch = Patch(REPLICA_SETS, RS, {"spec": {"replicas": 2}})
    other = Patch(NETWORK_POLICIES, SERVICE, {"spec": {"ingress": []}})
    plan = Plan((other, patch, Evict("a", "uid", "7")))
    held = world.fights.hold(STORAGE, snapshot, Plan(), plan)
    assert held.plan.writes == (other,)
    world.clock.step(60)
    held = world.fights.hold(STORAGE, snapshot, Plan(), plan)
    assert held.plan == plan


def test_secrets_with_certificates_are_written_together_or_not_at_all(world: World) -> None:
    def secret(name: str, data: Json) -> Json:
        meta = {"name": name, "namespace": NAMESPACE}
        return {"metadata": meta, "type": "Opaque", "data": data}

    names = ("etcd-ca-etcd-name", "etcd-serving-etcd-name")
    for name in names:
        world.server.put(SECRETS, owned_by(STORAGE, secret(name, {"a": "eA=="})))

    def plan() -> tuple[Any, Plan]:
        authority, serving = (world.server.peek(SECRETS, name) for name in names)
        snapshot = replace(world.server.snapshot(), authority=authority, serving=serving)
        wanted = [secret(name, {"a": "eQ=="}) for name in names]
        pairs = zip((authority, serving), wanted, strict=True)
        return snapshot, plan_secrets(STORAGE, *pairs)

    snapshot, secrets = plan()
    assert len(secrets.writes) == 2
    for _ in range(5):
        assert world.fights.hold(STORAGE, snapshot, secrets, Plan()).secrets == secrets
        world.fights.wrote(STORAGE, secrets.writes[0], {"data": {"a": "eQ=="}})
    assert world.fights.hold(STORAGE, snapshot, secrets, Plan()).secrets == Plan()


def test_a_server_that_does_not_say_who_it_was_stops_nothing() -> None:
    class Silent(MemoryServer):
        def list(self, *_: Any, **__: Any) -> Json:
            raise ApiError(403, "Forbidden", "no")

    world = World()
    silent = Silent()
    world.fights = Fights(silent.client, NAMESPACE, world.clock)
    world.fight(5)
    problem = world.hold().problem
    assert problem is not None
    assert "spec.replicas" in problem.message


def test_storages_are_remembered_apart_and_forgotten(world: World) -> None:
    world.fight(5)
    assert world.hold().problem is not None
    world.fights.forget("another")
    assert world.hold().problem is not None
    world.fights.forget(STORAGE.name)
    assert world.look() == [MEND_RS]
    assert world.fights._corrections.keys() == {STORAGE.name}
    world.clock.step(600)
    world.hold()
    assert world.fights._corrections == {}


def test_a_roll_of_ours_is_no_fight_with_the_replica_set(world: World) -> None:
    """Up by one and back again, roll after roll."""
    uid = world.server.peek(REPLICA_SETS, RS)["metadata"]["uid"]
    for version in range(1, 6):
        world.version = version
        old = pod(f"old-{version}", "old", owner_uid=uid)
        world.server.put(PODS, old)
        assert world.look() == [MEND_RS]
        assert world.server.peek(REPLICA_SETS, RS)["spec"]["replicas"] == 3
        world.server.remove(PODS, f"old-{version}")
        assert world.look() == [MEND_RS]
        assert world.server.peek(REPLICA_SETS, RS)["spec"]["replicas"] == 2
        assert world.hold().problem is None
