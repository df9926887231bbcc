import pytest

from hack.bench.churn import TENTHS, Server, held
from informers.mutation import SWITCH


def test_the_server_tells_a_history_that_can_be() -> None:
    server = Server(10)
    there = {item["metadata"]["name"] for item in server.list({})["items"]}
    assert len(there) == 10
    server.change(1000)
    events = iter(server.watch({}))
    kinds = set()
    for _, event in zip(range(1000), events, strict=False):
        name, kind = event["object"]["metadata"]["name"], event["type"]
        kinds.add(kind)
        assert (name in there) == (kind != "ADDED")
        there ^= {name} if kind != "MODIFIED" else set()
    assert kinds == {"ADDED", "MODIFIED", "DELETED"}
    server.interrupt()
    assert next(events, None) is None


def test_memory_stays_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    # It keeps copies of all that it compares.
    monkeypatch.delenv(SWITCH)
    figures = held(objects=50, changes=1000)
    assert len(figures) == TENTHS + 1
    # A change that was kept would be forty blocks, for each of the objects twenty times.
    assert figures[-1].blocks - figures[1].blocks < 40
