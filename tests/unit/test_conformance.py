"""The table of behaviours: complete, and of tests that exist."""

import ast
import os
from pathlib import Path

import pytest

from tests.support import conformance

TEXT = conformance.DOCUMENT.read_text()
LINES = conformance.read(TEXT)


def defined(source: str) -> set[str]:
    """Return the tests of a module, those of classes as Class::method."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{m.name}" for m in node.body if isinstance(m, ast.FunctionDef)
            }
        elif isinstance(node, ast.Assign) and _is_a_machines_test_case(node.value):
            found |= {
                f"{target.id}::runTest" for target in node.targets if isinstance(target, ast.Name)
            }
    return found


def _is_a_machines_test_case(value: ast.expr) -> bool:
    """Whether it is `SomeMachine.TestCase`: the test of a state machine is bound to a name."""
    return (
        isinstance(value, ast.Attribute)
        and value.attr == "TestCase"
        and isinstance(value.value, ast.Name)
        and value.value.id.endswith("Machine")
    )


def test_every_behaviour_is_accounted_for_once() -> None:
    expected = [number for numbers in conformance.SECTIONS.values() for number in numbers]
    assert [line.number for line in LINES] == expected


def test_every_behaviour_has_a_test_or_a_reason() -> None:
    assert [f"B{line.number}" for line in LINES if not line.answered] == []


def test_nothing_is_passed_over() -> None:
    assert conformance.unread(TEXT) == []
    assert [word for line in LINES for word in line.misspelt] == []


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"B{line.number}")
def test_the_tests_that_are_named_exist(line: conformance.Line) -> None:
    for node in line.tests:
        path, _, name = node.partition("::")
        assert (conformance.ROOT / path).is_file(), node
        assert name in defined((conformance.ROOT / path).read_text()), node


def test_what_counts_as_a_test_of_a_module() -> None:
    source = """
LIMIT = 5
TestOfAMachine = QueueMachine.TestCase
TestOfNone = QueueMachine.Other
def test_a(): ...
class TestB:
    def test_c(self): ...
"""
    assert defined(source) == {"TestOfAMachine::runTest", "test_a", "TestB::test_c"}


def test_a_line_is_read_with_its_tests() -> None:
    text = (
        "- B1 this: `tests/a.py::test_b`, `tests/c.py::TestD::test_e`. And why.\n- B2 TODO\nelse"
    )
    first, second = conformance.read(text)
    assert first == conformance.Line(1, ("tests/a.py::test_b", "tests/c.py::TestD::test_e"), False)
    assert first.answered
    assert second == conformance.Line(2, (), False)
    assert not second.answered


@pytest.mark.parametrize(
    "word",
    [
        "`test/unit/a.py::test_b`",
        "`tests/unit/a.py`",
        "`tests/unit/a::test_b`",
        "`tests/a.py::test_b[1]`",
        "`tests/a.py::test_b()`",
        "`tests/a.py::TestD::test-e`",
        "tests/a.py::test_b",
        "`tests/a.py::test_b",
    ],
)
def test_what_only_looks_like_a_test_is_told(word: str) -> None:
    (line,) = conformance.read(f"- B1 this: `tests/c.py::test_d`, {word}. And why.")
    assert line.tests == ("tests/c.py::test_d",)
    assert line.misspelt


def test_lines_under_a_heading_are_behaviours() -> None:
    text = (
        "# Title\nWhat this is.\n\n## A. One\n\n- B1 this: that.\n  more\n-B2 else\n## B. Two\nso"
    )
    assert conformance.unread(text) == ["  more", "-B2 else", "so"]


def test_a_reason_stands_in_for_a_test() -> None:
    (line,) = conformance.read("- B44 the old queue. Not here: nobody uses it.")
    assert line.answered


def test_what_failed_or_was_skipped_has_not_passed(tmp_path: Path) -> None:
    report = tmp_path / "unit.xml"
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="tests.unit.test_a" name="test_good"/>'
        '<testcase classname="tests.unit.test_a.TestB" name="test_good[x-1]"/>'
        '<testcase classname="tests.unit.test_a" name="test_half[1]"/>'
        '<testcase classname="tests.unit.test_a" name="test_half[2]"><failure/></testcase>'
        '<testcase classname="tests.unit.test_a" name="test_not"><skipped/></testcase>'
        "</testsuite></testsuites>"
    )
    assert conformance.passed([report]) == {
        "tests/unit/test_a.py::test_good",
        "tests/unit/test_a.py::TestB::test_good",
    }


def test_a_module_that_could_not_be_imported_has_not_passed(tmp_path: Path) -> None:
    report = tmp_path / "unit.xml"
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="" name="tests.unit.test_a"><error/></testcase>'
        '<testcase classname="tests.unit.test_b" name="test_good"/>'
        "</testsuite></testsuites>"
    )
    assert conformance.passed([report]) == {"tests/unit/test_b.py::test_good"}


@pytest.mark.parametrize(("changed_at", "outdated"), [(99, []), (101, ["unit.xml"])])
def test_a_report_is_outdated_when_a_module_changed_since_its_run_began(
    tmp_path: Path, changed_at: int, outdated: list[str]
) -> None:
    report = tmp_path / "unit.xml"
    report.write_text(
        '<testsuites><testsuite timestamp="1970-01-01T01:01:40+01:00"/></testsuites>'
    )
    modules = [tmp_path / "old.py", tmp_path / "new.py"]
    for module, at in zip(modules, (1, changed_at), strict=True):
        module.touch()
        os.utime(module, (at, at))
    assert conformance.outdated([report], modules) == outdated
