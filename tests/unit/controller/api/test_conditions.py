"""How a list of conditions changes over a history of reconciles."""

from typing import Any

from controller.api.conditions import Condition, find_condition, merge_conditions

READY = Condition("Ready", status=True, reason="PodsReady", message="fine")
WAITING = Condition("Ready", status=False, reason="NoPodReady", message="0 of 2")
OTHER = {"type": "Audited", "status": "Unknown", "reason": "Later", "by": "somebody"}


def merge(current: list[dict[str, Any]], *wanted: Condition, now: str) -> list[dict[str, Any]]:
    return merge_conditions(current, wanted, generation=3, now=now)


def test_a_new_condition_begins_now() -> None:
    assert merge([], READY, now="t1") == [
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 3,
            "lastTransitionTime": "t1",
            "reason": "PodsReady",
            "message": "fine",
        }
    ]


def test_the_transition_time_moves_with_the_status_alone() -> None:
    history: list[dict[str, Any]] = []
    times = []
    still_waiting = Condition("Ready", status=False, reason="Pulling", message="1 of 2")
    for now, condition in enumerate((WAITING, still_waiting, READY, READY, WAITING)):
        history = merge(history, condition, now=f"t{now}")
        times.append(history[0]["lastTransitionTime"])
    assert times == ["t0", "t0", "t2", "t2", "t4"]


def test_reason_message_and_generation_follow_at_once() -> None:
    first = merge_conditions([], [WAITING], generation=1, now="t1")
    changed = Condition("Ready", status=False, reason="Pulling", message="1 of 2")
    second = merge_conditions(first, [changed], generation=2, now="t2")[0]
    assert (second["reason"], second["message"]) == ("Pulling", "1 of 2")
    assert (second["observedGeneration"], second["lastTransitionTime"]) == (2, "t1")


def test_merging_again_changes_nothing() -> None:
    first = merge([OTHER], READY, now="t1")
    assert merge(first, READY, now="t2") == first


def test_an_unknown_status_of_ours_turns_over() -> None:
    unknown = [{"type": "Ready", "status": "Unknown", "lastTransitionTime": "t0"}]
    assert merge(unknown, WAITING, now="t1")[0]["lastTransitionTime"] == "t1"


def test_wanted_ones_come_first_and_those_of_others_stay_as_they_are() -> None:
    deployed = Condition("Deployed", status=True, reason="Done", message="")
    merged = merge([OTHER, *merge([], READY, now="t0")], deployed, READY, now="t1")
    assert [condition["type"] for condition in merged] == ["Deployed", "Ready", "Audited"]
    assert merged[2] == OTHER
    assert merged[1]["lastTransitionTime"] == "t0"


def test_the_current_list_is_not_touched() -> None:
    current = [dict(OTHER), *merge([], WAITING, now="t0")]
    before = [dict(condition) for condition in current]
    merge(current, READY, now="t1")[-1]["reason"] = "changed by the caller"
    assert current == before


def test_find_condition() -> None:
    status = {"conditions": [{"Type": "Deployed"}, OTHER]}
    assert find_condition(status, "Audited") == OTHER
    assert find_condition(status, "Deployed") is None
    assert find_condition({}, "Ready") is None
    assert find_condition({"conditions": None}, "Ready") is None
