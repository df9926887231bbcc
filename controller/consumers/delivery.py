"""Brings to each consumer what is to be delivered, and takes it away from those that left.

One consumer that fails holds up no other: each has a problem and a next try of its own, and after
one call that hangs the rest has another turn.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Final

import structlog

from controller.api.conditions import Problem
from controller.api.storage import StorageReference
from controller.changes import wrote
from controller.consumers.consumer import (
    NAMESPACES,
    Consumer,
    Content,
    Delivery,
    Signed,
    manager,
)
from controller.consumers.decide import (
    Apply,
    Decision,
    Json,
    Keep,
    Refuse,
    changed_on_the_way,
    decide,
)
from controller.consumers.decide import decide_withdrawal as withdrawal
from controller.consumers.polls import Polls
from controller.consumers.refusals import (
    DELIVERY_FAILED,
    NAMESPACE_MISSING,
    in_withdrawal,
    missing_right,
    namespace_missing,
    refusal,
)
from controller.secretrefusals import in_own_words
from informers import APPLY_PATCH, ApiError, Client, ConnectionFailed
from informers.errors import is_conflict, is_not_found
from informers.store import resource_version
from workqueue import Clock

DELIVERY_PENDING: Final = "DeliveryPending"

PATIENCE: Final = 10.0
"""Seconds after which one turn begins with no further consumer."""

SOON: Final = 1.0
"""Seconds until the next turn if somebody had none."""

_TRIES: Final = 3
"""To write an object that somebody else writes at the same time."""

_WITHDRAWN: Final = "withdrawn"

_log = structlog.get_logger("controller.consumers")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a consumer's object stands: as it should if there is no `problem`.

    `signed` is what it held of ours when it was seen last, None for nothing. `issued` says why
    the pair is a new one that was written just now, and is '' ever after.
    """

    consumer: Consumer
    signed: Signed | None
    problem: Problem | None = None
    issued: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Outcomes in the order asked for; in `again` seconds another look is due, inf for never."""

    outcomes: tuple[Outcome, ...]
    again: float

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(outcome.problem for outcome in self.outcomes if outcome.problem)


@dataclass(frozen=True, slots=True)
class _Task:
    """`note` tells where it is noted what is to be withdrawn, '' for what is to be brought.

    What is brought for the `first` time is written as if there were no such object: where there
    is one, that is a conflict.
    """

    consumer: Consumer
    version: str
    decide: Callable[[Json | None], Decision]
    note: str = ""
    first: bool = False


@dataclass(frozen=True, slots=True)
class _Brought:
    """What an object holds now. `seen` is its resourceVersion, "" if there is none.

    `issued` is as in `Outcome`.
    """

    content: Content | None
    seen: str = ""
    issued: str = ""


class Consumers:
    """Writes objects of other namespaces, by name; thread safe as long as no two share a storage.

    What was found is remembered by the storage's name, so that asking again costs nothing before
    another look is due: see `polls`.
    """

    def __init__(self, client: Client, *, clock: Clock, rng: random.Random) -> None:
        self._client = client
        self._clock = clock
        self.polls = Polls[Outcome](clock, rng)

    def deliver(self, storage: StorageReference, deliveries: Sequence[Delivery]) -> Report:
        """See to it that each consumer holds what is to be delivered to it."""
        tasks = [
            _Task(
                delivery.consumer,
                f"{storage.uid} {delivery.version}",
                partial(decide, delivery=delivery, storage=storage),
                first=delivery.first,
            )
            for delivery in deliveries
        ]
        return self._report(storage, self._turn(storage, tasks))

    def withdraw(
        self, storage: StorageReference, consumers: Iterable[Consumer], *, note: str
    ) -> Report:
        """Take what is ours out of objects that are to get nothing any more.

        Those without a problem are done with. An object that we created stays, empty: the right
        to delete it is none of those that we ask for. Whoever reads of a problem is told where
        the `note` of that is, which may be all that is left of the consumer.
        """
        tasks = [
            _Task(
                consumer, _WITHDRAWN, partial(withdrawal, consumer=consumer, storage=storage), note
            )
            for consumer in consumers
        ]
        outcomes = self._turn(storage, tasks)
        done = [outcome.consumer for outcome in outcomes if outcome.problem is None]
        self.polls.forget(storage.name, done)
        return self._report(storage, outcomes)

    def forget(self, storage: str) -> None:
        """The storage of this name is gone: remember nothing of it."""
        self.polls.forget(storage)

    def _turn(self, storage: StorageReference, tasks: Iterable[_Task]) -> tuple[Outcome, ...]:
        deadline = self._clock.monotonic() + PATIENCE
        return tuple(self._outcome(storage, task, deadline) for task in tasks)

    def _report(self, storage: StorageReference, outcomes: tuple[Outcome, ...]) -> Report:
        return report(self.polls, storage.name, outcomes)

    def _outcome(self, storage: StorageReference, task: _Task, deadline: float) -> Outcome:
        known = self.polls.fresh(storage.name, task.consumer, task.version)
        if known is not None:
            return known
        last = self.polls.last(storage.name, task.consumer)
        if self._clock.monotonic() >= deadline:
            return pending(task.consumer, last.signed if last else None)
        return self._attend(storage, task, last)

    def _attend(self, storage: StorageReference, task: _Task, last: Outcome | None) -> Outcome:
        """Look at the object, write what it lacks, and remember how it stands."""
        consumer, polls = task.consumer, self.polls
        brought = self._bring(storage, task)
        if isinstance(brought, Refuse):
            outcome = Outcome(consumer, last.signed if last else None, brought.problem)
            if last is None or last.problem != outcome.problem:
                _log.debug("not_delivered", consumer=str(consumer), why=brought.problem.message)
            polls.bad(storage.name, consumer, task.version, outcome)
            return outcome
        content = brought.content
        outcome = Outcome(consumer, content.signed if content else None)
        until = max(SOON, content.again) if content else inf
        polls.good(storage.name, consumer, task.version, outcome, until=until, seen=brought.seen)
        return replace(outcome, issued=brought.issued)

    def _bring(self, storage: StorageReference, task: _Task) -> _Brought | Refuse:
        looks = (*((False,) if task.first else ()), *(True,) * _TRIES)
        turns = (self._once(storage, task, look=look) for look in looks)
        ended = next((ended for ended in turns if ended), None)
        if ended is None:
            message = f"{task.consumer} changes whenever it is to be written"
            return Refuse(Problem(DELIVERY_FAILED, message, passes=True))
        if not task.note or not isinstance(ended, Refuse):
            return ended
        # With its namespace a consumer went away by itself.
        gone = ended.problem.reason == NAMESPACE_MISSING
        return _Brought(None) if gone else Refuse(in_withdrawal(ended.problem, task.note))

    def _once(
        self, storage: StorageReference, task: _Task, *, look: bool
    ) -> _Brought | Refuse | None:
        """Decide on what is there and carry it out; None if it has changed meanwhile.

        Without a `look` it is taken to be nothing.
        """
        consumer = task.consumer
        try:
            present = self._get(consumer) if look else None
        except (ApiError, ConnectionFailed) as error:
            return Refuse(self._problem(error, consumer, "get"))
        decision = _decided(task, present)
        if isinstance(decision, Keep):
            return _Brought(decision.content, resource_version(present or {}))
        if isinstance(decision, Refuse):
            return decision
        try:
            stored = self._apply(storage, consumer, decision.body)
        except (ApiError, ConnectionFailed) as error:
            # A right that is missing is told of by the look that follows, as ever after.
            denied = isinstance(error, ApiError) and missing_right(error)
            if is_conflict(error) or (denied and not look):
                return None
            verb = "create" if present is None else "patch"
            return Refuse(self._problem(error, consumer, verb))
        return self._applied(decision, stored, consumer)

    def _applied(self, decision: Apply, stored: Json, consumer: Consumer) -> _Brought | Refuse:
        """Tell of a write, and see what the server has made of it."""
        content = decision.content
        why = content.issued if content else "withdrawn"
        wrote("apply", consumer.kind, f"{consumer.namespace}/{consumer.name}", why)
        if problem := changed_on_the_way(stored, decision.body, consumer):
            return Refuse(problem)
        return _Brought(content, resource_version(stored), content.issued if content else "")

    def _get(self, consumer: Consumer) -> Json | None:
        try:
            return self._client.get(consumer.resource, consumer.name, consumer.namespace)
        except ApiError as error:
            if is_not_found(error):
                return None
            raise

    def _apply(self, storage: StorageReference, consumer: Consumer, body: Json) -> Json:
        # By force: whose the fields are was decided on the very version that is written to.
        with in_own_words(consumer.resource):
            return self._client.patch(
                consumer.resource,
                consumer.name,
                body,
                namespace=consumer.namespace,
                content_type=APPLY_PATCH,
                query={"fieldManager": manager(storage), "force": True},
            )

    def _problem(
        self,
        error: ApiError | ConnectionFailed,
        consumer: Consumer,
        verb: str,
    ) -> Problem:
        forbidden = isinstance(error, ApiError) and missing_right(error)
        if forbidden and self._has_no_namespace(consumer):
            return namespace_missing(consumer)
        return refusal(error, consumer, verb)

    def _has_no_namespace(self, consumer: Consumer) -> bool:
        """Whether the namespace is known to be missing; we may not be allowed to ask."""
        try:
            self._client.get(NAMESPACES, consumer.namespace)
        except ApiError as error:
            return is_not_found(error)
        except ConnectionFailed:
            return False
        return False


def _decided(task: _Task, present: Json | None) -> Decision:
    try:
        return task.decide(present)
    except Exception as error:  # noqa: BLE001 - see below
        # Whatever somebody has put there, the others get theirs. Only its kind is told: the
        # rest may quote what was read.
        what = f"cannot be made sense of ({type(error).__name__})"
        return Refuse(Problem(DELIVERY_FAILED, f"{task.consumer}: {what}: delete it"))


def pending(consumer: Consumer, signed: Signed | None) -> Outcome:
    """Return the outcome for who has to wait because others before took too long."""
    message = f"{consumer}: others take their time, it is its turn next"
    return Outcome(consumer, signed, Problem(DELIVERY_PENDING, message, passes=True))


def report(polls: Polls[Outcome], storage: str, outcomes: tuple[Outcome, ...]) -> Report:
    """Return the outcomes with the time of the next look."""
    if any(_is_pending(outcome) for outcome in outcomes):
        return Report(outcomes, SOON)
    return Report(outcomes, polls.again(storage, [outcome.consumer for outcome in outcomes]))


def _is_pending(outcome: Outcome) -> bool:
    return outcome.problem is not None and outcome.problem.reason == DELIVERY_PENDING
