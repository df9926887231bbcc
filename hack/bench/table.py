"""Figures beside their yardsticks, as text."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; what does not apply is ""."""

    figure: str
    ours: str
    budget: str = ""
    client_go: str = ""
    python: str = ""
    """The official package's, or what else Python has."""


_TITLES = Row("figure", "ours", "budget", "client-go", "Python")


def render(rows: Sequence[Row]) -> str:
    """A line per row: the figures' names to the left, all else to the right."""
    return aligned([_cells(row) for row in (_TITLES, *rows)])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """The cells of each line in columns: the first to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(line, widths) for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    return row.figure, row.ours, row.budget, row.client_go, row.python


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if at == 0 else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()


def seconds(value: float) -> str:
    return f"{value:.2f} s"


def milliseconds(value: float) -> str:
    """Of seconds."""
    return f"{1000 * value:.1f} ms"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:.0f} MiB"


def per_second(value: float) -> str:
    return f"{value:,.0f}/s"


def kilobytes(value: float) -> str:
    return f"{value / 1000:.2f} kB"
