"""The status through a storage's life, and against the CRD that has to take it."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.conditions import Problem, find_condition
from controller.api.storage import CORE_FINALIZER, CORE_USER_OWNER
from controller.dataplane.interface import ISOLATION_LABEL
from controller.dataplane.rolling import PROGRESS_DEADLINE
from controller.ownership import merge_patch
from controller.status import (
    AWAITING_DELETION,
    NAME_CONFLICT,
    Observed,
    desired_status,
    overdue_at,
)
from tests.support.memoryserver import apply_merge_patch
from tests.support.objects import NOW, pod, read
from tests.support.tlsworld import TlsWorld

Json = dict[str, Any]

ENDPOINT = "http://etcd-etcd-name.kube-apiserver-storage.svc:2379"
BEGAN = datetime.fromisoformat(NOW)
PROBLEM = Problem(NAME_CONFLICT, "Service etcd-etcd-name exists and is not ours")


def observed(*pods: Json, problem: Problem | None = None, served: bool = True) -> Observed:
    return Observed(problem, served=served, endpoint=ENDPOINT, revision="new", pods=pods)


def status(seen: Observed, before: Json | None = None, *, minutes: float = 0.0) -> Json:
    """Return the status as of some minutes after NOW."""
    return desired_status(read(status=before), seen, now=BEGAN + timedelta(minutes=minutes))


def condition(of: Json, type_: str) -> tuple[str, str, str]:
    found = find_condition(of, type_)
    assert found is not None
    return found["status"], found["reason"], found["message"]


def starting(*, last: Json | None = None, revision: str = "new", **state: Any) -> Json:
    """Return a pod whose one container is in `state`, and ended as `last` before."""
    container = {"name": "gate", "image": "of-the-gate", "state": state, "lastState": last or {}}
    return pod("a", revision, ready=False, status={"containerStatuses": [container]})


def test_deployed_and_ready() -> None:
    found = status(observed(pod("a"), pod("b")))
    assert found["endpoint"] == ENDPOINT
    assert (found["replicas"], found["readyReplicas"], found["updatedReplicas"]) == (2, 2, 2)
    assert found["observedGeneration"] == 1
    assert [(c["type"], c["status"], c["reason"]) for c in found["conditions"]] == [
        ("Deployed", "True", "EtcdProxyDeployed"),
        ("Ready", "True", "PodsReady"),
        ("Progressing", "False", "PodsUpToDate"),
        ("Degraded", "False", "AsExpected"),
    ]


def test_pods_are_counted_by_what_they_are() -> None:
    found = status(
        observed(
            pod("new-ready"),
            pod("new-starting", ready=False),
            pod("old-ready", "old"),
            pod("ending", terminating=True),
            pod("failed", status={"phase": "Failed"}),
        )
    )
    assert (found["replicas"], found["readyReplicas"], found["updatedReplicas"]) == (3, 2, 2)


def test_one_pod_of_any_revision_makes_it_ready() -> None:
    found = status(observed(pod("a", "old"), pod("b", ready=False)))
    assert condition(found, "Ready")[:2] == ("True", "PodsReady")
    assert condition(found, "Progressing")[:2] == ("True", "RollingPods")


def test_a_problem_is_told_and_what_serves_meanwhile_goes_on() -> None:
    found = status(observed(pod("a"), problem=PROBLEM))
    assert condition(found, "Deployed") == ("False", PROBLEM.reason, PROBLEM.message)
    assert condition(found, "Ready")[0] == "True"
    assert found["endpoint"] == ENDPOINT


def test_without_a_service_of_ours_there_is_no_endpoint() -> None:
    found = status(observed(pod("a"), problem=PROBLEM, served=False))
    assert "endpoint" not in found
    assert condition(found, "Ready")[:2] == ("False", "NotDeployed")


def test_what_readiness_waits_for() -> None:
    assert condition(status(observed()), "Ready") == (
        "False",
        "NoPodReady",
        "0 of 2 pods are there yet",
    )
    found = status(observed(starting(waiting={"reason": "ContainerCreating"})))
    assert condition(found, "Ready")[2] == "container gate ContainerCreating"


def test_a_roll_that_waits_says_for_what() -> None:
    stuck = starting(waiting={"reason": "ImagePullBackOff"})
    found = status(observed(pod("b", "old"), stuck))
    assert condition(found, "Progressing")[:2] == ("True", "RollingPods")
    assert (
        "new ones wait: container gate: image of-the-gate cannot be had"
        in condition(found, "Progressing")[2]
    )


def test_a_refused_eviction_is_told() -> None:
    seen = replace(observed(pod("a", "old")), eviction_blocked="pod a cannot be evicted yet")
    found = condition(status(seen), "Progressing")
    assert found == ("True", "EvictionBlocked", "pod a cannot be evicted yet")


def test_conditions_that_lack_anything_are_completed() -> None:
    for odd in ({"type": "Ready"}, {"type": "Ready", "status": "True"}):
        found = status(observed(pod("a")), {"conditions": [odd]})
        assert condition(found, "Ready")[0] == "True"
        assert all(c["lastTransitionTime"] == NOW for c in found["conditions"])


def test_degraded_says_who_has_to_do_what() -> None:
    passing = Problem(AWAITING_DELETION, "waiting", passes=True)
    lost = Problem("CoreUnreachable", "the core is away")
    stuck = starting(waiting={"reason": "ImagePullBackOff"})
    for seen, says in (
        (observed(pod("a")), ("False", "AsExpected", "nothing needs a person")),
        (observed(pod("a"), problem=passing), ("False", "AsExpected", "nothing needs a person")),
        (observed(pod("a"), problem=PROBLEM), ("True", PROBLEM.reason, PROBLEM.message)),
        (
            replace(observed(pod("a")), concerns=(lost, passing)),
            ("True", "CoreUnreachable", "the core is away"),
        ),
        (
            replace(observed(pod("a"), problem=PROBLEM), concerns=(lost, PROBLEM)),
            ("True", PROBLEM.reason, f"{PROBLEM.message}; the core is away"),
        ),
        (observed(pod("a", ready=False)), ("False", "AsExpected", "nothing needs a person")),
    ):
        assert condition(status(seen), "Degraded") == says
    assert condition(status(observed(stuck)), "Degraded")[:2] == ("True", "PodsCannotStart")


def test_a_replica_set_that_makes_no_pods_or_not_all_is_told() -> None:
    told = "the ReplicaSet cannot make pods: exceeded quota"
    for pods, message in (
        ((), told),
        ((starting(waiting={"reason": "ContainerCreating"}),), "container gate ContainerCreating"),
        ((pod("a"),), "pods behind the Service read from the core"),
    ):
        found = condition(status(replace(observed(*pods), failure=told)), "Ready")[2]
        assert found == (message if message == told else f"{message}; {told}")


CRASHED = {"terminated": {"reason": "Error", "exitCode": 1}}


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (observed(), "the ReplicaSet makes none"),
        (replace(observed(), failure="exceeded quota"), "exceeded quota"),
        (observed(starting(waiting={"reason": "CrashLoopBackOff"}, last=CRASHED)), "exit code 1"),
    ],
)
def test_a_storage_that_no_pod_serves_for_long_needs_a_person(seen: Observed, says: str) -> None:
    before = status(seen)
    assert overdue_at(before) == BEGAN + PROGRESS_DEADLINE
    late = PROGRESS_DEADLINE / timedelta(minutes=1)
    before = status(seen, before, minutes=late - 0.1)
    assert condition(before, "Degraded")[:2] == ("False", "AsExpected")
    before = status(seen, before, minutes=late)
    assert condition(before, "Degraded")[:2] == ("True", "NoPodReady")
    assert says in condition(before, "Degraded")[2]
    ready = status(observed(pod("a")), before, minutes=late + 1)
    assert condition(ready, "Degraded")[:2] == ("False", "AsExpected")
    assert overdue_at(ready) is None


def test_the_time_begins_anew_when_what_kept_the_pods_away_is_over() -> None:
    """As after a day without the core's CA, or without auth for a storage in mode Direct."""
    before = status(observed(served=False, problem=PROBLEM))
    assert overdue_at(before) is None
    before = status(observed(problem=PROBLEM), before, minutes=1440)
    assert condition(before, "Degraded") == ("True", PROBLEM.reason, PROBLEM.message)
    before = status(observed(), before, minutes=1441)
    assert condition(before, "Degraded")[:2] == ("False", "AsExpected")
    assert overdue_at(before) == BEGAN + timedelta(minutes=1441) + PROGRESS_DEADLINE


def test_what_is_wrong_besides_keeps_nothing_from_being_deployed() -> None:
    lost = Problem("CoreUnreachable", "the core is away")
    found = status(replace(observed(pod("a")), concerns=(lost,)))
    assert condition(found, "Deployed")[0] == "True"
    assert condition(found, "Degraded")[0] == "True"


@pytest.mark.parametrize(
    ("pods", "by_core", "says"),
    [
        (["Core", "Core"], True, "Core"),
        (["Core", "Gate"], True, "Gate"),
        (["Gate"], False, "Gate"),
        # Not known, or switched off: what these pods lean on is not there.
        (["Core"], False, None),
        (["Core", "Gate"], False, None),
        (["Core", None], True, None),
        ([], True, None),
    ],
)
def test_isolation_is_that_of_the_weakest_pod(
    pods: list[str | None],
    by_core: bool,  # noqa: FBT001 - a column of the table
    says: str | None,
) -> None:
    made = [pod(str(number)) for number in range(len(pods))]
    for one, given in zip(made, pods, strict=True):
        one["metadata"]["labels"] |= {ISOLATION_LABEL: given} if given else {}
    ending = pod("ending", terminating=True)
    seen = replace(observed(*made, ending), isolates=by_core)
    assert status(seen).get("isolation") == says


def test_who_owns_the_user_is_told_as_long_as_it_is_claimed() -> None:
    owner = {CORE_USER_OWNER: read().uid}
    held = {"finalizers": [CORE_FINALIZER]}
    for meta, before, kept in ((held, owner, True), ({}, owner, False), (held, {}, False)):
        storage = read(meta=meta, status=before)
        found = desired_status(storage, observed(problem=PROBLEM), now=BEGAN)
        assert (found.get(CORE_USER_OWNER) == storage.uid) is kept


def test_usage_is_news_only_when_the_number_is_and_absent_where_nobody_knows_it() -> None:
    def usage(keys: int | None, before: object = None, minutes: int = 0) -> object:
        storage = read(status={} if before is None else {"usage": before})
        later = BEGAN + timedelta(minutes=minutes)
        return desired_status(storage, replace(observed(), keys=keys), now=later).get("usage")

    assert usage(None) is None
    first = usage(0)
    assert first == {"keys": 0, "measuredAt": f"{BEGAN:%Y-%m-%dT%H:%M:%SZ}"}
    assert usage(0, first, minutes=10) == first
    assert usage(None, first, minutes=20) is None
    then = f"{BEGAN + timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}"
    assert usage(1, first, minutes=30) == {"keys": 1, "measuredAt": then}
    # As somebody wrote it by hand, or an older CRD let it in.
    hostile: tuple[object, ...] = ("many", [], {"keys": "x"}, {"keys": None})
    for odd in hostile:
        assert usage(None, odd) is None
        assert usage(0, odd) == first


def test_transition_times_over_a_history() -> None:
    ready, starting_up = observed(pod("a")), observed(pod("a", ready=False))
    none = observed(served=False, problem=PROBLEM)
    before: Json | None = None
    times = []
    for moment, seen in enumerate((none, none, starting_up, ready, ready, starting_up)):
        before = status(seen, before, minutes=moment)
        changed = [c["lastTransitionTime"] for c in before["conditions"]]
        since = [datetime.fromisoformat(time) - BEGAN for time in changed]
        times.append([time // timedelta(minutes=1) for time in since])
    assert times == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [2, 0, 0, 2],
        [2, 3, 0, 2],
        [2, 3, 0, 2],
        [2, 5, 0, 2],
    ]


@pytest.mark.parametrize("told", ["9999-12-31T23:59:59Z", "2026-01-01T00:00:00+99:99", "x", None])
def test_a_time_that_somebody_wrote_by_hand_begins_anew(told: str | None) -> None:
    """Kept, it would break every reconcile, or hide for years that no pod gets ready."""
    seen = observed()
    before = status(seen)
    theirs = {"type": "Audited", "status": "True", "lastTransitionTime": told}
    spoilt = [{**c, "lastTransitionTime": told} for c in before["conditions"]]
    after = status(seen, {**before, "conditions": [*spoilt, theirs]}, minutes=1)
    *ours, last = after["conditions"]
    since = f"{BEGAN + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
    assert {c["lastTransitionTime"] for c in ours} == {since}
    assert last == theirs
    assert overdue_at(after) == BEGAN + timedelta(minutes=1) + PROGRESS_DEADLINE


def test_nothing_new_is_no_patch() -> None:
    for seen in (observed(pod("a")), observed(served=False, problem=PROBLEM)):
        before = status(seen)
        assert merge_patch(before, status(seen, before, minutes=1)) == {}


def test_the_patch_leads_to_the_status_whatever_stood_there() -> None:
    leftovers = {"endpoint": "http://gone", "phase": "of somebody", "replicas": 9}
    known: Json = status(observed(pod("a")))
    for before in ({}, leftovers, known, {"conditions": known["conditions"][:1]}):
        for seen in (observed(pod("a", "old")), observed(served=False, problem=PROBLEM)):
            after = status(seen, before, minutes=1)
            assert apply_merge_patch(before, merge_patch(before, after)) == after


def test_the_generation_is_that_of_the_storage() -> None:
    found = desired_status(read(generation=4), observed(pod("a")), now=BEGAN)
    generations = {c["observedGeneration"] for c in found["conditions"]}
    assert (found["observedGeneration"], generations) == (4, {4})


def test_conditions_of_others_stay() -> None:
    theirs = {"type": "Audited", "status": "True", "reason": "Done"}
    assert status(observed(), {"conditions": [theirs]})["conditions"][-1] == theirs


def told_of_certificates() -> Json:
    """Return `status.certificates` with everything in it."""
    world = TlsWorld()
    world.settle()
    world.bring(world.add_pod("a"))
    world.rotate("now")
    world.settle()
    told: Json = world.status()["certificates"]
    assert set(told) == {"signing", "serving", "clients", "rotation"}
    assert "servedSerial" in told["serving"]
    return told


def _take(schema: Json, value: Any) -> None:
    """See that a schema drops nothing of a value, and refuses none of it."""
    match value:
        case dict():
            assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"])
            for name, inner in value.items():
                _take(schema["properties"][name], inner)
        case list():
            assert len(value) <= schema["maxItems"]
            for inner in value:
                _take(schema["items"], inner)
        case _:
            assert len(value) <= schema.get("maxLength", 20)
            assert value in schema.get("enum", [value])


def test_the_crd_keeps_every_field_of_it() -> None:
    crd = Path(__file__).parents[3] / "artifacts/etcdstorage/crd.yaml"
    version = yaml.safe_load(crd.read_text())["spec"]["versions"][0]
    known = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    item = known["conditions"]["items"]
    isolated = pod("a")
    isolated["metadata"]["labels"][ISOLATION_LABEL] = "Gate"
    found = status(replace(observed(isolated, problem=PROBLEM), keys=3))
    assert set(found["usage"]) == set(known["usage"]["properties"])
    _take(known["certificates"], told_of_certificates())
    assert {*found, CORE_USER_OWNER} <= set(known)
    assert found["isolation"] in known["isolation"]["enum"]
    for each in found["conditions"]:
        assert set(item["required"]) <= set(each) <= set(item["properties"])
        assert each["reason"]
