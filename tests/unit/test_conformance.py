"""The table of behaviours: complete, and of tests that exist."""

import ast
from pathlib import Path

import pytest

from tests.support import conformance

LINES = conformance.read(conformance.DOCUMENT.read_text())


def defined(path: Path) -> set[str]:
    """Return the tests of a module, those of classes as Class::method."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{m.name}" for m in node.body if isinstance(m, ast.FunctionDef)
            }
            # A state machine's tests are a class that is bound to a name.
        elif isinstance(node, ast.Assign):
            found |= {
                f"{target.id}::runTest" for target in node.targets if isinstance(target, ast.Name)
            }
    return found


def test_every_behaviour_is_accounted_for_once() -> None:
    expected = [number for numbers in conformance.SECTIONS.values() for number in numbers]
    assert [line.number for line in LINES] == expected


def test_every_behaviour_has_a_test_or_a_reason() -> None:
    assert [f"B{line.number}" for line in LINES if not line.answered] == []


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"B{line.number}")
def test_the_tests_that_are_named_exist(line: conformance.Line) -> None:
    for node in line.tests:
        path, _, name = node.partition("::")
        assert (conformance.ROOT / path).is_file(), node
        assert name in defined(conformance.ROOT / path), node


def test_a_line_is_read_with_its_tests() -> None:
    text = (
        "- B1 this: `tests/a.py::test_b`, `tests/c.py::TestD::test_e`. And why.\n- B2 TODO\nelse"
    )
    first, second = conformance.read(text)
    assert first == conformance.Line(1, ("tests/a.py::test_b", "tests/c.py::TestD::test_e"), False)
    assert first.answered
    assert second == conformance.Line(2, (), False)
    assert not second.answered


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
