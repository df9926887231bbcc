"""What answers and Status objects become."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from informers import errors
from informers.errors import ApiError, ConnectionFailed


def from_status(code: int = 0, **status: Any) -> ApiError:
    return ApiError.from_status({"kind": "Status", "code": code, **status})


def test_a_status_is_taken_over() -> None:
    details = {"name": "a", "kind": "pods", "retryAfterSeconds": 3}
    error = from_status(409, reason="AlreadyExists", message="there", details=details)
    assert (error.code, error.reason, error.message) == (409, "AlreadyExists", "there")
    assert (error.details, error.retry_after) == (details, 3.0)
    assert str(error) == "there (409 AlreadyExists)"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (None, None),
        ("1.5", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_of_an_answer_only_the_header_says_when_to_come_back(
    header: str | None, seconds: float | None
) -> None:
    body = orjson.dumps({"kind": "Status", "details": {"retryAfterSeconds": 3}})
    assert ApiError.from_response(429, body, header).retry_after == seconds
    assert ApiError.from_response(503, b"busy", header).retry_after == seconds


def test_the_error_before_is_named_unless_it_is_the_same() -> None:
    first, last = from_status(503, message="away"), ConnectionFailed("https://s", "lost")
    last.previous = first
    assert str(last) == (
        "https://s: lost - error from a previous attempt: away (503 ServiceUnavailable)"
    )
    again = from_status(503, message="away")
    again.previous = first
    assert str(again) == str(first) == "away (503 ServiceUnavailable)"
    first.previous = ConnectionFailed("https://s", "lost")
    assert str(first).endswith(" - error from a previous attempt: https://s: lost")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"kind": "Pod"}', b"\xff"])
def test_foreign_bodies_do_no_harm(body: bytes) -> None:
    error = ApiError.from_response(503, body, None)
    assert (error.code, error.reason) == (503, "ServiceUnavailable")


@pytest.mark.parametrize(
    "status",
    [
        *({}, {"details": None}, {"details": {"causes": None}}),
        {"code": "many", "reason": None, "details": {"retryAfterSeconds": "soon"}},
    ],
)
def test_poor_statuses_do_no_harm(status: dict[str, Any]) -> None:
    error = ApiError.from_status(status)
    assert (error.code, error.reason, error.causes) == (500, "InternalError", [])
    assert error.retry_after is None


PREDICATES = {
    "is_not_found": from_status(404, reason="NotFound"),
    "is_already_exists": from_status(409, reason="AlreadyExists"),
    "is_conflict": from_status(409, reason="Conflict"),
    "is_too_many_requests": from_status(429, reason="TooManyRequests"),
    "is_expired": from_status(410, reason="Expired"),
    "is_too_large_resource_version": from_status(
        504, reason="Timeout", details={"causes": [{"reason": "ResourceVersionTooLarge"}]}
    ),
}


@pytest.mark.parametrize("name", PREDICATES)
def test_predicates_know_their_own_and_no_other(name: str) -> None:
    predicate = getattr(errors, name)
    assert [other for other, error in PREDICATES.items() if predicate(error)] == [name]
    assert not predicate(ValueError("something else"))


def test_gone_is_expired_too() -> None:
    assert errors.is_expired(from_status(410, reason="Gone"))
    assert errors.is_expired(from_status(410))


@pytest.mark.parametrize(
    ("code", "predicate"), [(404, errors.is_not_found), (429, errors.is_too_many_requests)]
)
def test_a_reason_of_somebody_elses_leaves_the_code(
    code: int, predicate: Callable[[BaseException], bool]
) -> None:
    assert predicate(from_status(code, reason="WebhookSaysSo"))
    assert not predicate(from_status(500, reason="WebhookSaysSo"))


def test_a_timeout_is_not_yet_a_version_from_the_future() -> None:
    timeout = from_status(504, reason="Timeout", message="etcd is slow")
    assert not errors.is_too_large_resource_version(timeout)


def test_a_lost_connection_is_told_in_one_line() -> None:
    assert str(ConnectionFailed("https://s", "two\n  lines")) == "https://s: two lines"
