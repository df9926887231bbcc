"""Our own writes and caches that are behind them, each kind by its own number of events.

The caches move, others write and the controller looks at any moment and in any order. A write of
ours may be refused, or a status be untrue, only because somebody else wrote what the caches do not
show yet: of our own writes none is ever made twice, overlooked or taken back.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from controller.api.conditions import find_condition
from controller.api.storage import read_storage
from controller.consistency import CacheBehind
from controller.dataplane.names import object_name
from controller.events import Event, Subject
from controller.fights import Fights
from controller.ownership import controller_of
from controller.plan import Plan, Snapshot, conflicts, plan_storage
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, REPLICA_SETS, SECRETS, SERVICES
from controller.rollouts import Rollouts
from controller.watches import OF_EVERY_STORAGE
from controller.writer import is_stale
from informers import ApiError, ConnectionFailed, Resource
from tests.support.clock import FakeClock
from tests.support.memoryserver import WATCHED, MemoryServer
from tests.support.objects import (
    NAME,
    NAMESPACE,
    core_config_map,
    core_secret,
    desired_of,
    etcd_storage,
    plane,
)
from tests.support.reconcilers import reconciler

Json = dict[str, Any]

RS, SERVICE = f"etcd-rs-{NAME}", f"etcd-{NAME}"
STATUS = f"patch EtcdStorage/status {NAME}"
OBJECTS = {resource: object_name(resource, NAME) for resource in OF_EVERY_STORAGE}
CREATIONS = [
    f"create NetworkPolicy {SERVICE}",
    f"create PodDisruptionBudget {SERVICE}",
    f"create Service {SERVICE}",
    f"create ReplicaSet {RS}",
]
KINDS = st.sampled_from([ETCD_STORAGES, *OF_EVERY_STORAGE, CONFIG_MAPS])
STEPS = st.integers(1, 4)


class Silent:
    def record(self, storage: Subject, event: Event) -> None:
        pass


class Server(MemoryServer):
    """Loses the answer to one write, which it carries out, once `losing` more have gone well."""

    losing: int | None = None

    def create(self, *args: Any, **options: Any) -> Json:
        return self._answer(super().create(*args, **options))

    def patch(self, *args: Any, **options: Any) -> Json:
        return self._answer(super().patch(*args, **options))

    def _answer(self, obj: Json) -> Json:
        if self.losing is None:
            return obj
        self.losing -= 1
        if self.losing < 0:
            raise ConnectionFailed("https://server", "lost", dropped=True)
        return obj


class World:
    """One storage, and its controller, whose caches hear of nothing until they are told to."""

    def __init__(self) -> None:
        self.server = Server()
        self.unexpected: set[str] = set()
        """Versions that the controller cannot know of: others wrote them, or no answer came."""
        self.made = 0
        self.version = 0
        self.clock = FakeClock()
        # Later than any storage is called new, so that whether it exists is always asked.
        made = reconciler(self.server, Silent(), lambda: datetime(2026, 1, 3, tzinfo=UTC))
        self.reconciler = replace(
            made,
            dataplane=plane(),
            rollouts=Rollouts(1, FakeClock(), lambda _: None),
            fights=Fights(self.server.client, NAMESPACE, self.clock),
        )
        self.server.put(CONFIG_MAPS, core_config_map())
        self.server.put(SECRETS, core_secret())
        self.server.lagging |= set(WATCHED)
        self.make_storage()

    # What others do.

    def make_storage(self) -> None:
        self.made += 1
        with self:
            self.server.put(ETCD_STORAGES, etcd_storage(meta={"uid": f"uid-{self.made}"}))

    def __enter__(self) -> None:
        self._before = self.server._revision

    def __exit__(self, *_: object) -> None:
        """Note what was written meanwhile as unexpected."""
        written = range(self._before + 1, self.server._revision + 1)
        self.unexpected |= {str(version) for version in written}

    def has(self, resource: Resource) -> bool:
        return bool(self.server.all(resource))

    def collect(self) -> None:
        """Delete what belongs to a storage that is gone, as the garbage collector does."""
        live = {obj["metadata"]["uid"] for obj in self.server.all(ETCD_STORAGES)}
        for resource, name in OBJECTS.items():
            for obj in self.server.all(resource):
                if (controller_of(obj) or {}).get("uid", "") not in {*live, ""}:
                    self.server.remove(resource, name)

    # What the controller does.

    def unheard(self) -> bool:
        """Whether a cache does not show yet what the controller cannot know of."""
        pending = (obj for picture in self.server.pictures.values() for _, obj in picture.pending)
        return any(obj["metadata"]["resourceVersion"] in self.unexpected for obj in pending)

    def reconcile(self) -> list[str]:
        """Look once, whatever comes of it; returns the writes."""
        excused = self.unheard()
        self.server.writes.clear()
        self.server.bodies.clear()
        refused = ""
        self.clock.step(60)  # Whoever fights with others waits for so long at most.
        try:
            self.reconciler.reconcile(NAME)
        except CacheBehind:
            assert self.server.writes == []
            assert any(picture.pending for picture in self.server.pictures.values())
            excused = True  # It says nothing, even if another release would have to.
        except ConnectionFailed:
            self.unexpected.add(str(self.server._revision))
            excused = True
        except ApiError as error:
            refused = "" if is_stale(error) and excused else f"{self.server.writes}: {error}"
            excused = True
        assert not refused
        assert excused or self.truthful()
        self.check_guards()
        return [*self.server.writes]

    def check_guards(self) -> None:
        """Whether no write could have undone a newer one, or was for a storage that is gone."""
        for write, body in zip(self.server.writes, self.server.bodies, strict=True):
            if write.startswith("patch"):
                assert body["metadata"]["resourceVersion"]
            else:
                (owner,) = body["metadata"]["ownerReferences"]
                live = self.server.peek(ETCD_STORAGES, NAME)
                assert owner["uid"] == live["metadata"]["uid"]

    def truthful(self) -> bool:
        """Whether what the status calls Deployed is so."""
        if not self.has(ETCD_STORAGES):
            return True
        storage = self.server.peek(ETCD_STORAGES, NAME)
        status = storage.get("status", {})
        deployed = find_condition(status, "Deployed") or {}
        current = status.get("observedGeneration") == storage["metadata"]["generation"]
        return deployed.get("status") != "True" or not current or self.as_desired()

    def as_desired(self) -> bool:
        """Whether nothing is left to be written, going by the server itself."""
        found = {resource: self.server.all(resource) for resource in OBJECTS}
        there = {resource: objects[0] for resource, objects in found.items() if objects}
        storage = read_storage(self.server.peek(ETCD_STORAGES, NAME))
        snapshot = Snapshot(there.pop(REPLICA_SETS, None), there)
        plan = plan_storage(storage, desired_of(storage, version=self.version), snapshot)
        return plan == Plan() and not conflicts(storage, snapshot)

    def update(self, version: int) -> None:
        """Go on as a later release, which makes other pods."""
        self.version = version
        self.reconciler = replace(self.reconciler, dataplane=plane(version))

    def settle(self) -> None:
        """Let the caches catch up: soon everything is as it should be, and stays so."""
        self.server.losing = None
        if not self.has(ETCD_STORAGES):
            self.make_storage()
        for _ in range(4):
            self.collect()
            self.server.catch_up()
            self.reconcile()
        self.server.catch_up()
        assert self.as_desired()
        assert self.truthful()
        assert self.reconcile() == []
        status = self.server.peek(ETCD_STORAGES, NAME)["status"]
        assert (find_condition(status, "Deployed") or {})["status"] == "True"
        assert self.reconciler.consistency.waiting() == {}


MOVES = st.lists(st.one_of(st.none(), st.tuples(KINDS, STEPS)), max_size=20)
"""In any order: None for a look of the controller, else a cache and the events that it hears."""


@given(MOVES, MOVES)
@settings(max_examples=50, deadline=None)
def test_each_write_is_made_once_however_far_the_caches_are_behind(
    first: list[tuple[Resource, int] | None], second: list[tuple[Resource, int] | None]
) -> None:
    world = World()
    world.server.catch_up()
    for moves, promised in (
        (first, [*CREATIONS, STATUS]),
        (second, [f"patch ReplicaSet {RS}", STATUS]),
    ):
        written = []
        for move in moves:
            if move is None:
                written += world.reconcile()
            else:
                resource, steps = move
                world.server.pictures[resource].catch_up(steps)
        for _ in range(3):
            world.server.catch_up()
            written += world.reconcile()
        assert written == promised
        with world:
            world.server.edit(ETCD_STORAGES, NAME, lambda obj: obj["spec"].update(replicas=5))
        world.server.catch_up(ETCD_STORAGES)


class ConsistencyMachine(RuleBasedStateMachine):
    """Anything at any moment; `World.reconcile` looks at what comes of it."""

    world: World

    @initialize(deployed=st.booleans())
    def begin(self, *, deployed: bool) -> None:
        self.world = World()
        if deployed:
            self.world.settle()

    @rule()
    def reconcile(self) -> None:
        self.world.reconcile()

    @rule(resource=KINDS, steps=STEPS)
    def hear(self, resource: Resource, steps: int) -> None:
        self.world.server.pictures[resource].catch_up(steps)

    @rule(losing=st.integers(0, 2))
    def lose_an_answer(self, losing: int) -> None:
        self.world.server.losing = losing
        self.world.reconcile()
        self.world.server.losing = None

    @rule()
    def catch_up(self) -> None:
        self.world.server.catch_up()

    @precondition(lambda self: self.world.has(ETCD_STORAGES))
    @rule(replicas=st.integers(1, 3))
    def scale(self, replicas: int) -> None:
        def change(obj: Json) -> None:
            obj["spec"]["replicas"] = replicas

        with self.world:
            self.world.server.edit(ETCD_STORAGES, NAME, change)

    @rule(version=st.integers(0, 2))
    def update_the_controller(self, version: int) -> None:
        self.world.update(version)

    @rule(resource=st.sampled_from([*OBJECTS]), how=st.sampled_from(["spec", "note", "orphan"]))
    def meddle(self, resource: Resource, how: str) -> None:
        def change(obj: Json) -> None:
            if how == "note":
                obj["metadata"]["annotations"] = {"at": str(self.world.server._revision)}
            elif how == "orphan":
                obj["metadata"].pop("ownerReferences", None)
            elif resource == SERVICES:
                obj["spec"]["selector"] = {"app": "other"}
            else:
                obj["spec"]["replicas"] = 7

        if self.world.has(resource):
            with self.world:
                self.world.server.edit(resource, OBJECTS[resource], change)

    @rule(resource=st.sampled_from([*OBJECTS]))
    def delete(self, resource: Resource) -> None:
        if self.world.has(resource):
            with self.world:
                self.world.server.remove(resource, OBJECTS[resource])

    @rule(again=st.booleans())
    def delete_the_storage(self, *, again: bool) -> None:
        if self.world.has(ETCD_STORAGES):
            with self.world:
                self.world.server.remove(ETCD_STORAGES, NAME)
        if again:
            self.world.make_storage()

    @rule()
    def collect(self) -> None:
        with self.world:
            self.world.collect()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()


TestConsistency = ConsistencyMachine.TestCase
TestConsistency.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
