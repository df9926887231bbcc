import json

from hack.bench.load import replica_set, stored, unversioned


def test_an_object_is_as_large_as_the_budgets_say() -> None:
    event = {"type": "MODIFIED", "object": stored(7, 1234567)}
    assert 1400 < len(json.dumps(event)) < 1600


def test_what_is_stored_is_what_was_made_and_more() -> None:
    made, kept = replica_set(7), stored(7, 8)
    assert made["spec"]["selector"] == kept["spec"]["selector"]
    assert made["metadata"].items() <= kept["metadata"].items()
    assert kept["metadata"]["resourceVersion"] == "8"
    assert kept["metadata"]["uid"] != stored(8, 8)["metadata"]["uid"]
    assert "resourceVersion" not in unversioned(7)["metadata"]
