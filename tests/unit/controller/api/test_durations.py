"""Go's durations as flags and specs carry them."""

from datetime import timedelta

import pytest

from controller.api.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("10s", 10.0),
        ("90m", 5400.0),
        ("1h30m", 5400.0),
        ("1h30m0.5s", 5400.5),
        ("43800h", 43800 * 3600.0),
        ("2160h", 90 * 24 * 3600.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("250ms", 0.25),
        ("1m1ms", 60.001),
        ("3000us", 0.003),
        ("3000000ns", 0.003),
        ("1s1s", 2.0),
    ],
)
def test_reads_what_go_reads(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5 days",
        "5d",
        "10",
        "1h 30m",
        "-1h",
        "+1h",
        "h",
        "1hm",
        "1.2.3s",
        ".s",
        "1H",
        "٣s",
        "1s\n",
    ],
)
def test_says_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="90s, 1h30m") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["99999999999999h", "9" * 400 + "h"])
def test_says_when_it_is_too_long_a_time(text: str) -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_duration(text)
