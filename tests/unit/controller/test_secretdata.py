from typing import Any

import pytest

from controller.secretdata import absent, decoded


def test_what_is_there_is_decoded() -> None:
    assert decoded({"tls.crt": "cGVt"}, "tls.crt") == b"pem"


UNREADABLE: list[Any] = [
    *(None, {}, {"tls.crt": ""}, {"tls.crt": "a"}, {"other": "cGVt"}),
    *({"tls.crt": None}, {"tls.crt": 5}, {"tls.crt": "\u00e9"}),
]


@pytest.mark.parametrize("data", UNREADABLE)
def test_what_is_not_there_or_cannot_be_read_is_empty(data: Any) -> None:
    assert decoded(data, "tls.crt") == b""
    assert absent(data, ["tls.crt"]) == ["tls.crt"]


def test_blanks_are_nothing() -> None:
    assert absent({"a": "IAo=", "b": "cGVt"}, ["a", "b"]) == ["a"]
