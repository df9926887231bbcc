"""The order by itself: against the plainest one that could be right, and what it keeps."""

from itertools import count
from random import Random

import pytest

from workqueue.priority import PriorityFifo


def drain(order: PriorityFifo[str]) -> list[str]:
    return [order.pop() for _ in range(len(order))]


def test_equal_priorities_come_in_the_order_of_their_arrival() -> None:
    order: PriorityFifo[str] = PriorityFifo()
    for item in "cab":
        order.push(item, 7)
    assert len(order) == 3
    assert drain(order) == ["c", "a", "b"]
    assert len(order) == 0


def test_nothing_can_be_taken_from_nothing() -> None:
    order: PriorityFifo[str] = PriorityFifo()
    with pytest.raises(IndexError):
        order.pop()
    order.push("a", 0)
    order.pop()
    with pytest.raises(IndexError):
        order.pop()


def test_what_is_moved_goes_to_the_back_of_its_new_line() -> None:
    order: PriorityFifo[str] = PriorityFifo()
    for item, priority in (("a", -1), ("b", -1), ("c", -1), ("d", 0), ("e", 0)):
        order.push(item, priority)
    order.move("a", -1, 0)
    order.move("c", -1, 1)
    assert len(order) == 5
    assert drain(order) == ["c", "d", "e", "a", "b"]


def test_what_comes_back_to_a_line_does_not_get_its_old_place() -> None:
    order: PriorityFifo[str] = PriorityFifo()
    for item in "abcd":
        order.push(item, -1)
    for _ in range(2):
        order.move("a", -1, 0)
        assert order.pop() == "a"
        order.push("a", -1)
    assert drain(order) == ["b", "c", "d", "a"]


def test_any_history_gives_the_order_of_priority_and_arrival() -> None:
    rng, turn = Random(4), count()
    order: PriorityFifo[int] = PriorityFifo()
    waiting: dict[int, tuple[int, int]] = {}
    for _ in range(20_000):
        item, priority = rng.randrange(40), rng.randrange(-2, 3)
        if waiting and rng.random() < 0.4:
            first = min(waiting, key=lambda item: waiting[item])
            assert order.pop() == first
            del waiting[first]
        elif item not in waiting:
            order.push(item, priority)
            waiting[item] = -priority, next(turn)
        elif -priority != waiting[item][0]:
            order.move(item, -waiting[item][0], priority)
            waiting[item] = -priority, next(turn)
        assert len(order) == len(waiting)


def places(order: PriorityFifo[str]) -> int:
    return sum(len(line) for line in order._lines.values())


def test_an_item_that_is_moved_up_for_ever_leaves_nothing_in_a_line_that_is_not_served() -> None:
    order: PriorityFifo[str] = PriorityFifo()
    order.push("waits", -1)
    for _ in range(1000):
        order.push("a", -1)
        order.move("a", -1, 0)
        assert order.pop() == "a"
        assert places(order) <= 3
    assert drain(order) == ["waits"]
    assert order._left_total == order._left.total() == 0


@pytest.mark.parametrize("step", [1, -1])
def test_priorities_that_are_used_once_leave_nothing(step: int) -> None:
    order: PriorityFifo[str] = PriorityFifo()
    order.push("waits", -10_000)
    for number in range(1000):
        order.push("a", number * step)
        assert order.pop() == "a"
        assert len(order._lines) == len(order._heap) <= 3
    for number in range(1000):
        order.move("waits", -10_000 + number, -10_000 + number + 1)
        assert len(order._lines) == len(order._heap) <= 4
    assert drain(order) == ["waits"]


def test_all_that_is_moved_comes_once() -> None:
    order: PriorityFifo[str] = PriorityFifo()
    items = [f"item-{number}" for number in range(5000)]
    for item in items:
        order.push(item, -100)
    for item in items:
        order.move(item, -100, 0)
    assert places(order) <= 2 * len(items)
    assert drain(order) == items
