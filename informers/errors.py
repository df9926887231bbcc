"""What a call to the API server can end with, apart from an answer.

An `ApiError` is the server's own refusal, built from the Status object it sends; a
`ConnectionFailed` means that no usable answer came; a `ConfigError` comes before any call. The
predicates take any exception, so that they can stand in an `except Exception` as well as
client-go's stand after any error.
"""

from collections.abc import Mapping
from typing import Any, Self

import orjson

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Gone",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
"""metav1.StatusReason of answers that carry no Status, as a proxy in between sends them."""

_TOO_LARGE = "Too large resource version"
_SHOWN = 200
"""Characters of a foreign body that stand in a message."""


class ConfigError(Exception):
    """The configuration cannot be used; the message is one line that says why."""


class ApiError(Exception):
    """The API server refused.

    `code` is the HTTP status, `reason` a metav1.StatusReason, `details` the Status' details as
    they came, `retry_after` the seconds the server asks to wait, or None; `previous` is what the
    attempt before this one ended with, if there was one.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        self.retry_after = retry_after
        self.previous: Exception | None = None

    def __str__(self) -> str:
        return _told(f"{self.message} ({self.code} {self.reason})", self.previous)

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """The details' causes: mappings of reason, message and field."""
        return [cause for cause in self.details.get("causes") or [] if isinstance(cause, Mapping)]

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> Self:
        """Build from a metav1.Status, such as the object of an ERROR event."""
        code = _int(status.get("code")) or 500
        details = status.get("details")
        details = details if isinstance(details, Mapping) else {}
        reason = str(status.get("reason") or _REASONS.get(code, "Unknown"))
        retry_after = float(_int(details.get("retryAfterSeconds"))) or None
        message = str(status.get("message") or reason)
        return cls(code, reason, message, details=details, retry_after=retry_after)

    @classmethod
    def from_response(cls, code: int, body: bytes, retry_after: str | None) -> Self:
        """Build from an HTTP answer; `retry_after` is its header of that name.

        Only the header counts, as in client-go: a proxy that drops it may have reasons.
        """
        try:
            status = orjson.loads(body)
        except orjson.JSONDecodeError:
            status = None
        if isinstance(status, Mapping) and status.get("kind") == "Status":
            error = cls.from_status({**status, "code": code})
        else:
            text = " ".join(body.decode(errors="replace").split())[:_SHOWN]
            error = cls(code, _REASONS.get(code, "Unknown"), text or f"HTTP status {code}")
        whole = retry_after is not None and retry_after.strip().isdecimal()
        error.retry_after = float(retry_after or "") if whole else None
        return error


class ConnectionFailed(Exception):  # noqa: N818 - it reads as what happened
    """No usable answer came from `server`; the message is one line and names server and cause.

    `refused`: nobody listens there, so nothing was sent. `timed_out`: the time for it ran out.
    `dropped`: the connection stood and was lost, so a write may or may not have happened.
    `previous` is what the attempt before this one ended with, if there was one.
    """

    def __init__(
        self,
        server: str,
        cause: str,
        *,
        refused: bool = False,
        timed_out: bool = False,
        dropped: bool = False,
    ) -> None:
        super().__init__(f"{server}: {' '.join(cause.split())}")
        self.server = server
        self.refused = refused
        self.timed_out = timed_out
        self.dropped = dropped
        self.previous: Exception | None = None

    def __str__(self) -> str:
        return _told(super().__str__(), self.previous)


def not_found(group_resource: str, name: str) -> ApiError:
    """The error that the server gives for a missing object, for answers out of a cache."""
    details = {"name": name, "kind": group_resource}
    return ApiError(404, "NotFound", f'{group_resource} "{name}" not found', details=details)


def is_not_found(error: BaseException) -> bool:
    return _has(error, 404, "NotFound")


def is_already_exists(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.reason == "AlreadyExists"


def is_conflict(error: BaseException) -> bool:
    """The object has changed since it was read. A name that is taken is `is_already_exists`."""
    return isinstance(error, ApiError) and error.reason == "Conflict"


def is_too_many_requests(error: BaseException) -> bool:
    return _has(error, 429, "TooManyRequests")


def is_expired(error: BaseException) -> bool:
    """The version or the continue token asked for is no longer there."""
    return isinstance(error, ApiError) and (
        error.reason in {"Expired", "Gone"} or error.code == 410
    )


def is_too_large_resource_version(error: BaseException) -> bool:
    """The version asked for is newer than what the server has seen so far.

    Servers since 1.18 name the cause, older ones only say so in the text of a Timeout.
    """
    if not isinstance(error, ApiError):
        return False
    if any(cause.get("reason") == "ResourceVersionTooLarge" for cause in error.causes):
        return True
    texts = [error.message, *(str(cause.get("message", "")) for cause in error.causes)]
    return error.reason == "Timeout" and any(_TOO_LARGE in text for text in texts)


def one_line(error: BaseException) -> str:
    """What any error says, or is."""
    return " ".join(str(error).split()) or type(error).__name__


def _has(error: BaseException, code: int, reason: str) -> bool:
    """Known by reason; a Status without one is known by its code, as in client-go."""
    return isinstance(error, ApiError) and (error.reason == reason or error.code == code)


def _told(text: str, previous: Exception | None) -> str:
    """The error by itself, and the one before it unless it says the same."""
    if previous is None or str(previous) == text:
        return text
    return f"{text} - error from a previous attempt: {previous}"


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
