"""Which storages' users are wanted or to be removed, and whose turn it is."""

import threading
from dataclasses import dataclass, replace
from typing import Final

from controller.core.looks import UserLook, UserState


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for one storage."""

    storage: str
    wanted: bool
    """Whether its user and role are to be there, or to be gone."""
    claimed: bool
    """Whether they are ours by name. Unclaimed ones are only looked at."""


PENDING: Final = UserLook(UserState.PENDING)


@dataclass(frozen=True, slots=True)
class _Entry:
    order: Order
    look: UserLook = PENDING


class Agenda:
    """May be used by any thread. What is new comes before what is only looked at once more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        # Sets that keep the order in which storages came.
        self._due: dict[str, None] = {}
        self._audited: dict[str, None] = {}

    def ask(self, order: Order) -> UserLook:
        """Take the order; the look is PENDING unless it is the one that the storage has."""
        with self._lock:
            entry = self._entries.get(order.storage)
            if entry is None or entry.order != order:
                entry = self._entries[order.storage] = _Entry(order)
                self._due[order.storage] = None
            return entry.look

    def forget(self, storage: str) -> None:
        with self._lock:
            self._entries.pop(storage, None)
            self._due.pop(storage, None)
            self._audited.pop(storage, None)

    def next(self) -> Order | None:
        """Return whose turn it is, and end the turn; None if nobody's."""
        with self._lock:
            for line in (self._due, self._audited):
                if line:
                    storage = next(iter(line))
                    self._due.pop(storage, None)
                    self._audited.pop(storage, None)
                    return self._entries[storage].order
            return None

    def is_current(self, order: Order) -> bool:
        """Whether nothing else is asked for the storage meanwhile."""
        with self._lock:
            entry = self._entries.get(order.storage)
            return entry is not None and entry.order == order

    def settle(self, order: Order, look: UserLook) -> bool:
        """Note how the storage stands, unless the order is old; True if that is news."""
        with self._lock:
            entry = self._entries.get(order.storage)
            if entry is None or entry.order != order or entry.look == look:
                return False
            self._entries[order.storage] = replace(entry, look=look)
            return True

    def look(self, storage: str) -> UserLook | None:
        with self._lock:
            entry = self._entries.get(storage)
            return None if entry is None else entry.look

    def again(self, order: Order) -> None:
        """Give the storage one more turn, after all others that are due."""
        with self._lock:
            if order.storage in self._entries:
                self._due[order.storage] = None

    def retry(self) -> None:
        """Give every storage that failed another turn, or whose name is free and not claimed yet.

        What was free may be somebody's by the time that it can be claimed.
        """
        with self._lock:
            for storage, entry in self._entries.items():
                if entry.look.state in {UserState.FAILED, UserState.FREE}:
                    self._due.setdefault(storage)

    def audit(self) -> None:
        """Give every storage a turn, after those that are due."""
        with self._lock:
            for storage in self._entries:
                self._audited.setdefault(storage)
