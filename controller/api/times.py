"""Times in the status of a storage: ours as a rule, but anybody with the right may write there."""

from datetime import UTC, datetime
from typing import Any, Final

_YEARS: Final = range(1970, 9000)
"""With which one can reckon on: past the end of these the server takes times that nobody else
does."""


def read_time(told: Any) -> datetime | None:
    """Return the moment in UTC; None for what is none, such as 24 o'clock or the year 0."""
    try:
        time = datetime.fromisoformat(told).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return time if time.year in _YEARS else None
