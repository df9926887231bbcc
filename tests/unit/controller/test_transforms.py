"""What the caches keep, and that nothing of it changes a plan."""

import json
from copy import deepcopy
from typing import Any

from controller.dataplane.pods import CONFIG_ANNOTATIONS, DRAIN_TOKEN_ANNOTATION
from controller.transforms import slim_pod, slim_replica_set, with_contents, without_contents
from tests.support.objects import FACTS, desired_of, pod

FILE = f"{CONFIG_ANNOTATIONS}envoy.json"


def test_a_pod_keeps_whose_it_is_and_how_it_is() -> None:
    told = {"containerStatuses": [{"name": "gate"}], "podIP": "10.0.0.1"}
    seen = pod("a", status={**told, "hostIP": "10.1.0.1"})
    before = deepcopy(seen)
    seen["metadata"] |= {"annotations": {FILE: "x" * 9999}, "managedFields": [{}]}
    seen["spec"] = {"containers": []}
    kept = slim_pod(seen)
    assert kept["metadata"] == before["metadata"]
    assert (
        kept["status"] == {name: before["status"][name] for name in ("phase", "conditions")} | told
    )
    assert set(kept) == {"apiVersion", "kind", "metadata", "status"}


def test_a_pod_without_a_status_is_one_too() -> None:
    assert slim_pod({**pod("a"), "status": None})["status"] == {}


def test_a_replica_set_keeps_everything_but_what_the_files_say() -> None:
    full = desired_of().replica_set
    full["metadata"]["managedFields"] = [{}]
    before = deepcopy(full)
    kept = slim_replica_set(full)
    assert full == before
    annotations = kept["spec"]["template"]["metadata"]["annotations"]
    assert annotations[DRAIN_TOKEN_ANNOTATION] == FACTS.drain_token
    assert annotations[FILE].startswith("sha256:")
    assert len(json.dumps(kept)) < len(json.dumps(full)) / 3
    assert "managedFields" not in kept["metadata"]
    annotations.update(before["spec"]["template"]["metadata"]["annotations"])
    del before["metadata"]["managedFields"]
    assert kept == before


def test_what_was_slimmed_can_be_compared_with_what_was_not() -> None:
    one, other = desired_of().replica_set, desired_of(version=1).replica_set
    assert without_contents(without_contents(one)) == without_contents(one)
    assert without_contents(one) != without_contents(other)
    changed = deepcopy(one)
    changed["spec"]["template"]["metadata"]["annotations"][FILE] += " "
    assert without_contents(changed) != without_contents(one)


def test_a_replica_set_without_annotations_stays_as_it_is() -> None:
    older = desired_of().replica_set
    del older["spec"]["template"]["metadata"]["annotations"]
    assert without_contents(older) == older


def test_a_patch_gets_its_files_back() -> None:
    wanted = desired_of().replica_set
    files = wanted["spec"]["template"]["metadata"]["annotations"]
    annotations = {FILE: "sha256:abc", "dropped": None, "theirs": "stays"}
    patch = {"spec": {"replicas": 3, "template": {"metadata": {"annotations": annotations}}}}
    filled = with_contents(patch, wanted)
    assert filled == {
        "spec": {
            "replicas": 3,
            "template": {
                "metadata": {
                    "annotations": {FILE: files[FILE], "dropped": None, "theirs": "stays"}
                }
            },
        }
    }
    others: tuple[dict[str, Any], ...] = (
        {},
        {"spec": {"replicas": 3}},
        {"spec": {"template": {"spec": {}}}},
    )
    for other in others:
        assert with_contents(other, wanted) == other
