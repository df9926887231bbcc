"""Rows of text, in columns as kubectl prints them."""

from collections.abc import Sequence
from typing import Final

_GAP: Final = "   "


def widths(rows: Sequence[Sequence[str]], least: Sequence[int] = ()) -> tuple[int, ...]:
    """Return how wide each column has to be, and `least` at least."""
    found = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return tuple(map(max, found, least)) if least else tuple(found)


def line(row: Sequence[str], wide: Sequence[int]) -> str:
    """Return one row, without blanks at its end."""
    return _GAP.join(map(str.ljust, row, wide)).rstrip()


def shortened(text: str, most: int) -> str:
    """Return `text` on one line, of at most so many characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."
