"""CONFORMANCE.md as data: which test shows which behaviour."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "tests" / "CONFORMANCE.md"
REPORTS = ROOT / ".reports"
"""Where `make unit` and `make integration` leave what ran, in JUnit's format."""

SUITES = ("unit", "integration")

SECTIONS = {
    "A": range(1, 31),
    "B": range(31, 48),
    "C": range(48, 56),
    "D": range(56, 73),
    "E": range(73, 77),
    "F": range(77, 87),
    "G": (87, 88, 91),
    "H": range(98, 107),
    "K": range(122, 134),
    "M": (137, 138),
}
"""The behaviours that are to be accounted for."""

_LINE = re.compile(r"- B(\d+) (.+)")
_NODE = re.compile(r"`(tests/[^`]+\.py::[^`]+)`")
_WHY_NOT = "Not here: "


@dataclass(frozen=True, slots=True)
class Line:
    """One behaviour: its number, the tests that show it, and whether a reason stands instead."""

    number: int
    tests: tuple[str, ...]
    excused: bool

    @property
    def answered(self) -> bool:
        """Whether a test or a reason is given, and not both."""
        return bool(self.tests) != self.excused


def read(text: str) -> list[Line]:
    """Parse the document's lines, in order."""
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return [
        Line(int(match[1]), tuple(_NODE.findall(match[2])), _WHY_NOT in match[2])
        for match in found
        if match
    ]


def passed(reports: Iterable[Path]) -> set[str]:
    """Node ids, without parameters, of the tests that passed with every parameter."""
    good: set[str] = set()
    bad: set[str] = set()
    for report in reports:
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 - our own pytest wrote it
            well = all(child.tag not in {"failure", "error", "skipped"} for child in case)
            (good if well else bad).add(_node(case))
    return good - bad


def _node(case: ET.Element) -> str:
    """Put together what JUnit's format takes apart: dotted module and class, then the name."""
    parts = case.attrib["classname"].split(".")
    test = next(i for i, part in enumerate(parts) if part.startswith("test_"))
    path = "/".join(parts[: test + 1]) + ".py"
    return "::".join([path, *parts[test + 1 :], case.attrib["name"].partition("[")[0]])
