import random
import threading
from pathlib import Path

from hack.soak.client import Client, Habit
from hack.soak.load import Load
from tests.support.eventually import eventually


def test_each_client_connects_again_and_again_and_what_failed_is_told(tmp_path: Path) -> None:
    clients = {(name, habit): Client(tmp_path, habit) for name in "ab" for habit in Habit}
    seen: list[tuple[str, Habit]] = []
    lock = threading.Lock()

    def read(storage: str, client: Client) -> None:
        with lock:
            seen.append((storage, client.habit))
        if storage == "b":
            raise ConnectionResetError("it hung up")

    load = Load(clients, read, 2000, random.Random(1))
    load.start()
    try:
        eventually(lambda: all(seen.count(key) > 2 for key in clients))
    finally:
        shaken = load.stop()
    assert sum(shaken.made.values()) == len(seen)
    assert len(shaken.failures) == sum(storage == "b" for storage, _ in seen)
    assert all("b, " in line and "it hung up" in line for line in shaken.failures)
    assert shaken.slowest < 10


def test_one_that_was_not_started_can_be_stopped() -> None:
    assert Load({}, lambda *_: None, 1, random.Random(1)).stop().failures == []
