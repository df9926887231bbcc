"""What a storage may do of its roll, with a slot and without one."""

from datetime import datetime, timedelta
from typing import Any

from controller.dataplane.rolling import PROGRESS_DEADLINE, Stage
from controller.edits import remarked
from controller.ownership import STORAGE_LABEL
from controller.plan import Evict, Patch, Snapshot
from controller.rollouts import LOOK, Rollouts
from controller.turn import Turn, can_roll, take_turn
from tests.support.clock import FakeClock
from tests.support.objects import (
    NOW,
    desired_of,
    owned_by,
    pod,
    read,
    replica_set_of_2018,
)

Json = dict[str, Any]

BEGAN = datetime.fromisoformat(NOW)
OLD, NEW = desired_of(version=0), desired_of(version=1)


def replica_set(version: int = 0, replicas: int = 2, **status: Any) -> Json:
    made = owned_by(read(replicas=replicas), desired_of(version=version).replica_set)
    made["metadata"].update(resourceVersion="7", uid="uid-rs", generation=1)
    counted = {"observedGeneration": 1, "readyReplicas": replicas}
    spec = {**made["spec"], "replicas": replicas}
    return {**made, "spec": spec, "status": {**counted, **status}}


def pods(*revisions: str, **fields: Any) -> tuple[Json, ...]:
    return tuple(
        pod(f"{n}", revision, owner_uid="uid-rs", **fields) for n, revision in enumerate(revisions)
    )


def turn(snapshot: Snapshot, *, slots: int = 1, minutes: float = 0.0, replicas: int = 2) -> Turn:
    rollouts = Rollouts(1, FakeClock(), lambda _: None)
    if not slots:
        assert rollouts.may_roll("another", "x", Stage.ROLLING)
    now = BEGAN + timedelta(minutes=minutes)
    return take_turn(rollouts, read(replicas=replicas), NEW, snapshot, now)


def test_with_a_slot_the_new_template_is_given() -> None:
    snapshot = Snapshot(replica_set=replica_set(), pods=pods(OLD.revision, OLD.revision))
    found = turn(snapshot)
    assert (found.stage, found.allowed, found.again) == (Stage.OUTDATED, True, LOOK)
    assert found.desired is NEW


def test_without_one_the_template_is_kept_and_everything_else_is_mended() -> None:
    snapshot = Snapshot(replica_set=replica_set(), pods=pods(OLD.revision, OLD.revision))
    found = turn(snapshot, slots=0, replicas=3)
    assert (found.stage, found.allowed, found.again) == (Stage.OUTDATED, False, None)
    assert found.desired.revision == OLD.revision
    assert (found.desired.objects, found.desired.endpoint) == (NEW.objects, NEW.endpoint)
    writes = found.plan(read(replicas=3), snapshot).writes
    (patch,) = [write for write in writes if isinstance(write, Patch)]
    assert patch.patch["spec"] == {"replicas": 3}


def test_without_one_no_pod_goes_in_the_middle_of_a_roll() -> None:
    running = replica_set(1, 3)
    snapshot = Snapshot(replica_set=running, pods=pods(OLD.revision, OLD.revision, NEW.revision))
    for slots, evictions in ((1, 1), (0, 0)):
        writes = turn(snapshot, slots=slots).plan(read(), snapshot).writes
        assert sum(isinstance(write, Evict) for write in writes) == evictions


def test_with_nothing_to_roll_no_slot_is_needed() -> None:
    stranger = replica_set()
    stranger["metadata"]["ownerReferences"][0]["uid"] = "another"
    for snapshot, stage in (
        (Snapshot(), Stage.NOTHING),
        (Snapshot(replica_set=stranger, pods=pods(OLD.revision)), Stage.NOTHING),
        (Snapshot(replica_set=replica_set(1), pods=pods(NEW.revision)), Stage.SETTLED),
    ):
        found = turn(snapshot, slots=0)
        assert (found.stage, found.allowed, found.again) == (stage, True, None)
        assert found.concerns(snapshot) == ()


def test_what_was_edited_is_restored_without_a_slot_and_rolled_with_one() -> None:
    edited = replica_set(1)
    edited["spec"]["template"]["spec"]["enableServiceLinks"] = True
    restored = remarked(NEW, edited)
    snapshot = Snapshot(replica_set=edited, pods=pods(NEW.revision, NEW.revision))
    rollouts = Rollouts(1, FakeClock(), lambda _: None)
    for holder in ("another", read().name):
        assert rollouts.may_roll(holder, "x", Stage.ROLLING)
        found = take_turn(rollouts, read(), restored, snapshot, BEGAN)
        assert (found.stage, found.allowed) == (Stage.NOTHING, True)
        writes = found.plan(read(), snapshot).writes
        (patch,) = [write for write in writes if isinstance(write, Patch)]
        assert patch.patch["spec"].keys() == {"template"}
        rollouts.leave("another")
    # Nobody waits for one that may never be restored.
    assert rollouts.may_roll("a third", "x", Stage.OUTDATED)
    rollouts.leave("a third")
    running = {**edited, "spec": {**edited["spec"], **restored.replica_set["spec"]}}
    snapshot = Snapshot(replica_set=running, pods=snapshot.pods)
    found = take_turn(rollouts, read(), restored, snapshot, BEGAN)
    assert (found.stage, found.allowed) == (Stage.ROLLING, True)


def test_what_is_not_ours_or_is_made_anew_is_not_rolled() -> None:
    storage, mine = read(), replica_set()
    assert can_roll(mine, NEW, storage)
    del mine["metadata"]["ownerReferences"]
    assert can_roll(mine, NEW, storage), "an orphan is adopted as it is"
    mine["metadata"]["labels"] = {STORAGE_LABEL: "other"}
    assert not can_roll(mine, NEW, storage)
    assert not can_roll(replica_set_of_2018(storage), NEW, storage)
    leaving = replica_set()
    leaving["metadata"]["deletionTimestamp"] = NOW
    assert not can_roll(leaving, NEW, storage)


def stuck(*more: Json, **status: Any) -> Snapshot:
    old = pods(OLD.revision, OLD.revision)
    return Snapshot(replica_set=replica_set(1, 3, **status), pods=(*old, *more))


def test_a_roll_that_waits_for_long_says_what_for() -> None:
    waiting = {
        "name": "gate",
        "image": "envoy:none",
        "state": {"waiting": {"reason": "ImagePullBackOff"}},
    }
    new = pod("new", NEW.revision, owner_uid="uid-rs", ready=False)
    new["metadata"]["creationTimestamp"] = NOW
    new["status"]["containerStatuses"] = [waiting]
    late = PROGRESS_DEADLINE.total_seconds() / 60
    assert turn(stuck(new), minutes=late - 0.1).concerns(stuck(new)) == ()
    found = turn(stuck(new), minutes=late)
    (problem,) = found.concerns(stuck(new))
    assert (problem.reason, problem.passes) == ("RolloutStuck", False)
    assert "envoy:none" in problem.message
    assert found.again == LOOK
    assert turn(stuck(new), slots=0, minutes=late).concerns(stuck(new)) == (), "it is queued"


def test_a_replica_set_that_cannot_make_pods_is_told_by_the_servers_words() -> None:
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "lastTransitionTime": NOW,
        "message": "exceeded quota",
    }
    snapshot = stuck(conditions=[{"type": "Other"}, failure])
    (problem,) = turn(snapshot, minutes=10).concerns(snapshot)
    assert "exceeded quota" in problem.message


def test_a_roll_whose_evictions_are_refused_points_to_where_that_is_told() -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": NOW}
    new = pod("new", NEW.revision, owner_uid="uid-rs", status={"conditions": [ready]})
    new["metadata"]["creationTimestamp"] = NOW
    (problem,) = turn(stuck(new), minutes=10).concerns(stuck(new))
    assert "Progressing" in problem.message
