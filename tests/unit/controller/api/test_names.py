"""Which names the API server takes."""

import pytest

from controller.api.names import is_dns_label, is_dns_subdomain


@pytest.mark.parametrize(
    ("text", "label", "subdomain"),
    [
        ("a", True, True),
        ("0-a", True, True),
        ("a.b-c.d", False, True),
        ("a" * 63, True, True),
        ("a" * 64, False, True),
        ("a" * 253, False, True),
        ("a" * 254, False, False),
        ("", False, False),
        ("-a", False, False),
        ("a-", False, False),
        ("a..b", False, False),
        (".a", False, False),
        ("a.-b", False, False),
        ("A", False, False),
        ("a_b", False, False),
        ("a/b", False, False),
        ("a\n", False, False),
        ("\u00e4", False, False),
        ("\u0661", False, False),
    ],
)
def test_names(
    text: str,
    label: bool,  # noqa: FBT001 - a column of the table
    subdomain: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert (is_dns_label(text), is_dns_subdomain(text)) == (label, subdomain)
