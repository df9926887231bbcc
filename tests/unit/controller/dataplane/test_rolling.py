"""Single steps of a roll; whole rolls are in tests/property/test_rolling.py."""

from typing import Any

import pytest

from controller.dataplane.interface import REVISION_LABEL
from controller.dataplane.rolling import (
    RollingStep,
    is_ready,
    is_terminating,
    pod_revision,
    rolling_step,
)
from tests.support.objects import pod

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
        else {"observedGeneration": observed, "readyReplicas": counted},
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


def test_no_pod_goes_while_the_template_is_the_old_one() -> None:
    assert step(replica_set(3, "old"), *OLD, pod("old-c", "old", ready=False)) == (3, [])


def test_old_pods_that_serve_nobody_go_at_once() -> None:
    broken = [pod(f"old-{n}", "old", ready=False) for n in "abc"]
    assert step(replica_set(2), *broken) == (3, ["old-a", "old-b", "old-c"])
    assert step(replica_set(3), OLD[1], broken[0], pod("new-a")) == (3, ["old-a"])


def test_a_pod_from_before_revisions_is_old() -> None:
    assert step(replica_set(3), pod("a", None), pod("b"), pod("c")) == (3, ["a"])


def test_with_the_last_old_pod_ending_the_surge_is_taken_back() -> None:
    ending = pod("old-a", "old", terminating=True)
    assert step(replica_set(3), ending, pod("a"), pod("b"), pod("c")) == (2, [])


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
