from controller.api.conditions import Problem
from controller.core.agenda import PENDING, Agenda, Order
from controller.core.looks import UserLook, UserState

READY = UserLook(UserState.READY)


def want(storage: str, *, claimed: bool = True) -> Order:
    return Order(storage, wanted=True, claimed=claimed)


def drop(storage: str) -> Order:
    return Order(storage, wanted=False, claimed=True)


def turns(agenda: Agenda) -> list[str]:
    """Everybody's turn, in order."""
    found = []
    while order := agenda.next():
        found.append(order.storage)
    return found


def test_first_come_first_served_and_each_once() -> None:
    agenda = Agenda()
    for name in "abcab":
        assert agenda.ask(want(name)) == PENDING
    assert turns(agenda) == ["a", "b", "c"]
    assert turns(agenda) == []


def test_asking_again_for_the_same_tells_how_it_stands() -> None:
    agenda = Agenda()
    agenda.ask(want("a"))
    assert agenda.next() == want("a")
    assert agenda.settle(want("a"), READY)
    assert not agenda.settle(want("a"), READY)
    assert agenda.ask(want("a")) == READY
    assert agenda.next() is None


def test_another_order_is_another_turn() -> None:
    agenda = Agenda()
    agenda.ask(want("a", claimed=False))
    agenda.next()
    agenda.settle(want("a", claimed=False), UserLook(UserState.FREE))
    assert agenda.ask(want("a")) == PENDING
    assert agenda.next() == want("a")
    agenda.settle(want("a"), READY)
    assert agenda.ask(drop("a")) == PENDING
    # What was done for the old order tells nothing of the new one.
    assert not agenda.settle(want("a"), READY)
    assert not agenda.is_current(want("a"))
    assert agenda.is_current(drop("a"))
    assert agenda.ask(drop("a")) == PENDING


def test_what_is_forgotten_has_no_turn() -> None:
    agenda = Agenda()
    agenda.ask(want("a"))
    agenda.audit()
    agenda.forget("a")
    agenda.again(want("a"))
    assert not agenda.settle(want("a"), READY)
    assert agenda.look("a") is None
    assert turns(agenda) == []


def test_an_audit_comes_after_what_is_new() -> None:
    agenda = Agenda()
    for name in "abc":
        agenda.ask(want(name))
    turns(agenda)
    agenda.audit()
    agenda.ask(want("z"))
    agenda.ask(drop("b"))
    assert turns(agenda) == ["z", "b", "a", "c"]


def test_what_failed_is_tried_again() -> None:
    agenda = Agenda()
    for name in "ab":
        agenda.ask(want(name))
    turns(agenda)
    agenda.settle(want("a"), READY)
    agenda.settle(want("b"), UserLook(UserState.FAILED, Problem("R", "m")))
    agenda.retry()
    assert turns(agenda) == ["b"]


def test_a_name_that_is_free_is_looked_at_until_it_is_claimed() -> None:
    agenda = Agenda()
    order = want("a", claimed=False)
    agenda.ask(order)
    turns(agenda)
    agenda.settle(order, UserLook(UserState.FREE))
    for _ in range(2):
        agenda.retry()
        assert turns(agenda) == ["a"]
    agenda.ask(want("a"))
    turns(agenda)
    agenda.settle(want("a"), READY)
    agenda.retry()
    assert turns(agenda) == []


def test_one_more_turn_is_the_last_in_line() -> None:
    agenda = Agenda()
    for name in "ab":
        agenda.ask(want(name))
    order = agenda.next()
    assert order
    agenda.again(order)
    assert turns(agenda) == ["b", "a"]
