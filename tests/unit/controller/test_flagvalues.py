"""Values of flags as they come out; `test_options` has what of them is refused."""

import argparse

import pytest

from controller import flagvalues


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8080", ("", 8080)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[::]:65535", ("::", 65535)),
        ("node-1.example:80", ("node-1.example", 80)),
        ("0", None),
    ],
)
def test_an_address_to_listen_on(text: str, address: tuple[str, int] | None) -> None:
    assert flagvalues.bind_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "8080", ":", ":0", ":65536", ":http", "::1:80", "[::1]", "a b:80", ":80\n", "00"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no address to listen on such as"):
        flagvalues.bind_address(text)


def test_lists_lose_blanks() -> None:
    assert flagvalues.urls("https://a:1, http://b/") == ["https://a:1", "http://b"]
    assert flagvalues.names(" a,,b ") == {"a", "b"}
