from typing import Any

from hack.dataplane.flunders import Streamed, names, streamed

END = {"k8s.io/initial-events-end": "true"}


def event(kind: str, name: str = "", **annotations: str) -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": {"name": name, "annotations": annotations}}}


def test_a_streaming_list_ends_with_its_bookmark() -> None:
    events = iter([event("ADDED", "a"), event("ADDED", "b"), event("BOOKMARK", **END)])
    assert streamed(events) == Streamed(["a", "b"])
    later = iter([event("BOOKMARK", **END), event("ADDED", "later")])
    assert streamed(later) == Streamed([])
    assert next(later)["object"]["metadata"]["name"] == "later"


def test_a_streaming_list_that_does_not_come_to_its_end() -> None:
    refusal = {"type": "ERROR", "object": {"message": "Too large resource version"}}
    assert streamed([refusal]) == Streamed([], "Too large resource version")
    assert streamed([event("ADDED", "a")]).refusal == "the stream ended before the list did"


def test_the_names_of_a_list() -> None:
    assert names({"items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}) == [
        "a",
        "b",
    ]
    assert names({"items": []}) == []
