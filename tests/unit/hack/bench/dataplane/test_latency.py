import time
from collections.abc import Iterator
from typing import Any

import pytest

from hack.bench.dataplane import latency
from hack.bench.dataplane.latency import Asked
from hack.dataplane.flunders import Streamed


class Script:
    """Flunders and another tenant's keys that note what is done with them."""

    def __init__(self, notes: list[str], name: str) -> None:
        self._notes = notes
        self._name = name

    def put(self, _key: str, _value: bytes) -> None:
        self._notes.append(f"write {self._name}")

    def list(self) -> None:
        self._notes.append(f"list {self._name}")

    def stream(self) -> Streamed:
        return Streamed([], "refused")

    @property
    def asked(self) -> Asked:
        me: Any = self
        return Asked(me, me)


def test_each_is_asked_by_turns_after_a_write_of_another() -> None:
    notes: list[str] = []
    asked = [Script(notes, name).asked for name in "ab"]
    times = latency.by_turns(asked, latency.listed, 2, pause=0)
    assert notes == 3 * ["write a", "list a", "write b", "list b"]
    assert [len(one.taken) for one in times] == [2, 2]


def test_one_after_another() -> None:
    notes: list[str] = []
    asked = [Script(notes, name).asked for name in "ab"]
    latency.one_after_another(asked, latency.listed, 1)
    assert notes == 2 * ["write a", "list a"] + 2 * ["write b", "list b"]


def test_who_takes_seconds_is_asked_but_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "ENOUGH", 1e-9)
    notes: list[str] = []
    [times] = latency.by_turns([Script(notes, "a").asked], latency.listed, 5, pause=0)
    assert len(times.taken) == 1


def test_a_refusal_is_kept() -> None:
    [times] = latency.by_turns([Script([], "a").asked], latency.streamed, 1, pause=0)
    assert times.refusal == "refused"


class Server:
    """Flunders of which a watcher hears in another session."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.closed = False

    def session(self) -> "Server":
        return self

    def list(self) -> None:
        pass

    def watch(self, _since: Any) -> Any:
        return Events(self)

    def close(self) -> None:
        self.closed = True

    def create(self, name: str) -> None:
        self.names.append(name)


class Events:
    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> Iterator[dict[str, Any]]:
        return self._events()

    def __exit__(self, *_: object) -> None:
        pass

    def _events(self) -> Iterator[dict[str, Any]]:
        seen = 0
        while not self._server.closed:
            for name in self._server.names[seen:]:
                seen += 1
                yield {"type": "ADDED", "object": {"metadata": {"name": name}}}


def test_a_watcher_sees_what_is_created() -> None:
    server: Any = Server()
    began = time.perf_counter()
    [created] = latency.creates([server], 3)
    assert server.names == ["created-0", "created-1", "created-2"]
    assert len(created.returned) == len(created.seen) == 3
    assert all(0 < taken < time.perf_counter() - began for taken in created.seen)
    assert server.closed
