"""Whole rolls, with everything in between that a real cluster puts there.

The plan and its step run on pictures that are behind the truth by any number of changes; the
ReplicaSet controller and the kubelet make their moves at any moment; the controller is stopped
between any two writes; revisions and numbers change in the middle, and somebody edits the template
under its revision.
"""

import random
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.consistency import CacheBehind, ConsistencyStore
from controller.dataplane.rolling import is_ready, pod_revision, same_template
from controller.edits import remarked
from controller.ownership import overlay
from controller.plan import Create, Delete, Evict, Patch, Plan, Write, plan_storage
from controller.resources import PODS, REPLICA_SETS, SERVICES
from controller.writer import Writer, is_stale
from informers import ApiError
from tests.support.clock import FakeClock
from tests.support.memoryserver import MemoryServer
from tests.support.objects import NAME, NAMESPACE, desired_of, read
from tests.support.replicasets import ReplicaSets

Json = dict[str, Any]

RS, SERVICE = "etcd-rs-etcd-name", "etcd-etcd-name"


class Roll:
    """A storage of `replicas` pods, all ready, whose revision can be changed."""

    def __init__(self, replicas: int) -> None:
        self.server = MemoryServer()
        self.replicas = replicas
        self.bundles = 0
        self.scaled = False
        """With fewer pods asked for, nobody chooses which of those at rest are deleted."""
        self.writes = 0
        """Those that changed something: a repeated eviction of one pod is none."""
        self.consistency = ConsistencyStore({PODS: self.server.pictures[PODS].store}, FakeClock())
        for write in self.plan().writes:
            self.carry_out(write)
        self.sets = ReplicaSets(self.server, RS)
        self.sets.settle()
        self.writes = 0

    @property
    def revision(self) -> str:
        return desired_of(version=self.bundles).revision

    def new_revision(self) -> None:
        self.bundles += 1

    def plan(self) -> Plan:
        storage = read(replicas=self.replicas)
        snapshot = self.server.snapshot()
        desired = remarked(desired_of(storage, version=self.bundles), snapshot.replica_set)
        return plan_storage(storage, desired, snapshot)

    def edit(self) -> None:
        """Let somebody change what pods are made of, and nothing that tells it."""

        def change(obj: Json) -> None:
            (gate,) = obj["spec"]["template"]["spec"]["containers"]
            gate["image"] = "of somebody else"

        self.server.edit(REPLICA_SETS, RS, change)

    def reconcile(self, stop_after: int = 99) -> None:
        """Carry a plan out until a write is refused or the program stops."""
        with suppress(CacheBehind):
            self.consistency.ensure_ready(NAME)
            self._reconcile(stop_after)

    def _reconcile(self, stop_after: int) -> None:
        for write in self.plan().writes[:stop_after]:
            try:
                self.carry_out(write)
            except ApiError as error:
                if not is_stale(error):
                    raise
                break

    def carry_out(self, write: Write) -> None:
        server, before = self.server, self.server._revision
        match write:
            case Create(resource, obj):
                server.create(resource, obj, NAMESPACE)
            case Patch(resource, name, patch):
                server.patch(resource, name, patch, namespace=NAMESPACE)
            case Evict():
                self.evict(write)
            case Delete():
                pytest.fail(f"nothing here is to be deleted: {write}")
        self.writes += server._revision != before

    def evict(self, write: Evict) -> None:
        served = self.server.peek(PODS, write.name) if self.has(write.name) else {}
        assert self.sets.knows(self.revision), f"{write.name} comes back as it is"
        wrote = partial(self.consistency.wrote_at, NAME)
        Writer(self.server.client, NAMESPACE, wrote).carry_out(write)
        if served and self.sets.is_able(served) and not self.scaled:
            assert self.sets.able() >= self.replicas, f"{write.name} would have served again"
        if served and is_ready(served):
            left = self.sets.ready()
            assert left >= self.replicas, f"{write.name} was needed: {left} of {self.replicas}"

    def has(self, pod: str) -> bool:
        return any(obj["metadata"]["name"] == pod for obj in self.server.all(PODS))

    def done(self) -> bool:
        alive, spec = self.sets.alive(), self.server.peek(REPLICA_SETS, RS)["spec"]
        desired = desired_of(version=self.bundles).replica_set["spec"]["template"]
        template = spec["template"]
        return (
            len(alive) == self.replicas
            and all(is_ready(pod) and pod_revision(pod) == pod_revision(template) for pod in alive)
            and all(pod["spec"] == template["spec"] for pod in alive)
            and template["spec"] == overlay(template["spec"], desired["spec"])
            and same_template(pod_revision(template), self.revision)
            and spec["replicas"] == self.replicas
        )

    def finish(self) -> None:
        """Let time pass with nothing more in the way."""
        for _ in range(4 * 9 + 10):
            self.server.catch_up()
            if self.done() and not self.plan().writes:
                return
            self.reconcile()
            self.sets.settle()
        pytest.fail(f"not at its end: {self.plan()}")


def finish_without_a_gap(roll: Roll, replicas: int) -> None:
    """Roll to the end; never are fewer ready than there are to be."""
    for _ in range(4 * replicas + 10):
        roll.reconcile()
        assert roll.sets.ready() >= replicas
        roll.sets.settle()
        assert roll.sets.ready() >= replicas


@pytest.mark.parametrize("replicas", [1, 2, 3, 5, 9])
def test_a_roll_costs_as_few_writes_as_promised(replicas: int) -> None:
    roll = Roll(replicas)
    roll.new_revision()
    while writes := roll.plan().writes:
        for write in writes:
            roll.carry_out(write)
            assert roll.sets.ready() >= replicas
        roll.sets.settle()
    assert roll.done()
    assert roll.writes in {replicas + 2, replicas + 3}


@pytest.mark.parametrize("replicas", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("seed", range(4))
def test_never_fewer_ready_than_asked_for_in_any_order_of_moves(replicas: int, seed: int) -> None:
    rng = random.Random(seed)
    roll = Roll(replicas)
    server = roll.server
    server.lagging |= {PODS, REPLICA_SETS, SERVICES}
    roll.new_revision()
    for _ in range(10_000):
        move = rng.randrange(8)
        if move == 0:
            roll.reconcile(stop_after=rng.randint(0, 2))
        elif move < 3:
            server.pictures[rng.choice((PODS, REPLICA_SETS))].catch_up(rng.randint(1, 3))
        else:
            roll.sets.move(rng.randrange(6), rng.randrange(9))
        assert roll.sets.ready() >= replicas
        if roll.done():
            break
    assert roll.done()
    assert roll.writes in {replicas + 2, replicas + 3}
    roll.finish()
    assert roll.writes in {replicas + 2, replicas + 3}


@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_no_pod_is_deleted_for_one_that_the_replica_set_controller_takes_to_be_there(
    replicas: int,
) -> None:
    """It hears of a number of replicas sooner than of the pod that went before."""
    roll = Roll(replicas)
    roll.new_revision()
    for _ in range(4 * replicas + 10):
        roll.reconcile()
        roll.reconcile()
        roll.sets.look()
        roll.sets.manage_late()
        assert roll.sets.ready() >= replicas
        roll.sets.settle()
        assert roll.sets.ready() >= replicas
    assert roll.done()
    assert roll.writes in {replicas + 2, replicas + 3}


@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_a_revision_that_never_gets_ready_costs_nothing_and_mends(replicas: int) -> None:
    roll = Roll(replicas)
    roll.new_revision()
    roll.sets.broken.add(roll.revision)
    for _ in range(20):
        roll.reconcile()
        roll.sets.settle()
        assert roll.sets.ready() == replicas
    stuck = [pod for pod in roll.sets.alive() if not is_ready(pod)]
    assert [pod_revision(pod) for pod in stuck] == [roll.revision]
    assert roll.plan().writes == ()
    assert roll.writes == 1

    roll.new_revision()
    finish_without_a_gap(roll, replicas)
    assert roll.done()


def test_a_revision_that_is_taken_back_ends_where_it_began() -> None:
    roll = Roll(3)
    roll.new_revision()
    roll.sets.broken.add(roll.revision)
    roll.reconcile()
    roll.sets.settle()
    roll.bundles -= 1
    roll.finish()
    assert all(pod["status"]["made"] <= 3 for pod in roll.sets.alive())


@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_pods_made_of_a_template_that_was_edited_are_rolled(replicas: int) -> None:
    """One dies before the template is restored, and what comes in its place looks like ours."""
    roll = Roll(replicas)
    roll.edit()
    roll.server.remove(PODS, roll.sets.alive()[0]["metadata"]["name"])
    roll.sets.settle()
    theirs = [p for p in roll.sets.alive() if "somebody else" in str(p["spec"])]
    assert len(theirs) == 1
    finish_without_a_gap(roll, replicas)
    assert roll.done()
    assert roll.plan().writes == ()


def test_nothing_is_rolled_by_a_template_that_does_not_hold() -> None:
    roll = Roll(2)
    for _ in range(5):
        roll.edit()
        (restored,) = roll.plan().writes
        assert isinstance(restored, Patch)
        roll.carry_out(restored)
        roll.edit()
    assert roll.server.peek(REPLICA_SETS, RS)["spec"]["replicas"] == 2
    roll.finish()


def lagging_roll(replicas: int) -> Roll:
    roll = Roll(replicas)
    roll.server.lagging |= {PODS, REPLICA_SETS, SERVICES}
    return roll


def let_the_replica_set_act(roll: Roll) -> None:
    """Let its controller act and us hear of that, while news of pods are late."""
    roll.sets.look()
    roll.sets.manage()
    roll.sets.observe()
    roll.server.catch_up(REPLICA_SETS)


def test_pods_that_got_ready_behind_the_cache_are_not_taken_for_broken_ones() -> None:
    roll = lagging_roll(1)
    roll.replicas = 5
    roll.reconcile()
    let_the_replica_set_act(roll)
    roll.server.catch_up()
    roll.sets.settle()
    assert roll.sets.ready() == 5
    roll.new_revision()
    for _ in range(3):
        roll.server.catch_up(REPLICA_SETS)
        roll.reconcile()
        let_the_replica_set_act(roll)
        assert roll.sets.ready() == 5
    roll.finish()


def test_pods_that_were_scaled_away_behind_the_cache_are_not_counted() -> None:
    roll = lagging_roll(2)
    roll.new_revision()
    roll.reconcile()
    roll.sets.settle()
    roll.server.catch_up()
    # All three are ready, and known to be. Now one goes and another comes, unheard of.
    for replicas in (1, 2):
        roll.replicas = replicas
        roll.reconcile(stop_after=1)
        let_the_replica_set_act(roll)
    assert roll.sets.ready() == 2
    roll.reconcile()
    assert roll.sets.ready() == 2
    roll.finish()


@pytest.mark.parametrize("replicas", [1, 2, 5])
@pytest.mark.parametrize("behind", [False, True])
def test_a_rest_of_all_pods_costs_none_that_would_serve_again(replicas: int, behind: bool) -> None:  # noqa: FBT001 - a column
    """The core restarts in the middle of a roll to a revision that never works, and is mended."""
    roll = Roll(replicas)
    for broken in (True, False):
        roll.new_revision()
        if broken:
            roll.sets.broken.add(roll.revision)
        roll.reconcile()
        if behind:
            roll.sets.settle()
        roll.sets.rest()
        for _ in range(5):
            roll.reconcile()
            assert roll.sets.able() >= replicas
            roll.sets.look()
            roll.sets.manage()
            roll.sets.observe()
            assert roll.sets.able() >= replicas
    roll.finish()


ACTS = ("reconcile", "look", "manage", "ready", "observe", "finish", "hear sets", "hear pods")


class History:
    """Rounds in which everybody acts in turn, but for one who is slow and some who come between.

    A walk by a seed and no machine of drawn rules: rules drawn one by one hardly ever reach an
    eviction, so that none of the guards of a step could be taken away from it and be missed.
    """

    def __init__(self, seed: int, replicas: int) -> None:
        self.rng = random.Random(seed)
        self.roll = Roll(replicas)
        self.roll.server.lagging |= {PODS, REPLICA_SETS, SERVICES}
        self.slow = ""
        self.more = self.rng.choice(((), ("scale", "scale", "scale")))

    def let_time_pass(self) -> None:
        for act in ACTS:
            if act != self.slow or self.rng.random() < 0.2:
                self.act(act)
            if self.rng.random() < 0.1:
                self.act(self.rng.choice(ACTS))
        assert len(self.roll.sets.alive()) <= 5 + 1

    def act(self, act: str) -> None:
        roll, sets = self.roll, self.roll.sets
        match act:
            case "reconcile":
                roll.reconcile(self.rng.choice((1, 2, 99, 99)))
            case "hear pods":
                roll.server.pictures[PODS].catch_up(self.rng.choice((1, 2, 3, None)))
            case "hear sets":
                roll.server.pictures[REPLICA_SETS].catch_up(self.rng.choice((1, 2, None)))
            case "ready":
                for _ in sets.alive():
                    sets.make_ready(self.rng.randrange(9))
            case _:
                getattr(sets, act)()

    def change(self) -> None:
        """Let something happen to the storage, or to all pods for a while."""
        self.slow = self.rng.choice(ACTS)
        what = self.rng.choice(("revision", "revision", "broken", "rest", "edit", *self.more))
        match what:
            case "scale":
                self.roll.replicas = self.rng.choice((1, 2, 3))
                self.roll.scaled = True
            case "rest":
                self.roll.sets.rest()
            case "edit":
                self.roll.edit()
            case _:
                self.roll.new_revision()
        if what == "broken":
            self.roll.sets.broken.add(self.roll.revision)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), replicas=st.sampled_from([1, 2, 3]))
def test_anything_at_any_moment_costs_nobody_a_pod_and_ends_well(seed: int, replicas: int) -> None:
    """`Roll.evict` looks at what each eviction takes away."""
    history = History(seed, replicas)
    for _ in range(5):
        history.change()
        for _ in range(history.rng.randint(1, 7)):
            history.let_time_pass()
    # Only now, when nothing more comes between: it ends well from wherever it stands.
    history.roll.sets.broken.clear()
    history.roll.finish()
