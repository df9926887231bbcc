"""Single steps of a roll; whole rolls are in tests/property/test_rolling.py."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.dataplane.interface import REVISION_LABEL
from controller.dataplane.rolling import (
    PROGRESS_DEADLINE,
    RollingStep,
    Stage,
    is_ready,
    is_rolling,
    is_terminating,
    pod_revision,
    pods_of,
    progressed_at,
    rolling_step,
    stage,
)
from tests.support.objects import NOW, pod

Json = dict[str, Any]


def replica_set(
    replicas: int,
    revision: str | None = "new",
    *,
    observed: int | None = 3,
    ready: int | None = None,
) -> Json:
    labels = {REVISION_LABEL: revision} if revision else {}
    counted = replicas if ready is None else ready
    return {
        "metadata": {"generation": 3},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": labels}}},
        "status": {}
        if observed is None
        else {"observedGeneration": observed, "replicas": replicas, "readyReplicas": counted},
    }


def step(rs: Json | None, *pods: Json, replicas: int = 2) -> tuple[int, list[str]]:
    found = rolling_step(rs, pods, revision="new", replicas=replicas)
    return found.replicas, [p["metadata"]["name"] for p in found.evict]


OLD = [pod("old-a", "old"), pod("old-b", "old")]


def test_before_there_is_anything() -> None:
    assert step(None) == (2, [])
    assert rolling_step(None, OLD, revision="new", replicas=2) == RollingStep(2)


def test_with_pods_of_the_revision_only_there_is_nothing_to_roll() -> None:
    assert step(replica_set(2), pod("a"), pod("b", ready=False)) == (2, [])


def test_an_old_pod_asks_for_one_pod_more_and_evicts_none_yet() -> None:
    assert step(replica_set(2, "old"), *OLD) == (3, [])
    assert step(replica_set(2), *OLD) == (3, [])
    assert step(replica_set(3), *OLD) == (3, [])


def test_with_the_surge_ready_one_old_pod_goes() -> None:
    assert step(replica_set(3), *OLD, pod("new-a")) == (3, ["old-a"])


def test_the_victim_is_the_same_in_any_order_of_the_cache() -> None:
    assert step(replica_set(3), pod("new-a"), *reversed(OLD)) == (3, ["old-a"])


def test_while_the_surge_is_not_ready_nobody_goes() -> None:
    assert step(replica_set(3), *OLD, pod("new-a", ready=False)) == (3, [])


def test_while_an_evicted_pod_ends_and_before_it_is_refilled_nobody_goes() -> None:
    ending = pod("old-a", "old", terminating=True)
    assert step(replica_set(3), ending, OLD[1], pod("new-a")) == (3, [])
    assert step(replica_set(3), ending, OLD[1], pod("new-a"), pod("new-b")) == (3, ["old-b"])


def test_more_pods_than_wanted_are_awaited_not_evicted() -> None:
    assert step(replica_set(3), *OLD, pod("new-a"), pod("new-b")) == (3, [])


@pytest.mark.parametrize("seen", [replica_set(3, observed=2), replica_set(3, observed=None)])
def test_no_pod_goes_before_the_replica_set_controller_knows_the_template(seen: Json) -> None:
    assert step(seen, *OLD, pod("new-a")) == (3, [])
    assert step(seen, pod("old-a", "old", ready=False), OLD[1]) == (3, [])


def test_no_pod_goes_before_the_replica_set_controller_has_counted_all_of_them_ready() -> None:
    assert step(replica_set(3, ready=2), *OLD, pod("new-a")) == (3, [])
    assert step(replica_set(3, ready=3), *OLD, pod("new-a")) == (3, ["old-a"])
    # Asked for two again meanwhile, by somebody, it is about to delete one of the three.
    assert step(replica_set(2, ready=3), *OLD, pod("new-a")) == (3, [])


def test_no_pod_goes_while_the_template_is_the_old_one() -> None:
    assert step(replica_set(3, "old"), *OLD, pod("old-c", "old", ready=False)) == (3, [])


def broken(name: str, revision: str = "old", made: str = NOW) -> Json:
    found = pod(name, revision, ready=False)
    return {**found, "metadata": {**found["metadata"], "creationTimestamp": made}}


def test_old_pods_that_serve_nobody_go_first_and_need_nobody_to_count_them() -> None:
    assert step(replica_set(3, ready=2), OLD[0], broken("old-b"), pod("a")) == (3, ["old-b"])
    assert step(replica_set(2), broken("old-a"), broken("old-b"), pod("a")) == (3, ["old-b"])


def test_the_youngest_of_those_that_serve_nobody_goes_first() -> None:
    """It is the one of a revision that never worked; the others did, and may again."""
    stuck = broken("old-b", "stuck", "2026-01-02T03:04:06Z")
    resting = [broken("old-a"), broken("old-c")]
    assert step(replica_set(3), *resting, stuck) == (3, ["old-b"])
    assert step(replica_set(3), OLD[0], OLD[1], stuck) == (3, ["old-b"])


def test_with_a_new_pod_that_is_not_ready_nobody_goes_whatever_becomes_of_the_others() -> None:
    """All are unready while the core restarts, and the new revision may never be ready."""
    stuck = pod("new-a", ready=False)
    assert step(replica_set(3), broken("old-a"), broken("old-b"), stuck) == (3, [])
    assert step(replica_set(3), broken("old-a"), pod("new-b"), stuck) == (3, [])


def test_none_of_those_that_serve_nobody_goes_before_the_surge_is_there() -> None:
    """The ReplicaSet makes a new pod anyway, which shows whether the new revision works."""
    assert step(replica_set(3), broken("old-a"), broken("old-b")) == (3, [])


def test_a_pod_from_before_revisions_is_old() -> None:
    assert step(replica_set(3), pod("a", None), pod("b"), pod("c")) == (3, ["a"])


def test_with_the_last_old_pod_ending_the_surge_is_taken_back() -> None:
    ending = pod("old-a", "old", terminating=True)
    assert step(replica_set(3), ending, pod("a"), pod("b"), pod("c")) == (2, [])


def test_the_surge_stays_while_the_replica_set_controller_counts_a_pod_that_has_gone() -> None:
    """To have one less it would delete one that serves; so it fills the gap first."""
    new = [pod("a"), pod("b")]
    assert step(replica_set(3), *new) == (3, [])
    assert step(replica_set(3), *new, pod("old-a", "old", terminating=True)) == (3, [])
    assert step(replica_set(3), *new, pod("c", ready=False)) == (2, [])
    # It has counted two: a quota may keep it from making the third.
    counted = replica_set(3)
    counted["status"]["replicas"] = 2
    assert step(counted, *new) == (2, [])
    # To ask for more does no harm.
    assert step(replica_set(3), *new, replicas=4) == (4, [])


def test_a_pod_that_ended_by_itself_counts_for_nothing() -> None:
    for phase in ("Failed", "Succeeded"):
        ended = pod("old-c", "old", status={"phase": phase})
        assert is_terminating(ended)
        assert step(replica_set(3), *OLD, ended, pod("new-a")) == (3, ["old-a"])


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({"conditions": [{"type": "Ready", "status": "True"}]}, True),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, False),
        ({"conditions": [{"type": "Ready", "status": "Unknown"}]}, False),
        ({"conditions": [{"type": "ContainersReady", "status": "True"}]}, False),
        ({"conditions": None}, False),
        ({"phase": "Failed", "conditions": [{"type": "Ready", "status": "True"}]}, False),
    ],
)
def test_readiness_is_what_services_go_by(status: Json, ready: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_ready(pod("a", status=status)) is ready


def test_a_pod_without_a_status_is_not_ready() -> None:
    bare = {"metadata": {"name": "a"}}
    assert not is_ready(bare)
    assert not is_terminating(bare)
    assert pod_revision(bare) is None
    assert not is_ready(pod("a", terminating=True))


def test_the_pods_of_a_replica_set_are_those_that_it_controls() -> None:
    mine, other, nobodys = pod("a"), pod("b", owner_uid="uid-other"), pod("c")
    del nobodys["metadata"]["ownerReferences"]
    rs = {"metadata": {"uid": mine["metadata"]["ownerReferences"][0]["uid"]}}
    assert pods_of(rs, [mine, other, nobodys]) == [mine]
    assert pods_of(None, [mine]) == []


def test_a_roll_is_seen_by_the_pods_that_are_not_of_the_running_template() -> None:
    assert not is_rolling(replica_set(2), [pod("a"), pod("b")])
    assert is_rolling(replica_set(3), [pod("a"), OLD[0]])
    assert not is_rolling(replica_set(3), [pod("a"), pod("b", "old", terminating=True)])


# How far a roll is, and since when nothing comes of it.

BEGAN = datetime.fromisoformat(NOW)


def at(minutes: float) -> str:
    return (BEGAN + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def made(name: str, minutes: float, revision: str = "new", *, ready: float | None = None) -> Json:
    """A pod that was made, and got ready, so many minutes after the beginning."""
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": at(minutes + 90)}
    if ready is not None:
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": at(ready)}
    found = pod(name, revision, status={"conditions": [condition]})
    return {**found, "metadata": {**found["metadata"], "creationTimestamp": at(minutes)}}


def failing(since: float, status: str = "True") -> Json:
    """A ReplicaSet that cannot make pods."""
    rs = replica_set(3)
    failure = {"type": "ReplicaFailure", "status": status, "lastTransitionTime": at(since)}
    return {**rs, "status": {**rs["status"], "conditions": [failure]}}


@pytest.mark.parametrize(
    ("rs", "pods", "since"),
    [
        (replica_set(3), OLD, None),
        (replica_set(3), [*OLD, made("a", 1)], 1),
        (replica_set(3), [*OLD, made("a", 1, ready=2)], 2),
        (replica_set(3), [OLD[0], made("a", 1, ready=2), made("b", 4)], 4),
        # Whatever becomes of old pods is no progress.
        (replica_set(3), [made("old", 50, "old", ready=60), made("a", 1)], 1),
        (failing(3), OLD, 3),
        (failing(3, "False"), OLD, None),
        (failing(3), [*OLD, made("a", 1)], 1),
    ],
)
def test_progress_is_a_new_pod_made_or_got_ready(
    rs: Json, pods: list[Json], since: float | None
) -> None:
    expected = None if since is None else BEGAN + timedelta(minutes=since)
    assert progressed_at(rs, pods) == expected


@pytest.mark.parametrize(
    ("rs", "pods", "found"),
    [
        (None, [], Stage.NOTHING),
        (replica_set(2), [], Stage.NOTHING),
        (replica_set(2), [pod("a", ready=False)], Stage.NOTHING),
        (replica_set(2), [pod("a", ready=False), pod("b")], Stage.SETTLED),
        (replica_set(2, "old"), [pod("a")], Stage.SETTLED),
        (replica_set(2), [pod("a"), pod("b", "old", terminating=True)], Stage.SETTLED),
        (replica_set(2, "old"), OLD, Stage.OUTDATED),
        (replica_set(2, "old"), [*OLD, made("a", -99, "old")], Stage.OUTDATED),
        (replica_set(3), OLD, Stage.ROLLING),
        (replica_set(3), [*OLD, made("a", 0)], Stage.ROLLING),
        (replica_set(3), [*OLD, made("a", -9.9)], Stage.ROLLING),
        (replica_set(3), [*OLD, made("a", -10)], Stage.STUCK),
        (replica_set(3), [OLD[0], made("a", -50, ready=-40), made("b", -10)], Stage.STUCK),
        (failing(-10), OLD, Stage.STUCK),
    ],
)
def test_how_far_a_roll_is(rs: Json | None, pods: list[Json], found: Stage) -> None:
    assert timedelta(minutes=10) == PROGRESS_DEADLINE
    assert stage(rs, pods, revision="new", now=BEGAN) is found
