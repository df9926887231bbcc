"""What a call about a consumer's object that failed is reported as: pure functions."""

import re
from dataclasses import replace
from typing import Final

from controller.api.conditions import Problem
from controller.consumers.consumer import DEPLOYMENTS, Consumer
from informers import ApiError, ConnectionFailed
from informers.errors import is_conflict, is_not_found

NAMESPACE_MISSING: Final = "NamespaceMissing"
NAMESPACE_LEAVING: Final = "NamespaceTerminating"
CONSUMER_FORBIDDEN: Final = "ConsumerForbidden"
CONSUMER_MISSING: Final = "ConsumerMissing"
DELIVERY_FAILED: Final = "DeliveryFailed"

_BUSY: Final = frozenset({429, 503, 504})
"""Answers of a server that has too much to do now, or a part of which is away."""

_MISSING_RIGHT: Final = re.compile(r"cannot ([a-z]+) resource ")
"""As the server says it where no role allows; it is silent on that where quotas and webhooks
forbid."""


def refusal(error: ApiError | ConnectionFailed, consumer: Consumer, verb: str) -> Problem:
    """Say what keeps `verb` from being done to a consumer's object, and what to do about it."""
    if isinstance(error, ConnectionFailed):
        # One that ran out of time is told as others are not: a webhook hangs for one object alone.
        message = f"{consumer}: {verb}: {error}"
        return Problem(DELIVERY_FAILED, message, passes=not error.timed_out)
    if is_not_found(error) and error.details.get("kind") == "namespaces":
        return namespace_missing(consumer)
    if is_not_found(error) and consumer.resource == DEPLOYMENTS:
        message = f"{consumer} does not exist: create it, or take it out of the storage's list"
        return Problem(CONSUMER_MISSING, message)
    if any(cause.get("reason") == NAMESPACE_LEAVING for cause in error.causes):
        message = f"{consumer}: the namespace is being deleted"
        return Problem(NAMESPACE_LEAVING, message, passes=True)
    if right := missing_right(error):
        return Problem(CONSUMER_FORBIDDEN, _forbidden(consumer, right))
    passes = error.code in _BUSY or is_conflict(error)
    return Problem(DELIVERY_FAILED, f"{consumer}: {verb}: {error.message}", passes=passes)


def namespace_missing(consumer: Consumer) -> Problem:
    return Problem(
        NAMESPACE_MISSING,
        f"{consumer}: there is no namespace {consumer.namespace}: create it, or take the entry out"
        " of the storage",
    )


def in_withdrawal(problem: Problem, note: str) -> Problem:
    """Say what keeps a consumer from being rid of what it got, and how to get out of that."""
    if problem.passes:
        return problem
    message = (
        f"{problem.message}. It is listed no more, and is left alone once it has been emptied; to"
        f" leave it as it is, take its entry out of the {note}"
    )
    return replace(problem, message=message)


def missing_right(error: ApiError) -> str:
    """Return the verb that no role allows us, '' if the refusal is another one."""
    found = _MISSING_RIGHT.search(error.message) if error.code == 403 else None
    return found[1] if found else ""


def _forbidden(consumer: Consumer, verb: str) -> str:
    resource = consumer.resource
    verbs = "get, patch" if resource == DEPLOYMENTS else "get, patch, create"
    return (
        f"{consumer}: the controller may not {verb} it: if the namespace {consumer.namespace}"
        " exists, give the controller a Role there (artifacts/consumers) with the rule"
        f' {{apiGroups: ["{resource.group}"], resources: [{resource.plural}],'
        f" resourceNames: [{consumer.name}], verbs: [{verbs}]}}"
    )
