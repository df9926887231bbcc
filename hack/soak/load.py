"""Clients that connect all the time, a few at once."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from hack.soak.client import Client, Habit
from workqueue import DelayingQueue, ShutDown

THREADS: Final = 8
_SPREAD: Final = 0.2

Key = tuple[str, Habit]
"""A storage, and which of its clients."""
Read = Callable[[str, Client], None]
"""Connects to a storage's gate as this client and reads; raises OSError."""


@dataclass(slots=True)
class Shaken:
    """What came of the handshakes."""

    made: Counter[Habit] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds."""


class Load:
    """Each client connects again and again, from `start` to `stop`."""

    def __init__(
        self, clients: Mapping[Key, Client], read: Read, rate: float, rng: random.Random
    ) -> None:
        """`rate`: handshakes a second in all, as far as the machine is able to make them."""
        self._clients = clients
        self._read = read
        self._pause = len(clients) / rate
        self._rng = rng
        self._lock = threading.Lock()
        self._shaken = Shaken()
        self._queue: DelayingQueue[Key] = DelayingQueue("clients")
        self._threads = [threading.Thread(target=self._run) for _ in range(THREADS)]

    def start(self) -> None:
        for key in self._clients:
            self._queue.add_after(key, self._rng.uniform(0, self._pause))
        for thread in self._threads:
            thread.start()

    def stop(self) -> Shaken:
        """End all of it, and return what came of it."""
        self._queue.shut_down()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        return self._shaken

    def _run(self) -> None:
        while True:
            try:
                key = self._queue.get()
            except ShutDown:
                return
            try:
                self._connect(key)
            finally:
                self._queue.done(key)

    def _connect(self, key: Key) -> None:
        storage, habit = key
        began, failure = time.monotonic(), ""
        try:
            self._read(storage, self._clients[key])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no handshake
            failure = f"{datetime.now(UTC):%H:%M:%S.%f} {storage}, {habit.value}: {error!r}"
        took = time.monotonic() - began
        with self._lock:
            self._shaken.made[habit] += 1
            self._shaken.slowest = max(self._shaken.slowest, took)
            if failure:
                self._shaken.failures.append(failure)
            pause = self._pause * self._rng.uniform(1 - _SPREAD, 1 + _SPREAD)
        self._queue.add_after(key, pause - took)
