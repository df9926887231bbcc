"""The status through a storage's life, and against the CRD that has to take it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.conditions import Problem, find_condition
from controller.ownership import merge_patch
from controller.status import (
    NAME_CONFLICT,
    Observed,
    desired_status,
)
from tests.support.memoryserver import apply_merge_patch
from tests.support.objects import pod, read

Json = dict[str, Any]

ENDPOINT = "http://etcd-etcd-name.kube-apiserver-storage.svc:2379"
UNANSWERED = "the proxy does not answer its readiness probe: is the core etcd reachable?"
PROBLEM = Problem(NAME_CONFLICT, "Service etcd-etcd-name exists and is not ours")


def observed(*pods: Json, problem: Problem | None = None, served: bool = True) -> Observed:
    return Observed(problem, served=served, endpoint=ENDPOINT, revision="new", pods=pods)


def status(seen: Observed, before: Json | None = None, *, now: str = "t1") -> Json:
    return desired_status(read(status=before), seen, now=now)


def condition(of: Json, type_: str) -> tuple[str, str, str]:
    found = find_condition(of, type_)
    assert found is not None
    return found["status"], found["reason"], found["message"]


KILLED: Json = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}


def starting(*, last: Json | None = None, revision: str = "new", **state: Any) -> Json:
    """Return a pod whose one container is in `state`, and ended as `last` before."""
    container = {"name": "c", "state": state, "lastState": last or {}}
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


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        ([], "0 of 2 pods are there yet"),
        ([pod("a", terminating=True)], "0 of 2 pods are there yet"),
        ([pod("a", ready=False)], "pods are being started"),
        ([starting(waiting={"reason": "ImagePullBackOff"})], "container ImagePullBackOff"),
        ([starting(waiting={})], "container waiting"),
        (
            [starting(running={})],
            UNANSWERED,
        ),
        (
            [
                pod(
                    "a",
                    ready=False,
                    status={
                        "conditions": [
                            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}
                        ]
                    },
                )
            ],
            "pods cannot be scheduled: 0/1 nodes",
        ),
        (
            [starting(waiting={"reason": "ErrImagePull"}), starting(running={})],
            f"container ErrImagePull; {UNANSWERED}",
        ),
        (
            [
                starting(waiting={"reason": "CrashLoopBackOff"}, last=KILLED),
                starting(running={}, last=KILLED),
                starting(terminated=KILLED["terminated"]),
            ],
            "the container ended (OOMKilled, exit code 137) and is restarted: see the pods' logs",
        ),
    ],
)
def test_what_readiness_waits_for(pods: list[Json], says: str) -> None:
    assert condition(status(observed(*pods)), "Ready") == ("False", "NoPodReady", says)


def test_a_roll_that_waits_says_for_what() -> None:
    stuck = starting(waiting={"reason": "ImagePullBackOff"})
    found = status(observed(pod("b", "old"), stuck))
    assert condition(found, "Progressing")[:2] == ("True", "RollingPods")
    assert "new ones wait: container ImagePullBackOff" in condition(found, "Progressing")[2]


def test_a_refused_eviction_is_told() -> None:
    seen = replace(observed(pod("a", "old")), eviction_blocked="pod a cannot be evicted yet")
    found = condition(status(seen), "Progressing")
    assert found == ("True", "EvictionBlocked", "pod a cannot be evicted yet")


def test_conditions_that_lack_anything_are_completed() -> None:
    for odd in ({"type": "Ready"}, {"type": "Ready", "status": "True"}):
        found = status(observed(pod("a")), {"conditions": [odd]})
        assert condition(found, "Ready")[0] == "True"
        assert all(c["lastTransitionTime"] == "t1" for c in found["conditions"])


def test_the_message_does_not_flap_with_the_order_or_the_number_of_pods() -> None:
    one = starting(waiting={"reason": "A"})
    other = starting(waiting={"reason": "B"})
    messages = {
        condition(status(observed(*pods)), "Ready")[2]
        for pods in ([one, other], [other, one], [one, other, one])
    }
    assert messages == {"container A; container B"}


def test_transition_times_over_a_history() -> None:
    ready, starting_up = observed(pod("a")), observed(pod("a", ready=False))
    none = observed(served=False, problem=PROBLEM)
    before: Json | None = None
    times = []
    for moment, seen in enumerate((none, none, starting_up, ready, ready, starting_up)):
        before = status(seen, before, now=f"t{moment}")
        times.append([c["lastTransitionTime"] for c in before["conditions"]])
    assert times == [
        ["t0", "t0", "t0"],
        ["t0", "t0", "t0"],
        ["t2", "t0", "t0"],
        ["t2", "t3", "t0"],
        ["t2", "t3", "t0"],
        ["t2", "t5", "t0"],
    ]


def test_nothing_new_is_no_patch() -> None:
    for seen in (observed(pod("a")), observed(served=False, problem=PROBLEM)):
        before = status(seen)
        assert merge_patch(before, status(seen, before, now="t2")) == {}


def test_the_patch_leads_to_the_status_whatever_stood_there() -> None:
    leftovers = {"endpoint": "http://gone", "phase": "of somebody", "replicas": 9}
    known: Json = status(observed(pod("a")))
    for before in ({}, leftovers, known, {"conditions": known["conditions"][:1]}):
        for seen in (observed(pod("a", "old")), observed(served=False, problem=PROBLEM)):
            after = status(seen, before, now="t2")
            assert apply_merge_patch(before, merge_patch(before, after)) == after


def test_the_generation_is_that_of_the_storage() -> None:
    found = desired_status(read(generation=4), observed(pod("a")), now="t1")
    generations = {c["observedGeneration"] for c in found["conditions"]}
    assert (found["observedGeneration"], generations) == (4, {4})


def test_conditions_of_others_stay() -> None:
    theirs = {"type": "Audited", "status": "True", "reason": "Done"}
    assert status(observed(), {"conditions": [theirs]})["conditions"][-1] == theirs


def test_the_crd_keeps_every_field_of_it() -> None:
    crd = Path(__file__).parents[3] / "artifacts/etcdstorage/crd.yaml"
    version = yaml.safe_load(crd.read_text())["spec"]["versions"][0]
    known = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    item = known["conditions"]["items"]
    found = status(observed(pod("a"), problem=PROBLEM))
    assert set(found) <= set(known)
    for each in found["conditions"]:
        assert set(item["required"]) <= set(each) <= set(item["properties"])
        assert each["reason"]
