"""CONFORMANCE.md as data: which test shows which behaviour."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
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
    "G": range(87, 98),
    "H": range(98, 107),
    "I": range(107, 116),
    "J": range(116, 122),
    "K": range(122, 134),
    "M": (137, 138),
}
"""The behaviours that are to be accounted for."""

CODE = ("controller", "informers", "workqueue", "hack", "tests")
"""Folders whose modules decide what a test says: a report from before a change tells nothing."""

_LINE = re.compile(r"- B(\d+) (.+)")
_NODE = re.compile(r"`(tests/[\w/]+\.py::(?:\w+::)?\w+)`")
_LIKE_A_NODE = re.compile(r"\S*(?:::|\.py)\S*")
_WHY_NOT = "Not here: "


@dataclass(frozen=True, slots=True)
class Line:
    """One behaviour: its number, the tests that show it, and whether a reason stands instead.

    `misspelt` are words that look like tests to a reader, but not like node ids in backticks.
    """

    number: int
    tests: tuple[str, ...]
    excused: bool
    misspelt: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether a test or a reason is given, and not both."""
        return bool(self.tests) != self.excused


def read(text: str) -> list[Line]:
    """Parse the document's lines, in order."""
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return [_line(int(match[1]), match[2]) for match in found if match]


def _line(number: int, text: str) -> Line:
    rest = _NODE.sub("", text)
    misspelt = tuple(_LIKE_A_NODE.findall(rest))
    return Line(number, tuple(_NODE.findall(text)), _WHY_NOT in text, misspelt)


def unread(text: str) -> list[str]:
    """Lines under the sections' headings that `read` passes over, though they are not empty."""
    _, heading, sections = text.partition("\n## ")
    lines = (heading + sections).splitlines()
    return [line for line in lines if line[:3] not in {"", "## "} and not _LINE.fullmatch(line)]


def outdated(reports: Iterable[Path], modules: Iterable[Path]) -> list[str]:
    """Names of the reports of runs that began before the last change of one of `modules`."""
    changed = max(module.stat().st_mtime for module in modules)
    return [report.name for report in reports if _began_at(report) < changed]


def _began_at(report: Path) -> float:
    """Seconds since the epoch."""
    suites = ET.parse(report).iter("testsuite")  # noqa: S314 - our own pytest wrote it
    return min(datetime.fromisoformat(suite.attrib["timestamp"]).timestamp() for suite in suites)


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
    """Put together what JUnit's format takes apart: dotted module and class, then the name.

    A module that could not be imported has no class name, and is its own name.
    """
    parts = case.attrib["classname"].split(".")
    test = next((i for i, part in enumerate(parts) if part.startswith("test_")), None)
    if test is None:
        return case.attrib["name"]
    path = "/".join(parts[: test + 1]) + ".py"
    return "::".join([path, *parts[test + 1 :], case.attrib["name"].partition("[")[0]])
