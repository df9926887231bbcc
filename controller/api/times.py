"""Times as API objects have them: RFC 3339 in UTC, to the second."""

from datetime import UTC, datetime
from typing import Any, Final

_YEARS: Final = range(1970, 9000)
"""With which one can reckon on: past the end of these the server takes times that nobody else
does."""


def rfc3339(time: datetime) -> str:
    """Return what an object says for the moment `time`."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def read_time(told: Any) -> datetime | None:
    """Return the moment in UTC; None for what is none, such as 24 o'clock or the year 0.

    For a status, which is ours to write, but where anybody with the right may have written.
    """
    try:
        time = datetime.fromisoformat(told).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return time if time.year in _YEARS else None
