"""Why pods are not ready, from the statuses that a kubelet writes."""

from typing import Any

import pytest

from controller.podstate import failure, isolation, stuck, waiting
from tests.support.objects import pod

Json = dict[str, Any]

KILLED: Json = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
IMAGE = "image i cannot be had (flags --gate-image and --etcd-proxy-image)"


def container(name: str = "gate", *, last: Json | None = None, **state: Any) -> Json:
    return {"name": name, "image": "i", "ready": False, "state": state, "lastState": last or {}}


def starting(gate: Json, proxy: Json | None = None) -> Json:
    sidecars = {} if proxy is None else {"initContainerStatuses": [proxy]}
    return pod("a", ready=False, status={"containerStatuses": [gate], **sidecars})


RUNS = {**container("etcdproxy", running={}), "ready": True, "started": True}
INITIALIZING = container(waiting={"reason": "PodInitializing"})
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        ([], ""),
        ([pod("a")], ""),
        ([pod("a", ready=False)], "pods are being started"),
        (
            [pod("a", ready=False, status={"conditions": [UNSCHEDULED]})],
            "pods cannot be scheduled: 0/1 nodes",
        ),
        ([starting(container(waiting={"reason": "ErrImagePull"}))], f"container gate: {IMAGE}"),
        ([starting(container(waiting={}))], "container gate waiting"),
        ([starting(INITIALIZING)], "container gate PodInitializing"),
        # The one that the others wait for tells why.
        (
            [starting(INITIALIZING, container("etcdproxy", waiting={"reason": "ErrImagePull"}))],
            f"container etcdproxy: {IMAGE}",
        ),
        (
            [
                starting(
                    container(waiting={"reason": "CreateContainerConfigError", "message": "m"})
                )
            ],
            "container gate cannot be made: m",
        ),
        (
            [starting(container("other", running={}))],
            "container other is not ready: see its log",
        ),
        (
            [
                starting(container(waiting={"reason": "CrashLoopBackOff"}, last=KILLED)),
                starting(container(running={}, last=KILLED)),
                starting(container(terminated=KILLED["terminated"])),
            ],
            "container gate ended (OOMKilled, exit code 137) and is restarted: see its log",
        ),
        # What is ready now has nothing to tell, whatever it went through.
        (
            [starting(INITIALIZING, {**RUNS, "lastState": KILLED})],
            "container gate PodInitializing",
        ),
    ],
)
def test_what_pods_wait_for(pods: list[Json], says: str) -> None:
    assert waiting(pods) == says


def test_a_gate_that_runs_and_is_not_ready_has_no_core() -> None:
    text = waiting([starting(container(running={}), RUNS)])
    assert text.startswith("the gate cannot read from the core")
    assert "container gate" in text


def test_the_words_do_not_flap_with_the_order_or_the_number_of_pods() -> None:
    one = starting(container(waiting={"reason": "A"}))
    other = starting(container(waiting={"reason": "B"}))
    for pods in ([one, other], [other, one], [one, other, one]):
        assert waiting(pods) == "container gate A; container gate B"


def test_two_names_of_one_trouble_are_told_alike() -> None:
    """The kubelet writes them in turns."""
    texts = {
        waiting([starting(container(waiting={"reason": reason}))])
        for reason in ("ErrImagePull", "ImagePullBackOff")
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("reason", "needs_somebody"),
    [
        ("ImagePullBackOff", True),
        ("ErrImagePull", True),
        ("InvalidImageName", True),
        ("CreateContainerConfigError", True),
        ("ContainerCreating", False),
        ("PodInitializing", False),
        ("CrashLoopBackOff", False),
    ],
)
def test_what_needs_somebody(reason: str, needs_somebody: bool) -> None:  # noqa: FBT001 - a column
    problem = stuck([pod("b"), starting(container(waiting={"reason": reason}))])
    assert (problem is not None) is needs_somebody
    if problem:
        assert (problem.reason, problem.passes) == ("PodsCannotStart", False)
        assert "container gate" in problem.message


def test_pods_without_the_label_are_kept_apart_by_nobody() -> None:
    assert isolation([pod("a")], by_core=True) is None
    assert isolation([], by_core=True) is None


def test_why_a_replica_set_makes_no_pods() -> None:
    quota = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    over = {**quota, "status": "False"}
    told = "the ReplicaSet cannot make pods: exceeded quota"
    assert failure({"status": {"conditions": [{"type": "Other"}, quota]}}) == told
    for fine in (None, {}, {"status": {"replicas": 2}}, {"status": {"conditions": [over]}}):
        assert failure(fine) == ""
