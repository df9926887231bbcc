"""The order in which keys are handed out, without a lock or a thread."""

import heapq
from collections import Counter, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class PriorityFifo(Generic[T]):
    """Distinct items: the higher priority first, and first in, first out among equals.

    The caller keeps the priority of each item. With few priorities every step takes the same time
    however many items there are; with as many priorities as items it is that of a heap.
    """

    def __init__(self) -> None:
        # A line of places for each priority, and all of them in a heap by the priority negated.
        # The first may be empty: what comes next is most likely of that priority, too.
        self._lines: dict[int, deque[T]] = {}
        self._heap: list[tuple[int, deque[T]]] = []
        # A place that its item has left stays until it comes up or is swept. It stands before the
        # place that the item may have got in the same line since, so that counting is enough.
        self._left: Counter[tuple[int, T]] = Counter()
        self._left_total = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, item: T, priority: int) -> None:
        """Put `item`, which must not be here yet, behind all others of `priority`."""
        line = self._lines.get(priority)
        if line is None:
            line = self._open(priority)
        line.append(item)
        self._length += 1

    def pop(self) -> T:
        """Take out the first item. Raises IndexError if there is none."""
        while True:
            rank, line = self._heap[0]
            if not line:
                self._close_first()
                continue
            item = line.popleft()
            if self._left and self._skip(item, -rank):
                continue
            self._length -= 1
            if self._left_total > self._length:
                self._sweep()
            return item

    def move(self, item: T, old: int, new: int) -> None:
        """Put `item`, which must be here with priority `old`, behind all others of `new`."""
        self._left[old, item] += 1
        self._left_total += 1
        self._length -= 1
        self.push(item, new)
        if self._left_total > self._length:
            self._sweep()

    def _open(self, priority: int) -> deque[T]:
        if self._heap and not self._heap[0][1]:
            self._close_first()
        line = self._lines[priority] = deque()
        heapq.heappush(self._heap, (-priority, line))
        return line

    def _close_first(self) -> None:
        rank, _ = heapq.heappop(self._heap)
        del self._lines[-rank]

    def _skip(self, item: T, priority: int) -> bool:
        """Whether `item` had left the place that has come up, which is settled by that."""
        times = self._left.pop((priority, item), 0)
        if times > 1:
            self._left[priority, item] = times - 1
        self._left_total -= times > 0
        return times > 0

    def _sweep(self) -> None:
        """Drop the places that were left.

        An item that is moved up again and again would otherwise leave one each time, for as long
        as its old line is not served. Done when most places are such: little work for each move.
        """
        lines = {
            priority: deque([item for item in line if not self._skip(item, priority)])
            for priority, line in self._lines.items()
        }
        self._lines = {priority: line for priority, line in lines.items() if line}
        self._heap = [(-priority, line) for priority, line in self._lines.items()]
        heapq.heapify(self._heap)
