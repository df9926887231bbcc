"""Go's durations, as users write them in flags and specs: `90s`, `1h30m`, `2160h`."""

import re
from datetime import timedelta
from functools import lru_cache

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_PART = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|us|ns|m|s)"
_WHOLE = re.compile(rf"(?:{_PART})+")


@lru_cache(maxsize=64)
def parse_duration(text: str) -> timedelta:
    """Read what Go's time.ParseDuration reads, unsigned; ValueError says what is wrong.

    Remembered, since each look at a storage reads nine, of which a fleet has a few.
    """
    if text == "0":
        return timedelta(0)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write hours, minutes, seconds: 90s, 1h30m")
    parts = re.findall(_PART, text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if 0 < seconds < timedelta.resolution.total_seconds():
        raise ValueError(f"{text!r} is too short a time")
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long a time") from error
